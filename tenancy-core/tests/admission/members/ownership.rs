//! Ownership that is handed on in two steps.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{
    Membership, MembershipDirectory as _, OwnershipTerms, RoleDefinition, StoreErrorKind,
    SystemRole,
    outbox::{ClaimRequest, Outbox as _},
    testing::service,
};

use super::{alone, context, managing, member, own, refused, world};
use crate::support::World;

async fn roles(w: &World, users: [tenancy_core::UserId; 2]) -> [String; 2] {
    let mut roles = Vec::new();
    for user in users {
        let found = w.directory.find_membership(w.acme.id, user).await.unwrap();
        roles.push(found.unwrap().role.to_string());
    }
    roles.try_into().unwrap()
}

#[tokio::test]
async fn ownership_is_offered_accepted_once_and_told() {
    let w = world().await;
    alone(&w).await;
    let (alice, bob) = (w.alice, member(&w, SystemRole::Member).await);
    let carol = member(&w, SystemRole::Admin).await;
    let terms = OwnershipTerms::new();
    let alices = w.tenancy.admin(own(&w, alice).await);
    let offer = alices.offer_ownership(bob, &terms).await.unwrap();
    assert_eq!(
        offer.expires_at,
        w.clock_now() + Duration::from_secs(7 * 86_400)
    );
    assert_eq!(
        roles(&w, [alice, bob]).await,
        ["owner", "member"],
        "nothing yet"
    );

    // Only whom it is for sees it and accepts it, and whoever made it sees it too.
    let carols = w.tenancy.admin(own(&w, carol).await);
    assert_eq!(carols.find_ownership_offer(w.acme.id).await.unwrap(), None);
    refused(carols.accept_ownership().await, StoreErrorKind::NotFound);
    refused(carols.decline_ownership().await, StoreErrorKind::NotFound);
    refused(
        carols.withdraw_ownership_offer(w.acme.id).await,
        StoreErrorKind::NotFound,
    );
    refused(alices.accept_ownership().await, StoreErrorKind::NotFound);
    for user in [alice, bob] {
        let admin = w.tenancy.admin(own(&w, user).await);
        let found = admin.find_ownership_offer(w.acme.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&offer));
    }
    // Who may manage members, and is no owner, takes no offer of an owner back.
    let admins = w.tenancy.admin(managing(&w, carol).await);
    let withdrawn = admins.withdraw_ownership_offer(w.acme.id).await;
    refused(withdrawn, StoreErrorKind::Forbidden);

    let bobs = w.tenancy.admin(own(&w, bob).await);
    bobs.accept_ownership().await.unwrap();
    assert_eq!(roles(&w, [alice, bob]).await, ["admin", "owner"]);
    assert!(
        context(&w, bob)
            .await
            .unwrap()
            .require("billing:manage")
            .is_ok()
    );
    assert!(
        context(&w, alice)
            .await
            .unwrap()
            .require("billing:manage")
            .is_err()
    );
    refused(bobs.accept_ownership().await, StoreErrorKind::NotFound);

    let outbox = w.directory.directory().outbox();
    let claim = ClaimRequest::new("test".parse().unwrap());
    let claim = outbox.claim(&claim).await.unwrap().unwrap();
    let events = outbox.next_page(&claim, 100).await.unwrap().new;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.kind.as_str(), event.payload.clone()))
        .collect();
    let details = json!({ "from": alice, "from_becomes": "admin", "user": bob.to_string() });
    let changed = |user: tenancy_core::UserId, role: &str| {
        let payload = json!({ "user": user, "role": role, "status": "active" });
        ("membership.changed", payload)
    };
    assert_eq!(
        told,
        [
            ("ownership.offered", details.clone()),
            ("ownership.transferred", details),
            changed(bob, "owner"),
            changed(alice, "admin"),
        ]
    );
    assert!(events.iter().all(|event| event.tenant == Some(w.acme.id)));
}

