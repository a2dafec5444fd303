//! Further names of tenants: unbound, and listed.

use super::new_tenant;
use crate::{Directory, DirectoryStore, DomainName, TenantKey, testing::unattributed};

fn external(provider: &str, id: &str) -> TenantKey {
    TenantKey::External {
        provider: provider.into(),
        id: id.into(),
    }
}

/// A name is unbound by the tenant that has it, and free then.
pub async fn names_are_unbound<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let domain: DomainName = format!("{}.example.com", one.slug).parse().unwrap();
    let id = one.slug.as_str();
    let keys = [domain.clone().into(), external("crm", id)];
    let owner = async |key: &TenantKey| {
        let found = directory.find_tenant(key).await.unwrap();
        found.map(|tenant| tenant.id)
    };
    for (has, has_not) in [(&one, &other), (&other, &one)] {
        directory
            .bind_domain(has.id, &domain, &unattributed())
            .await
            .unwrap();
        directory
            .bind_external(has.id, "crm", id, &unattributed())
            .await
            .unwrap();
        // Another's is not there, and what is not there is no error.
        directory
            .unbind_domain(has_not.id, &domain, &unattributed())
            .await
            .unwrap();
        directory
            .unbind_external(has_not.id, "crm", id, &unattributed())
            .await
            .unwrap();
        directory
            .unbind_external(has.id, "another", id, &unattributed())
            .await
            .unwrap();
        for key in &keys {
            assert_eq!(owner(key).await, Some(has.id), "{key}");
        }
        for _ in 0..2 {
            directory
                .unbind_domain(has.id, &domain, &unattributed())
                .await
                .unwrap();
            directory
                .unbind_external(has.id, "crm", id, &unattributed())
                .await
                .unwrap();
        }
        for key in &keys {
            assert_eq!(owner(key).await, None, "{key}");
        }
    }
}

/// A tenant's names are listed in pages, domains first, each in the order of its bytes.
pub async fn names_are_listed_in_pages<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let (own, another) = (one.slug.as_str(), other.slug.as_str());
    let domains = [format!("a-b.{own}.example"), format!("ab.{own}.example")];
    for domain in &domains {
        let domain = domain.parse().unwrap();
        directory
            .bind_domain(one.id, &domain, &unattributed())
            .await
            .unwrap();
    }
    // In the order of bytes, and of no language.
    let externals = [("A", "b"), ("A", "\u{e4}"), ("a", "B"), ("a", "a")];
    let externals = externals.map(|(provider, id)| (provider, format!("{id}-{own}")));
    for (provider, id) in &externals {
        directory
            .bind_external(one.id, provider, id, &unattributed())
            .await
            .unwrap();
    }
    directory
        .bind_external(other.id, "a", another, &unattributed())
        .await
        .unwrap();
    let names = domains.iter().map(|domain| domain.parse().unwrap());
    let names = names.map(|domain: DomainName| domain.into());
    let ids = externals
        .iter()
        .map(|(provider, id)| external(provider, id));
    let wanted: Vec<TenantKey> = names.chain(ids).collect();

    for size in [1, 4, 6, 100] {
        let mut listed = Vec::<TenantKey>::new();
        loop {
            let page = directory.list_names(one.id, listed.last(), size).await;
            let page = page.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= size as usize);
            listed.extend(page);
        }
        assert_eq!(listed, wanted, "in pages of {size}");
    }
    let theirs = directory.list_names(other.id, None, 100).await.unwrap();
    assert_eq!(theirs, [external("a", another)]);
    let nobody = crate::TenantId::new();
    let none = directory.list_names(nobody, None, 100).await.unwrap();
    assert_eq!(none, []);
}
