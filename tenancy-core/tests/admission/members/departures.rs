//! What hangs on a member who goes, and where the keys go.

use serde_json::json;
use tenancy_core::{
    Grant, KeyFate, KeysGo, Membership, OwnershipTerms, Project, ProjectAccess, ProjectMembership,
    RoleDefinition, StoreErrorKind, SystemRole, UserId,
    key::{IssuedKey, KeyDirectory as _, NewKey},
    testing::{FakeRequest, StoreDirectly as _, service},
};

use super::{context, managing, member, own, refused, world};
use crate::{
    keys::{issue, with},
    support::World,
};

fn grants(names: &[&str]) -> Vec<Grant> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn key_of(w: &World, user: UserId, scopes: &[&str]) -> NewKey {
    NewKey::new(w.acme.id, user, scopes.join(" "), grants(scopes))
}

#[tokio::test]
async fn a_departure_says_what_hangs_on_a_member_and_what_becomes_of_it() {
    let w = world().await;
    let bob = member(&w, SystemRole::Owner).await;
    let heir = member(&w, SystemRole::Member).await;
    let all = issue(&w, key_of(&w, bob, &["*"])).await;
    let billing = issue(&w, key_of(&w, bob, &["billing:manage"])).await;
    let strangers = issue(&w, key_of(&w, heir, &["*"])).await;
    let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), "Roadmap");
    w.directory.put_project(&project).await.unwrap();
    let role = ProjectMembership::new(w.acme.id, project.id, bob, SystemRole::Viewer.name());
    w.directory.put_project_membership(&role).await.unwrap();
    let offered = w.tenancy.admin(own(&w, bob).await);
    let offer = offered
        .offer_ownership(heir, &OwnershipTerms::new())
        .await
        .unwrap();

    let admin = w.tenancy.admin(managing(&w, w.alice).await);
    let goes = admin
        .departure(w.acme.id, bob, KeysGo::Revoked)
        .await
        .unwrap();
    let fates: Vec<_> = goes
        .keys
        .iter()
        .map(|(key, fate)| (key.id, fate.clone()))
        .collect();
    let mut revoked = vec![all.record().id, billing.record().id];
    revoked.sort();
    assert_eq!(fates, revoked.map_fate(KeyFate::Revoked));
    assert_eq!(goes.project_roles, [role]);
    assert_eq!(goes.ownership_offer, Some(offer));
    assert!(!goes.is_last_owner && !goes.has_more_keys);
    assert_eq!(goes.membership.user, bob);
    assert!(w.admit(&with(&all)).await.is_ok(), "it only says so");

    let goes = admin
        .departure(w.acme.id, bob, KeysGo::To(heir))
        .await
        .unwrap();
    for (key, fate) in goes.keys {
        let wanted = if key.id == all.record().id {
            KeyFate::HandedOver(grants(&["notes:read", "notes:write"]))
        } else {
            KeyFate::Revoked
        };
        assert_eq!(fate, wanted);
    }
    let none = admin
        .departure(w.acme.id, UserId::new(), KeysGo::Revoked)
        .await;
    refused(none, StoreErrorKind::NotFound);

    admin.remove_membership(w.acme.id, bob).await.unwrap();
    for key in [&all, &billing] {
        assert_eq!(w.refused(&with(key)).await, (401, "key-revoked"));
    }
    assert!(w.admit(&with(&strangers)).await.is_ok());
    let heirs = w.tenancy.admin(own(&w, heir).await);
    refused(heirs.accept_ownership().await, StoreErrorKind::NotFound);
    let back = Membership::new(w.acme.id, bob, SystemRole::Owner.name());
    w.tenancy
        .admin(service())
        .put_membership(&back)
        .await
        .unwrap();
    assert_eq!(w.refused(&with(&all)).await, (401, "key-revoked"));
    let goes = admin
        .departure(w.acme.id, bob, KeysGo::Revoked)
        .await
        .unwrap();
    assert!(goes.keys.is_empty() && goes.project_roles.is_empty());
    assert_eq!(goes.ownership_offer, None);
}

trait MapFate {
    fn map_fate(self, fate: KeyFate) -> Vec<(tenancy_core::KeyId, KeyFate)>;
}

impl MapFate for Vec<tenancy_core::KeyId> {
    fn map_fate(self, fate: KeyFate) -> Vec<(tenancy_core::KeyId, KeyFate)> {
        self.into_iter().map(|key| (key, fate.clone())).collect()
    }
}