#[tokio::test]
async fn an_offer_says_what_the_owner_becomes_and_for_how_long_it_stands() {
    let w = world().await;
    alone(&w).await;
    let (alice, bob) = (w.alice, member(&w, SystemRole::Viewer).await);
    let alices = w.tenancy.admin(own(&w, alice).await);
    let invalid = StoreErrorKind::Invalid;
    let day = Duration::from_secs(86_400);
    for wrong in [
        OwnershipTerms::new().becomes("nobody-defined-it".parse().unwrap()),
        OwnershipTerms::new().lasts(Duration::ZERO),
        OwnershipTerms::new().lasts(OwnershipTerms::MAX_LASTS + Duration::from_micros(1)),
    ] {
        refused(alices.offer_ownership(bob, &wrong).await, invalid);
    }
    let viewer = OwnershipTerms::new()
        .becomes(SystemRole::Viewer.name())
        .lasts(day);
    alices.offer_ownership(bob, &viewer).await.unwrap();
    let again = alices.offer_ownership(bob, &viewer).await;
    refused(again, StoreErrorKind::Conflict);
    w.clock.advance(day);
    let bobs = w.tenancy.admin(own(&w, bob).await);
    refused(bobs.accept_ownership().await, StoreErrorKind::NotFound);

    // It is in nobody's way, declined or withdrawn neither.
    let alices = w.tenancy.admin(own(&w, alice).await);
    alices.offer_ownership(bob, &viewer).await.unwrap();
    bobs.decline_ownership().await.unwrap();
    refused(bobs.accept_ownership().await, StoreErrorKind::NotFound);
    alices.offer_ownership(bob, &viewer).await.unwrap();
    alices.withdraw_ownership_offer(w.acme.id).await.unwrap();
    refused(bobs.accept_ownership().await, StoreErrorKind::NotFound);
    alices.offer_ownership(bob, &viewer).await.unwrap();
    w.tenancy
        .admin(service())
        .withdraw_ownership_offer(w.acme.id)
        .await
        .unwrap();
    refused(bobs.accept_ownership().await, StoreErrorKind::NotFound);
    assert_eq!(roles(&w, [alice, bob]).await, ["owner", "viewer"]);

    let stays = OwnershipTerms::new().becomes(SystemRole::Owner.name());
    alices.offer_ownership(bob, &stays).await.unwrap();
    bobs.accept_ownership().await.unwrap();
    assert_eq!(roles(&w, [alice, bob]).await, ["owner", "owner"]);
}

#[tokio::test]
async fn nobody_but_an_owner_offers_and_nobody_gets_more_by_it() {
    let w = world().await;
    alone(&w).await;
    let admin = member(&w, SystemRole::Admin).await;
    let bob = member(&w, SystemRole::Member).await;
    let terms = OwnershipTerms::new();
    let admins = w.tenancy.admin(own(&w, admin).await);
    for to in [bob, admin, w.alice, w.bob] {
        let offered = admins.offer_ownership(to, &terms).await;
        refused(offered, StoreErrorKind::Conflict);
    }
    let alices = w.tenancy.admin(own(&w, w.alice).await);
    for to in [w.alice, w.bob, tenancy_core::UserId::new()] {
        let offered = alices.offer_ownership(to, &terms).await;
        refused(offered, StoreErrorKind::Conflict);
    }
    let by_service = w
        .tenancy
        .admin(service())
        .offer_ownership(bob, &terms)
        .await;
    refused(by_service, StoreErrorKind::Forbidden);

    // The owner is one no more, and comes back as one: the offer is dead.
    alices.offer_ownership(bob, &terms).await.unwrap();
    let as_owner = Membership::new(w.acme.id, admin, SystemRole::Owner.name());
    let service = w.tenancy.admin(service());
    service.put_membership(&as_owner).await.unwrap();
    service.remove_membership(w.acme.id, w.alice).await.unwrap();
    let again = Membership::new(w.acme.id, w.alice, SystemRole::Owner.name());
    service.put_membership(&again).await.unwrap();
    let bobs = w.tenancy.admin(own(&w, bob).await);
    refused(bobs.accept_ownership().await, StoreErrorKind::NotFound);
}

/// The role that the owner is to have was there when the offer was made, and is gone, or has a fault, when it is accepted.
#[tokio::test]
async fn nobody_becomes_what_is_not_defined_any_more() {
    let w = world().await;
    alone(&w).await;
    let (alice, bob) = (w.alice, member(&w, SystemRole::Member).await);
    let by_service = w.tenancy.admin(service());
    let advisor = RoleDefinition::new("advisor".parse().unwrap()).include(SystemRole::Viewer);
    by_service.put_role(w.acme.id, &advisor).await.unwrap();
    let terms = OwnershipTerms::new().becomes(advisor.name.clone());
    let alices = w.tenancy.admin(own(&w, alice).await);
    alices.offer_ownership(bob, &terms).await.unwrap();
    by_service
        .remove_role(w.acme.id, &advisor.name)
        .await
        .unwrap();

    let bobs = w.tenancy.admin(own(&w, bob).await);
    refused(bobs.accept_ownership().await, StoreErrorKind::Conflict);
    assert_eq!(roles(&w, [alice, bob]).await, ["owner", "member"]);
    by_service.put_role(w.acme.id, &advisor).await.unwrap();
    bobs.accept_ownership().await.unwrap();
    assert_eq!(roles(&w, [alice, bob]).await, ["advisor", "owner"]);
}
