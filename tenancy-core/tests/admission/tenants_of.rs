//! The tenants among which a user may choose: those of an active membership, as far as the credential reaches.

use serde_json::json;
use tenancy_core::{
    Actor, Admitted, AllowedTenants, MemberFilter, Membership, MembershipStatus, Principal,
    RouteNeeds, ServiceId, StoreErrorKind, SystemRole, TenantId, TenantKey, TenantRecord,
    TenantStatus, UserId,
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::support::World;

/// Alice is a member of acme, and of two tenants more; another one is deleted, and in two others she is no
/// active member. Her own, by id.
async fn hers(w: &World) -> Vec<TenantId> {
    let mut hers = vec![w.acme.id];
    for (slug, membership, status) in [
        (
            "first",
            Some(MembershipStatus::Active),
            TenantStatus::Active,
        ),
        (
            "stopped",
            Some(MembershipStatus::Active),
            TenantStatus::Suspended,
        ),
        (
            "gone",
            Some(MembershipStatus::Active),
            TenantStatus::Deleted,
        ),
        (
            "invites",
            Some(MembershipStatus::Invited),
            TenantStatus::Active,
        ),
        ("strange", None, TenantStatus::Active),
    ] {
        let tenant = TenantRecord::new(slug.parse().unwrap(), slug).with_status(status);
        w.directory.create_tenant(&tenant).await.unwrap();
        let bob = Membership::new(tenant.id, w.bob, SystemRole::Owner.name());
        w.directory.put_membership(&bob).await.unwrap();
        if let Some(membership) = membership {
            let alice = Membership::new(tenant.id, w.alice, SystemRole::Viewer.name());
            let alice = alice.with_status(membership);
            w.directory.put_membership(&alice).await.unwrap();
            if membership == MembershipStatus::Active && status != TenantStatus::Deleted {
                hers.push(tenant.id);
            }
        }
    }
    hers.sort_unstable();
    hers
}

/// The caller of a central route.
async fn caller(w: &World, claims: serde_json::Value) -> Principal {
    let request = FakeRequest::new("/").bearer(&w.token(w.alice, claims));
    match w.admit_as(&request, RouteNeeds::central()).await.unwrap() {
        Admitted::NoTenant(Some(principal)) => principal.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

async fn told(w: &World, principal: &Principal) -> Vec<TenantId> {
    let told = w.tenancy.tenants_of(principal, None, 100).await.unwrap();
    for it in &told {
        assert_eq!(it.membership.tenant, it.record.id);
        assert_eq!(it.membership.user, w.alice);
    }
    told.iter().map(|it| it.record.id).collect()
}

#[tokio::test]
async fn a_user_is_told_of_each_active_membership_and_of_no_other_tenant() {
    let w = World::new().await;
    let hers = hers(&w).await;
    let alice = caller(&w, json!({})).await;
    assert_eq!(told(&w, &alice).await, hers);

    let mut pages = Vec::new();
    while let page = w
        .tenancy
        .tenants_of(&alice, pages.last().copied(), 2)
        .await
        .unwrap()
        && !page.is_empty()
    {
        assert!(page.len() <= 2);
        pages.extend(page.iter().map(|it| it.record.id));
    }
    assert_eq!(pages, hers);

    // From the next call on.
    w.directory
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    assert!(!told(&w, &alice).await.contains(&w.acme.id));
}

#[tokio::test]
async fn a_credential_that_names_tenants_is_told_of_those_alone() {
    let w = World::new().await;
    let hers = hers(&w).await;
    let named = |slug: &str| TenantKey::Slug(slug.parse().unwrap());
    let mut alice = caller(&w, json!({})).await;
    alice.allowed_tenants = AllowedTenants::Bound(named("acme"));
    assert_eq!(told(&w, &alice).await, [w.acme.id]);
    // No member, not any more, not yet, and no such tenant.
    for stranger in ["globex", "gone", "invites", "nobody"] {
        alice.allowed_tenants = AllowedTenants::Bound(named(stranger));
        assert_eq!(told(&w, &alice).await, [], "{stranger}");
    }
    let tenants = ["stopped", "globex", "first", "first", "acme"]
        .map(named)
        .to_vec();
    alice.allowed_tenants = AllowedTenants::Set {
        tenants,
        default: None,
    };
    assert_eq!(told(&w, &alice).await, hers);
    let first = w.tenancy.tenants_of(&alice, None, 1).await.unwrap();
    assert_eq!(first.first().map(|it| it.record.id), hers.first().copied());
    let rest = w
        .tenancy
        .tenants_of(&alice, hers.first().copied(), 100)
        .await
        .unwrap();
    let rest: Vec<_> = rest.iter().map(|it| it.record.id).collect();
    assert_eq!(rest.as_slice(), hers.get(1..).unwrap());
}

#[tokio::test]
async fn only_users_have_tenants_to_choose_from() {
    let w = World::new().await;
    for actor in [
        Actor::Anonymous,
        Actor::System,
        Actor::Service(ServiceId::from_uuid(w.alice.as_uuid())),
    ] {
        let principal = Principal::new(actor, AllowedTenants::Memberships, "test");
        let refused = w
            .tenancy
            .tenants_of(&principal, None, 100)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
    }
    let nobody = Principal::new(
        Actor::User(UserId::new()),
        AllowedTenants::Memberships,
        "test",
    );
    assert_eq!(w.tenancy.tenants_of(&nobody, None, 100).await.unwrap(), []);
}

#[tokio::test]
async fn operators_list_the_tenants_of_any_user_and_a_tenants_own_authority_lists_none() {
    let w = World::new().await;
    let hers = hers(&w).await;
    let all = MemberFilter::new();
    let admin = w.tenancy.admin(service());
    let told = admin
        .list_tenants_of(w.alice, &all, None, 100)
        .await
        .unwrap();
    assert_eq!(told.len(), hers.len() + 1, "the open invitation besides");
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let admin = w.tenancy.admin(context.authority("notes:write").unwrap());
    let refused = admin.list_tenants_of(w.alice, &all, None, 100).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Forbidden);
}

#[tokio::test]
async fn a_store_that_is_down_is_no_empty_list() {
    let w = World::new().await;
    let alice = caller(&w, json!({})).await;
    let bound = {
        let mut bound = alice.clone();
        bound.allowed_tenants = AllowedTenants::Bound(w.acme.id.into());
        bound
    };
    w.directory.fail(true);
    for principal in [&alice, &bound] {
        let down = w
            .tenancy
            .tenants_of(principal, None, 100)
            .await
            .unwrap_err();
        assert_eq!(down.kind(), StoreErrorKind::Unavailable);
    }
}