/// Ann's key runs the nightly build. Whoever takes over has a key that works, and may do no more than either could.
#[tokio::test]
async fn a_key_that_is_handed_over_works_on_and_grows_with_nobody() {
    let w = world().await;
    let ann = member(&w, SystemRole::Member).await;
    let heir = member(&w, SystemRole::Viewer).await;
    let key = issue(&w, key_of(&w, ann, &["*"])).await;
    let by_key = async |permission: &str| {
        let context = w.admit(&with(&key)).await.unwrap();
        context.require(permission).is_ok()
    };
    assert!(by_key("notes:write").await);
    let admin = w.tenancy.admin(managing(&w, w.alice).await);
    admin
        .remove_membership_with(w.acme.id, ann, KeysGo::To(heir))
        .await
        .unwrap();
    assert!(by_key("notes:read").await && !by_key("notes:write").await);
    let context = w.admit(&with(&key)).await.unwrap();
    assert_eq!(context.principal().on_behalf_of, Some(heir));
    let stored = w
        .directory
        .directory()
        .find_key(key.record().id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.creator, stored.scopes),
        (heir, grants(&["notes:read"]))
    );
    // The new holder rises, and who has left comes back as an owner: the key does not follow.
    admin
        .change_role(w.acme.id, heir, SystemRole::Owner.name())
        .await
        .unwrap();
    let back = Membership::new(w.acme.id, ann, SystemRole::Owner.name());
    admin.put_membership(&back).await.unwrap();
    assert!(by_key("notes:read").await && !by_key("notes:write").await);
    // It follows the new holder down, and out.
    admin.suspend_member(w.acme.id, heir).await.unwrap();
    assert_eq!(w.refused(&with(&key)).await, (404, "membership-not-active"));
    admin.remove_membership(w.acme.id, heir).await.unwrap();
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
    let trail = w.directory.directory().outbox().trail();
    let removed = trail
        .iter()
        .find(|entry| entry.action == "membership.remove")
        .unwrap();
    let details = removed.details.as_ref().unwrap();
    assert_eq!(details["keys_to"], json!(heir));
}

/// The new holder has a role in a project by role, and the one who goes has none. So the key, whose text that one knows, does
/// not lead there: not at once, not after a rise, and not by a rotation.
#[tokio::test]
async fn a_key_that_is_handed_over_enters_no_project_by_role() {
    let w = world().await;
    let ann = member(&w, SystemRole::Member).await;
    let heir = member(&w, SystemRole::Member).await;
    let [open, payroll] =
        ["open", "payroll"].map(|slug| Project::new(w.acme.id, slug.parse().unwrap(), slug));
    let payroll = payroll.with_access(ProjectAccess::RoleOnly);
    for project in [&open, &payroll] {
        w.directory.put_project(project).await.unwrap();
    }
    let role = ProjectMembership::new(w.acme.id, payroll.id, heir, SystemRole::Member.name());
    w.directory.put_project_membership(&role).await.unwrap();
    let key = issue(&w, key_of(&w, ann, &["*"])).await;
    let heirs_own = issue(&w, key_of(&w, heir, &["*"])).await;
    let naming = |key: &IssuedKey, project: &Project| {
        with(key).header("x-project-id", project.id.to_string())
    };
    let unknown = (404, "project-unknown");
    assert!(
        w.admit(&naming(&heirs_own, &payroll)).await.is_ok(),
        "the heir may enter"
    );
    assert_eq!(w.refused(&naming(&key, &payroll)).await, unknown);

    let admin = w.tenancy.admin(service());
    let done = admin.remove_membership_with(w.acme.id, ann, KeysGo::To(heir));
    done.await.unwrap();
    let rises = [SystemRole::Member, SystemRole::Admin, SystemRole::Owner];
    for role in rises {
        admin
            .change_role(w.acme.id, heir, role.name())
            .await
            .unwrap();
        // Twice, so that what is remembered is asked too.
        for _ in 0..2 {
            assert_eq!(
                w.refused(&naming(&key, &payroll)).await,
                unknown,
                "{role:?}"
            );
            assert!(w.admit(&naming(&key, &open)).await.is_ok());
        }
        let context = w.admit(&with(&key)).await.unwrap();
        let told = w.tenancy.projects_of(&context, None, 10).await.unwrap();
        assert_eq!(told, std::slice::from_ref(&open), "{role:?}");
    }
    let service = w.tenancy.keys().unwrap().by(service());
    let hour = std::time::Duration::from_secs(3_600);
    let rotated = service
        .rotate(w.acme.id, key.record().id, hour)
        .await
        .unwrap();
    assert_eq!(w.refused(&naming(&rotated, &payroll)).await, unknown);
    assert!(w.admit(&naming(&rotated, &open)).await.is_ok());
    assert!(w.admit(&naming(&heirs_own, &payroll)).await.is_ok());
}

