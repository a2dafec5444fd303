//! Tenants: names that change, and listings.

use super::{new_tenant, slug};
use crate::{
    Directory, DirectoryStore, Slug, StoreErrorKind, TenantFilter, TenantId, TenantRecord,
    TenantStatus, testing::unattributed,
};

/// A tenant is renamed, and nothing else of it changes.
pub async fn a_tenant_is_renamed<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let name = "Fände & Söhne '\"; --";
    directory
        .rename(one.id, name, &unattributed())
        .await
        .unwrap();
    let found = directory
        .find_tenant(&one.id.into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.name.as_str(), found.slug), (name, one.slug));
    let found = directory.find_tenant(&other.id.into()).await.unwrap();
    assert_eq!(found.unwrap().name, other.name);
}

/// A tenant with another slug is found by that one alone. The old one rests: no other tenant may take it, and the
/// tenant itself may.
pub async fn a_slug_is_replaced<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let find = async |slug: &Slug| {
        let found = directory.find_tenant(&slug.clone().into()).await.unwrap();
        found.map(|tenant| (tenant.id, tenant.slug))
    };
    let taken = directory
        .set_slug(one.id, &other.slug, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), StoreErrorKind::Conflict);
    assert_eq!(find(&one.slug).await, Some((one.id, one.slug.clone())));
    assert_eq!(
        find(&other.slug).await,
        Some((other.id, other.slug.clone()))
    );

    let new = slug("new");
    for _ in 0..2 {
        directory
            .set_slug(one.id, &new, &unattributed())
            .await
            .expect("the slug that it has is no other's");
    }
    assert_eq!(find(&new).await, Some((one.id, new.clone())));
    assert_eq!(find(&one.slug).await, None);
    let rests = directory
        .set_slug(other.id, &one.slug, &unattributed())
        .await;
    assert_eq!(rests.unwrap_err().kind(), StoreErrorKind::Conflict);
    let again = TenantRecord::new(one.slug.clone(), "Successor");
    let rests = directory.create_tenant(&again, &unattributed()).await;
    assert_eq!(rests.unwrap_err().kind(), StoreErrorKind::Conflict);
    let made = directory.find_tenant(&again.id.into()).await.unwrap();
    assert_eq!((made, find(&one.slug).await), (None, None));

    directory
        .set_slug(one.id, &one.slug, &unattributed())
        .await
        .expect("its own slug rests for others");
    assert_eq!(find(&one.slug).await, Some((one.id, one.slug.clone())));
    let rests = directory.set_slug(other.id, &new, &unattributed()).await;
    assert_eq!(rests.unwrap_err().kind(), StoreErrorKind::Conflict);
}

/// A tenant can't reserve names by taking one after the other.
pub async fn a_tenants_resting_slugs_are_bounded<D: Directory + DirectoryStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let mut slugs = vec![tenant.slug];
    for _ in 0..Slug::MAX_RESTING {
        let next = slug("next");
        directory
            .set_slug(tenant.id, &next, &unattributed())
            .await
            .unwrap();
        slugs.push(next);
    }
    let more = directory
        .set_slug(tenant.id, &slug("more"), &unattributed())
        .await;
    assert_eq!(more.unwrap_err().kind(), StoreErrorKind::Conflict);
    directory
        .set_slug(tenant.id, &slugs[0], &unattributed())
        .await
        .expect("one of its own makes room");
    let found = directory.find_tenant(&tenant.id.into()).await.unwrap();
    assert_eq!(found.unwrap().slug, slugs[0]);
}

/// Tenants are listed by id, in pages, and only those that are asked for.
pub async fn tenants_are_listed_in_pages<D: Directory + DirectoryStore>(directory: &D) {
    // A prefix that no other tenant has, and in which a pattern would see a wildcard.
    let prefix = slug("list");
    let prefix = prefix.as_str().get(..30).expect("a slug of so many bytes");
    let mut tenants = Vec::new();
    for number in 0..7 {
        let slug = format!("{prefix}-{number}").parse().unwrap();
        let mut tenant = TenantRecord::new(slug, "A tenant").with_status(TenantStatus::Active);
        tenant.plan = (number % 2 == 0).then(|| "pro".into());
        directory
            .create_tenant(&tenant, &unattributed())
            .await
            .unwrap();
        tenants.push(tenant);
    }
    tenants.sort_by_key(|tenant| tenant.id);
    let (first, last) = (&tenants[0], &tenants[6]);
    let suspended = directory
        .set_status(last.id, TenantStatus::Suspended, &unattributed())
        .await
        .unwrap();

    let all = TenantFilter::new().slug_prefix(prefix);
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = directory.list_tenants(&all, after, 3).await.unwrap();
        let Some(end) = page.last() else { break };
        after = Some(end.id);
        pages.push(ids(&page));
    }
    let wanted: Vec<_> = ids(&tenants).chunks(3).map(<[_]>::to_vec).collect();
    assert_eq!(pages, wanted);
    let found = directory.find_tenant(&first.id.into()).await.unwrap();
    let page = directory.list_tenants(&all, None, 1).await.unwrap();
    assert_eq!(page.first(), found.as_ref(), "with all that it has");

    let listed = async |filter: TenantFilter| {
        let page = directory.list_tenants(&filter, None, 100).await.unwrap();
        ids(&page)
    };
    let on_plan = ids(tenants.iter().filter(|tenant| tenant.plan.is_some()));
    assert_eq!(listed(all.clone().plan("pro")).await, on_plan);
    let now_suspended = all.clone().status(TenantStatus::Suspended);
    assert_eq!(listed(now_suspended.clone()).await, [suspended.id]);
    let mut both = on_plan;
    both.retain(|id| *id == suspended.id);
    assert_eq!(listed(now_suspended.plan("pro")).await, both);
    assert!(listed(all.clone().plan("PRO")).await.is_empty());
    for wildcard in ["%", "_", "\\", "'; --"] {
        let none = TenantFilter::new().slug_prefix(format!("{prefix}{wildcard}"));
        assert!(listed(none).await.is_empty(), "{wildcard}");
    }
    let one = TenantFilter::new().slug_prefix(first.slug.as_str());
    assert_eq!(listed(one).await, [first.id]);
    let without = directory.list_tenants(&TenantFilter::new(), None, 1).await;
    assert_eq!(without.unwrap().len(), 1);
}

fn ids<'a>(tenants: impl IntoIterator<Item = &'a TenantRecord>) -> Vec<TenantId> {
    tenants.into_iter().map(|tenant| tenant.id).collect()
}
