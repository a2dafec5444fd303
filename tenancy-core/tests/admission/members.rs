//! Members: changed, suspended, removed and gone of their own accord, with an owner left all the time.

mod departures;
mod model;
mod ownership;

use serde_json::json;
use tenancy_core::{
    Authority, Membership, MembershipDirectory as _, MembershipStatus, Outcome, PermissionRegistry,
    Refusal, RoleName, StoreError, StoreErrorKind, SystemRole, TenantContext, UserId,
    key::NewKey,
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::{
    keys::{alices, issue, with, with_keys},
    support::{World, answer},
};

/// A world with a permission for each of the system's roles, with API keys.
pub(crate) async fn world() -> World {
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .permission("members:manage", SystemRole::Admin)
        .permission("billing:manage", SystemRole::Owner)
        .build()
        .unwrap();
    World::over(|directory, builder| with_keys(directory, builder).permissions(permissions)).await
}

pub(crate) async fn context(w: &World, user: UserId) -> Result<TenantContext, Refusal> {
    let request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&w.token(user, json!({})));
    w.admit(&request).await
}

async fn managing(w: &World, user: UserId) -> Authority {
    let context = context(w, user).await.unwrap();
    context.authority("members:manage").unwrap()
}

pub(crate) async fn own(w: &World, user: UserId) -> Authority {
    context(w, user).await.unwrap().own_authority().unwrap()
}

/// Adds an active member of acme.
pub(crate) async fn member(w: &World, role: SystemRole) -> UserId {
    let user = UserId::new();
    let member = Membership::new(w.acme.id, user, role.name());
    w.directory.put_membership(&member).await.unwrap();
    w.tenancy.invalidate(w.acme.id);
    user
}