#[tokio::test]
async fn keys_go_to_active_members_and_nobody_hands_over_what_they_lack() {
    let w = world().await;
    let (admin, ann) = (
        member(&w, SystemRole::Admin).await,
        member(&w, SystemRole::Member).await,
    );
    let key = issue(&w, key_of(&w, ann, &["notes:read"])).await;
    let admins = w.tenancy.admin(managing(&w, admin).await);
    let suspended = member(&w, SystemRole::Member).await;
    w.tenancy
        .admin(service())
        .suspend_member(w.acme.id, suspended)
        .await
        .unwrap();
    for holder in [ann, suspended, w.bob, UserId::new()] {
        let done = admins
            .remove_membership_with(w.acme.id, ann, KeysGo::To(holder))
            .await;
        refused(done, StoreErrorKind::Conflict);
        let told = admins.departure(w.acme.id, ann, KeysGo::To(holder)).await;
        refused(told, StoreErrorKind::Conflict);
    }
    let nobody = admins
        .remove_membership_with(w.acme.id, UserId::new(), KeysGo::To(admin))
        .await;
    refused(nobody, StoreErrorKind::NotFound);
    assert!(w.admit(&with(&key)).await.is_ok());

    // A role that manages members and reads nothing: it hands no key over that reads.
    let clerk = RoleDefinition::new("clerk".parse().unwrap()).allow("members:manage");
    w.directory.put_role(w.acme.id, &clerk).await.unwrap();
    let nothing = RoleDefinition::new("nothing".parse().unwrap());
    w.directory.put_role(w.acme.id, &nothing).await.unwrap();
    let clerks = Membership::new(w.acme.id, UserId::new(), clerk.name);
    w.directory.put_membership(&clerks).await.unwrap();
    w.tenancy.invalidate(w.acme.id);
    let by_clerk = w.tenancy.admin(managing(&w, clerks.user).await);
    let removed = by_clerk
        .remove_membership_with(w.acme.id, ann, KeysGo::To(admin))
        .await;
    refused(removed, StoreErrorKind::Forbidden);
    assert!(context(&w, ann).await.is_ok() && w.admit(&with(&key)).await.is_ok());
}

/// What a role in a project gives counts for a key of that project alone, and what one denies for every key.
#[tokio::test]
async fn a_handover_counts_roles_in_projects() {
    let w = world().await;
    let ann = member(&w, SystemRole::Member).await;
    let heir = member(&w, SystemRole::Viewer).await;
    let [roadmap, budget] =
        ["roadmap", "budget"].map(|slug| Project::new(w.acme.id, slug.parse().unwrap(), slug));
    let reads_not = RoleDefinition::new("reads-not".parse().unwrap()).deny("notes:read");
    w.directory.put_role(w.acme.id, &reads_not).await.unwrap();
    for project in [&roadmap, &budget] {
        w.directory.put_project(project).await.unwrap();
    }
    for (project, user, role) in [
        (&roadmap, heir, SystemRole::Member.name()),
        (&budget, ann, reads_not.name),
    ] {
        let role = ProjectMembership::new(w.acme.id, project.id, user, role);
        w.directory.put_project_membership(&role).await.unwrap();
    }
    w.tenancy.invalidate(w.acme.id);
    let confined = issue(&w, key_of(&w, ann, &["*"]).project(roadmap.id)).await;
    let whole = issue(&w, key_of(&w, ann, &["*"])).await;
    let admin = w.tenancy.admin(service());
    let goes = admin
        .departure(w.acme.id, ann, KeysGo::To(heir))
        .await
        .unwrap();
    for (key, fate) in goes.keys {
        let wanted = if key.id == confined.record().id {
            KeyFate::HandedOver(grants(&["notes:read", "notes:write"]))
        } else {
            // In the one project it might not read before.
            KeyFate::Revoked
        };
        assert_eq!(fate, wanted);
    }
    admin
        .remove_membership_with(w.acme.id, ann, KeysGo::To(heir))
        .await
        .unwrap();
    let request = FakeRequest::new("/notes").bearer(confined.expose());
    let context = w.admit(&request).await.unwrap();
    assert_eq!(context.project_id(), Some(roadmap.id));
    assert!(context.require("notes:write").is_ok());
    assert_eq!(w.refused(&with(&whole)).await, (401, "key-revoked"));
}