/// Makes Alice the only owner of acme.
pub(crate) async fn alone(w: &World) {
    let owners = tenancy_core::MemberFilter::new().role(SystemRole::Owner);
    let owners = w.directory.list_members(w.acme.id, &owners, None, 10).await;
    for owner in owners.unwrap() {
        if owner.user != w.alice {
            w.directory
                .remove_membership(w.acme.id, owner.user)
                .await
                .unwrap();
        }
    }
    w.tenancy.invalidate(w.acme.id);
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(done: Result<T, StoreError>, kind: StoreErrorKind) {
    let error = done.expect_err("the change is to be refused");
    assert_eq!(error.kind(), kind, "{error}");
}

fn owner() -> RoleName {
    SystemRole::Owner.name()
}

#[tokio::test]
async fn a_role_is_changed_from_the_next_request_on_and_the_status_stays() {
    let w = world().await;
    let (admin, bob) = (
        member(&w, SystemRole::Admin).await,
        member(&w, SystemRole::Member).await,
    );
    assert!(
        context(&w, bob)
            .await
            .unwrap()
            .require("notes:write")
            .is_ok()
    );
    let admins = w.tenancy.admin(managing(&w, admin).await);
    let viewer = SystemRole::Viewer.name();
    let changed = admins.change_role(w.acme.id, bob, viewer.clone()).await;
    assert_eq!(
        changed.unwrap(),
        Membership::new(w.acme.id, bob, viewer.clone())
    );
    let denied = context(&w, bob).await.unwrap().require("notes:write");
    assert_eq!(answer(denied), (403, "permission-not-held"));

    let invited = Membership::new(w.acme.id, UserId::new(), SystemRole::Member.name())
        .with_status(MembershipStatus::Invited);
    admins.put_membership(&invited).await.unwrap();
    let changed = admins.change_role(w.acme.id, invited.user, viewer).await;
    assert_eq!(changed.unwrap().status, MembershipStatus::Invited);
    let resumed = admins.resume_member(w.acme.id, invited.user).await;
    refused(resumed, StoreErrorKind::IllegalTransition);

    let nobody = UserId::new();
    let not_found = StoreErrorKind::NotFound;
    let member = SystemRole::Member.name();
    refused(
        admins.change_role(w.acme.id, nobody, member.clone()).await,
        not_found,
    );
    refused(admins.suspend_member(w.acme.id, nobody).await, not_found);
    refused(admins.resume_member(w.acme.id, nobody).await, not_found);
    // Another tenant's is not theirs to change, and is not found to be there.
    let elsewhere = admins.change_role(w.globex.id, w.bob, member.clone()).await;
    refused(elsewhere, StoreErrorKind::Forbidden);
    refused(
        admins.change_role(w.acme.id, w.bob, member).await,
        not_found,
    );
    let bobs = w
        .directory
        .find_membership(w.globex.id, w.bob)
        .await
        .unwrap();
    assert_eq!(bobs, Some(Membership::new(w.globex.id, w.bob, owner())));
}

#[tokio::test]
async fn a_suspended_member_and_the_members_keys_are_refused_until_they_are_resumed() {
    let w = world().await;
    let bob = member(&w, SystemRole::Member).await;
    let new = NewKey::new(w.acme.id, bob, "bob's", ["notes:read".parse().unwrap()]);
    let key = issue(&w, new).await;
    assert!(context(&w, bob).await.is_ok() && w.admit(&with(&key)).await.is_ok());
    let admin = w.tenancy.admin(service());
    for _ in 0..2 {
        let suspended = admin.suspend_member(w.acme.id, bob).await.unwrap();
        assert_eq!(suspended.status, MembershipStatus::Suspended);
    }
    assert_eq!(answer(context(&w, bob).await).1, "membership-not-active");
    assert_eq!(w.refused(&with(&key)).await, (404, "membership-not-active"));
    for _ in 0..2 {
        let resumed = admin.resume_member(w.acme.id, bob).await.unwrap();
        assert_eq!(
            resumed,
            Membership::new(w.acme.id, bob, SystemRole::Member.name())
        );
    }
    assert!(context(&w, bob).await.is_ok() && w.admit(&with(&key)).await.is_ok());
}

/// A caller who may manage members takes nothing from an owner, on any of the paths.
#[tokio::test]
async fn an_admin_changes_no_owner_and_makes_none() {
    let w = world().await;
    let (admin, heir) = (
        member(&w, SystemRole::Admin).await,
        member(&w, SystemRole::Member).await,
    );
    let admins = w.tenancy.admin(managing(&w, admin).await);
    let (acme, alice, forbidden) = (w.acme.id, w.alice, StoreErrorKind::Forbidden);
    let to_heir = tenancy_core::KeysGo::To(heir);
    refused(
        admins
            .change_role(acme, alice, SystemRole::Admin.name())
            .await,
        forbidden,
    );
    refused(admins.change_role(acme, admin, owner()).await, forbidden);
    refused(admins.change_role(acme, heir, owner()).await, forbidden);
    refused(admins.suspend_member(acme, alice).await, forbidden);
    refused(admins.remove_membership(acme, alice).await, forbidden);
    refused(
        admins.remove_membership_with(acme, alice, to_heir).await,
        forbidden,
    );
    w.tenancy
        .admin(service())
        .suspend_member(acme, alice)
        .await
        .unwrap();
    refused(admins.resume_member(acme, alice).await, forbidden);
    assert_eq!(w.last_audit().outcome, Outcome::Refused);
    assert_eq!(w.last_audit().action, "membership.resume");
}

/// The service, an operator and the owner: whoever it is, on each path, and within one tenant only.
#[tokio::test]
async fn the_last_owner_goes_on_no_path_and_on_nobodys_authority() {
    let w = world().await;
    alone(&w).await;
    let (acme, alice, conflict) = (w.acme.id, w.alice, StoreErrorKind::Conflict);
    let globex = w
        .directory
        .find_membership(w.globex.id, w.bob)
        .await
        .unwrap();
    assert!(
        globex.unwrap().is_active_owner(),
        "another tenant has owners"
    );
    let operator = tenancy_core::Principal::new(
        tenancy_core::Actor::User(UserId::new()),
        tenancy_core::AllowedTenants::Memberships,
        "staff",
    );
    let operator = tenancy_core::danger::operator(&operator, None, "ticket 1").unwrap();
    let of_alice = context(&w, alice).await.unwrap();
    for authority in [
        service(),
        operator,
        of_alice.authority("members:manage").unwrap(),
    ] {
        let admin = w.tenancy.admin(authority);
        let viewer = SystemRole::Viewer.name();
        let as_viewer = Membership::new(acme, alice, viewer.clone());
        refused(admin.put_membership(&as_viewer).await, conflict);
        refused(admin.change_role(acme, alice, viewer).await, conflict);
        refused(admin.suspend_member(acme, alice).await, conflict);
        let removed = admin.remove_membership(acme, alice).await;
        let said = removed.as_ref().unwrap_err().to_string();
        assert!(
            said.ends_with("make somebody else an owner first"),
            "{said}"
        );
        refused(removed, conflict);
    }
    refused(
        w.tenancy.admin(own(&w, alice).await).leave().await,
        conflict,
    );
    assert!(
        context(&w, alice)
            .await
            .unwrap()
            .require("billing:manage")
            .is_ok()
    );
    // With somebody else it is no matter any more.
    let next = member(&w, SystemRole::Owner).await;
    w.tenancy.admin(own(&w, alice).await).leave().await.unwrap();
    assert_eq!(answer(context(&w, alice).await).1, "not-a-member");
    assert!(context(&w, next).await.is_ok());
}

#[tokio::test]
async fn a_member_leaves_without_a_permission_and_comes_back_as_a_stranger() {
    let w = world().await;
    let bob = member(&w, SystemRole::Viewer).await;
    let key = issue(
        &w,
        NewKey::new(w.acme.id, bob, "ci", ["*".parse().unwrap()]),
    )
    .await;
    assert!(w.admit(&with(&key)).await.is_ok());
    let bobs = context(&w, bob).await.unwrap();
    let authority = bobs.own_authority().unwrap();
    let admin = w.tenancy.admin(authority);
    admin.leave().await.unwrap();
    assert_eq!(answer(context(&w, bob).await), (404, "not-a-member"));
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
    // The context is from before, and does not make him one again.
    refused(admin.leave().await, StoreErrorKind::Forbidden);
    let trail = w.directory.directory().outbox().trail();
    let left = trail
        .iter()
        .find(|entry| entry.action == "membership.leave");
    assert_eq!(left.unwrap().actor, Some(tenancy_core::Actor::User(bob)));

    let back = Membership::new(w.acme.id, bob, owner());
    w.tenancy
        .admin(service())
        .put_membership(&back)
        .await
        .unwrap();
    assert!(context(&w, bob).await.is_ok());
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
}

/// A user's own authority does nothing but what is the user's own, and credentials that were given to others have none.
#[tokio::test]
async fn an_own_authority_is_good_for_the_own_place_alone() {
    let w = world().await;
    let (acme, alice) = (w.acme.id, w.alice);
    let bob = member(&w, SystemRole::Viewer).await;
    let forbidden = StoreErrorKind::Forbidden;
    let of_alice = context(&w, alice).await.unwrap();
    let admin = w.tenancy.admin(of_alice.own_authority().unwrap());
    let viewer = SystemRole::Viewer.name();
    refused(admin.rename(acme, "x").await, forbidden);
    refused(admin.suspend(acme).await, forbidden);
    refused(
        admin.change_role(acme, bob, viewer.clone()).await,
        forbidden,
    );
    refused(
        admin.change_role(acme, alice, viewer.clone()).await,
        forbidden,
    );
    refused(
        admin
            .put_membership(&Membership::new(acme, bob, viewer))
            .await,
        forbidden,
    );
    refused(admin.remove_membership(acme, bob).await, forbidden);
    refused(
        admin.list_members(acme, &Default::default(), None, 9).await,
        forbidden,
    );
    let departure = admin.departure(acme, bob, Default::default()).await;
    refused(departure, forbidden);
    refused(admin.find_ownership_offer(w.globex.id).await, forbidden);
    assert!(
        admin
            .departure(acme, alice, Default::default())
            .await
            .is_ok()
    );
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(of_alice.own_authority().unwrap().because("a test"));
    refused(keys.revoke_tenant(acme).await, forbidden);
    refused(keys.issue(alices(&w)).await, forbidden);
    // Nor does another authority do what is a user's own.
    let managing = w
        .tenancy
        .admin(of_alice.authority("members:manage").unwrap());
    refused(managing.leave().await, forbidden);
    refused(w.tenancy.admin(service()).leave().await, forbidden);
    refused(
        w.tenancy.admin(service()).accept_ownership().await,
        forbidden,
    );
    // Of another engine.
    let other = world().await;
    refused(
        other
            .tenancy
            .admin(of_alice.own_authority().unwrap())
            .leave()
            .await,
        forbidden,
    );

    let key = issue(&w, alices(&w)).await;
    let by_key = w.admit(&with(&key)).await.unwrap();
    assert_eq!(answer(by_key.own_authority()).0, 403);
    assert_eq!(w.last_audit().target.as_deref(), Some("membership:own"));
}

/// What was seen decides: an owner who has just become one is not demoted by whoever saw a member.
#[tokio::test]
async fn who_has_become_an_owner_meanwhile_is_not_changed() {
    let w = world().await;
    let (admin, bob) = (
        member(&w, SystemRole::Admin).await,
        member(&w, SystemRole::Member).await,
    );
    let admins = w.tenancy.admin(managing(&w, admin).await);
    // The engine looks at the caller, and then at the member: that answer is held back.
    let viewer = SystemRole::Viewer.name();
    let mut changed = 0;
    for after in 0..8 {
        let as_member = Membership::new(w.acme.id, bob, SystemRole::Member.name());
        w.directory.put_membership(&as_member).await.unwrap();
        w.tenancy.invalidate(w.acme.id);
        w.directory.hold_answer(after);
        let mut demoting = Box::pin(admins.change_role(w.acme.id, bob, viewer.clone()));
        let before = tokio::time::timeout(std::time::Duration::from_millis(20), &mut demoting);
        if let Ok(done) = before.await {
            // Nothing was asked that late.
            done.unwrap();
            w.directory.tell();
            continue;
        }
        w.directory
            .put_membership(&Membership::new(w.acme.id, bob, owner()))
            .await
            .unwrap();
        w.directory.tell();
        let done = demoting.await;
        let found = w.directory.find_membership(w.acme.id, bob).await.unwrap();
        assert!(found.unwrap().is_active_owner(), "{after}: {done:?}");
        let kind = done.unwrap_err().kind();
        changed += u32::from(kind == StoreErrorKind::Conflict);
    }
    assert!(
        changed > 0,
        "none of the answers was the one about the member"
    );
}
