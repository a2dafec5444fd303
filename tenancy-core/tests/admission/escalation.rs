//! Ways around what a caller may give, take and reach: each is closed.

use std::fmt::Debug;

use serde_json::json;
use tenancy_core::{
    Admin, IssuerRecord, Membership, MembershipDirectory as _, PlanBook, Project,
    ProjectDirectory as _, ProjectMembership, RoleDefinition, StoreError, StoreErrorKind,
    SystemRole, TenantContext, UserId,
    key::NewKey,
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::{
    keys::{alices, issue, with, with_keys},
    support::World,
};

fn forbidden<T: Debug>(done: Result<T, StoreError>) {
    let refused = done.expect_err("the change is to be refused");
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{refused}");
}

fn role(name: &str) -> RoleDefinition {
    RoleDefinition::new(name.parse().unwrap())
}

async fn context(w: &World, user: UserId, project: Option<&Project>) -> TenantContext {
    let mut request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&w.token(user, json!({})));
    if let Some(project) = project {
        request = request.header("x-project-id", project.id.to_string());
    }
    w.admit(&request).await.unwrap()
}

/// A project in which a user has a role that denies `notes:write`.
async fn restricted(
    w: &World,
    user: UserId,
    role_in_tenant: SystemRole,
) -> (Project, RoleDefinition) {
    let by_service = w.tenancy.admin(service());
    let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), "roadmap");
    by_service.put_project(&project).await.unwrap();
    let denies = role("restricted").deny("notes:write");
    by_service.put_role(w.acme.id, &denies).await.unwrap();
    let member = Membership::new(w.acme.id, user, role_in_tenant.name());
    by_service.put_membership(&member).await.unwrap();
    let within = ProjectMembership::new(w.acme.id, project.id, user, denies.name.clone());
    by_service.put_project_membership(&within).await.unwrap();
    (project, denies)
}

/// A denial is what the caller does not hold there, and so nothing that the caller may lift.
#[tokio::test]
async fn a_caller_lifts_no_denial_of_its_own_in_a_project() {
    let w = World::new().await;
    let user = UserId::new();
    let (project, _) = restricted(&w, user, SystemRole::Member).await;
    let within = context(&w, user, Some(&project)).await;
    assert!(within.require("notes:write").is_err());
    let by_user = w.tenancy.admin(within.authority("notes:read").unwrap());
    let lifted = by_user
        .remove_project_membership(w.acme.id, project.id, user)
        .await;
    let may = context(&w, user, Some(&project))
        .await
        .require("notes:write")
        .is_ok();
    assert!(!may, "the user may write in the project now: {lifted:?}");
    forbidden(lifted);
}

/// What a user changes who becomes a viewer.
async fn by_viewer(w: &World, viewer: UserId) -> Admin {
    let reading = Membership::new(w.acme.id, viewer, SystemRole::Viewer.name());
    w.tenancy
        .admin(service())
        .put_membership(&reading)
        .await
        .unwrap();
    let context = context(w, viewer, None).await;
    w.tenancy.admin(context.authority("notes:read").unwrap())
}

#[tokio::test]
async fn a_caller_lifts_no_denial_of_another_beyond_its_own_rights() {
    let w = World::new().await;
    let (user, viewer) = (UserId::new(), UserId::new());
    let (project, _) = restricted(&w, user, SystemRole::Member).await;
    let by_viewer = by_viewer(&w, viewer).await;
    forbidden(
        by_viewer
            .remove_project_membership(w.acme.id, project.id, user)
            .await,
    );
}

/// By a role that denies, and by one that nobody defined: that seals whoever has it.
#[tokio::test]
async fn a_caller_takes_nothing_from_an_owner_by_a_role_in_a_project() {
    let w = World::new().await;
    let (other, viewer) = (UserId::new(), UserId::new());
    let (project, denies) = restricted(&w, other, SystemRole::Member).await;
    let by_viewer = by_viewer(&w, viewer).await;
    let mut ways = Vec::new();
    for name in [denies.name, "nobody-defined-it".parse().unwrap()] {
        let given = ProjectMembership::new(w.acme.id, project.id, w.alice, name.clone());
        let done = by_viewer.put_project_membership(&given).await;
        let owner = context(&w, w.alice, Some(&project)).await;
        if done.is_ok() || owner.require("notes:write").is_err() {
            ways.push((name, done));
        }
    }
    assert!(ways.is_empty(), "the owner may write no more: {ways:?}");
}

/// The same the other way about: a denial in the tenant that holds down what a project gives.
#[tokio::test]
async fn a_caller_lifts_no_denial_of_its_own_in_the_tenant() {
    let w = World::new().await;
    let user = UserId::new();
    let by_service = w.tenancy.admin(service());
    let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), "roadmap");
    by_service.put_project(&project).await.unwrap();
    let contractor = role("contractor").allow("notes:read").deny("notes:write");
    by_service.put_role(w.acme.id, &contractor).await.unwrap();
    let member = Membership::new(w.acme.id, user, contractor.name.clone());
    by_service.put_membership(&member).await.unwrap();
    let within = ProjectMembership::new(w.acme.id, project.id, user, SystemRole::Member.name());
    by_service.put_project_membership(&within).await.unwrap();
    let now = context(&w, user, Some(&project)).await;
    assert!(now.require("notes:write").is_err());
    let by_user = w.tenancy.admin(now.authority("notes:read").unwrap());
    let plain = Membership::new(w.acme.id, user, SystemRole::Viewer.name());
    let lifted = by_user.put_membership(&plain).await;
    let may = context(&w, user, Some(&project))
        .await
        .require("notes:write")
        .is_ok();
    assert!(!may, "the user may write in the project now: {lifted:?}");
}

/// A role that is gone seals those who have it: its removal takes more than what it allows.
#[tokio::test]
async fn a_caller_removes_no_role_that_denies_what_it_does_not_hold() {
    let w = World::new().await;
    let (user, viewer) = (UserId::new(), UserId::new());
    let (project, denies) = restricted(&w, user, SystemRole::Member).await;
    let by_viewer = by_viewer(&w, viewer).await;
    let removed = by_viewer.remove_role(w.acme.id, &denies.name).await;
    let _ = context(&w, user, Some(&project)).await;
    forbidden(removed);
}

/// What a plan leaves out is out of nobody's hands: the owner of a tenant goes on managing its members.
#[tokio::test]
async fn an_owner_manages_members_whatever_the_plan_leaves_out() {
    let book = PlanBook::new()
        .plan("free", ["notes:read"])
        .for_tenants_without_plan("free");
    let w = World::over(|directory, builder| with_keys(directory, builder).plans(book)).await;
    let left = Membership::new(w.acme.id, UserId::new(), SystemRole::Member.name());
    w.directory.put_membership(&left).await.unwrap();
    let owner = context(&w, w.alice, None).await;
    let by_owner = w.tenancy.admin(owner.authority("notes:read").unwrap());
    let newcomer = Membership::new(w.acme.id, UserId::new(), SystemRole::Member.name());
    let added = by_owner.put_membership(&newcomer).await;
    let removed = by_owner.remove_membership(w.acme.id, left.user).await;
    let own = Membership::new(w.acme.id, w.alice, SystemRole::Owner.name());
    let same = by_owner.put_membership(&own).await;
    assert!(
        added.is_ok() && removed.is_ok() && same.is_ok(),
        "{added:?} {removed:?} {same:?}"
    );
}

/// A member whose role is at fault can still be removed by an owner.
#[tokio::test]
async fn an_owner_removes_a_member_whose_role_is_at_fault() {
    let w = World::new().await;
    let member = Membership::new(w.acme.id, UserId::new(), "broken".parse().unwrap());
    let broken = role("broken").include(
        "nobody-defined-it"
            .parse::<tenancy_core::RoleName>()
            .unwrap(),
    );
    w.directory.put_role(w.acme.id, &broken).await.unwrap();
    w.directory.put_membership(&member).await.unwrap();
    let owner = context(&w, w.alice, None).await;
    let by_owner = w.tenancy.admin(owner.authority("notes:write").unwrap());
    by_owner
        .remove_membership(w.acme.id, member.user)
        .await
        .unwrap();
}

/// Whoever runs an issuer signs tokens of each member, owners included.
#[tokio::test]
async fn an_owner_alone_has_the_tenant_trust_an_issuer() {
    let w = World::over(with_keys).await;
    let acme = w.acme.id;
    let issuer = IssuerRecord::new("https://sso.acme.example", acme, json!({}));
    let project = Project::new(acme, "roadmap".parse().unwrap(), "roadmap");
    w.directory.put_project(&project).await.unwrap();
    let admin = Membership::new(acme, UserId::new(), SystemRole::Admin.name());
    w.directory.put_membership(&admin).await.unwrap();
    let narrow = NewKey::new(acme, w.alice, "a key", ["notes:write".parse().unwrap()]);
    let [narrow, confined, whole] = [narrow, alices(&w).project(project.id), alices(&w)];
    let [narrow, confined, whole] = [
        issue(&w, narrow).await,
        issue(&w, confined).await,
        issue(&w, whole).await,
    ];
    let by_key = async |key| w.admit(&with(key)).await.unwrap();
    let weaker = [
        context(&w, admin.user, None).await,
        by_key(&narrow).await,
        by_key(&confined).await,
        // Not even one for everything: a key has no role, and makes no owners either.
        by_key(&whole).await,
    ];
    let by = |context: &TenantContext| w.tenancy.admin(context.authority("notes:write").unwrap());
    for weaker in weaker {
        forbidden(by(&weaker).put_issuer(&issuer).await);
    }
    let by_service = w.tenancy.admin(service());
    assert_eq!(by_service.list_issuers(acme, None, 9).await.unwrap(), []);

    let owner = by(&context(&w, w.alice, None).await);
    owner.put_issuer(&issuer).await.unwrap();
    let listed = by_service.list_issuers(acme, None, 9).await.unwrap();
    assert_eq!(listed, [issuer]);
}

/// A key that is confined to a project changes nothing outside of it.
#[tokio::test]
async fn a_confined_key_changes_no_other_project_and_nothing_of_the_tenant() {
    let w = World::over(with_keys).await;
    let by_service = w.tenancy.admin(service());
    let [own, mut other] =
        ["roadmap", "budget"].map(|slug| Project::new(w.acme.id, slug.parse().unwrap(), slug));
    for project in [&own, &other] {
        by_service.put_project(project).await.unwrap();
    }
    let in_other = issue(&w, alices(&w).project(other.id)).await;
    let whole = issue(&w, alices(&w)).await;
    let confined = issue(&w, alices(&w).project(own.id)).await;
    let context = w.admit(&with(&confined)).await.unwrap();
    assert_eq!(context.project_id(), Some(own.id));
    let authority = || context.authority("notes:write").unwrap();
    let by_key = w.tenancy.admin(authority());
    let keys = w.tenancy.keys().unwrap().by(authority());
    let acme = w.acme.id;
    other.archived = true;
    let rotated = keys
        .rotate(acme, whole.record().id, std::time::Duration::ZERO)
        .await;
    let rotated = rotated.map(|key| key.record().project);
    let issued = keys.issue(alices(&w)).await.map(|key| key.record().project);
    let done = [
        (
            "archives another project",
            by_key.put_project(&other).await.err(),
        ),
        (
            "removes another project",
            by_key.remove_project(acme, other.id).await.err(),
        ),
        ("renames the tenant", by_key.rename(acme, "x").await.err()),
        (
            "suspends the tenant's keys",
            keys.disable(acme, in_other.record().id).await.err(),
        ),
        ("rotates a key of the whole tenant", rotated.err()),
        ("issues a key of the whole tenant", issued.err()),
        (
            "lists members",
            by_key
                .list_members(acme, &Default::default(), None, 10)
                .await
                .err(),
        ),
    ];
    let open: Vec<_> = done
        .iter()
        .filter(|(_, refused)| refused.is_none())
        .map(|(what, _)| *what)
        .collect();
    assert!(open.is_empty(), "a confined key {open:?}");
}

/// A change that was tried has an entry, whatever it failed of.
#[tokio::test]
async fn a_change_whose_event_is_too_large_is_told_to_sinks_as_failed() {
    let w = World::new().await;
    let before = w.audit.entries().len();
    let long = "x".repeat(70_000);
    let done = w
        .tenancy
        .admin(service())
        .bind_external(w.acme.id, "crm", &long)
        .await;
    assert!(done.is_err());
    assert_eq!(
        w.audit.entries().len(),
        before + 1,
        "no entry says that it was tried: {done:?}"
    );
}

/// A job has every permission in the tenant that it has entered.
#[tokio::test]
async fn a_job_in_a_tenant_gives_and_takes_every_role() {
    let w = World::new().await;
    let run = w
        .tenancy
        .begin_job("sign-up", "gives new tenants their owners")
        .unwrap();
    let entered = run.enter(w.acme.id).await.unwrap();
    let by_job = w.tenancy.admin(entered.authority("notes:write").unwrap());
    let owner = Membership::new(w.acme.id, UserId::new(), SystemRole::Owner.name());
    by_job.put_membership(&owner).await.unwrap();
}

/// A permission that a caller holds in one project alone is good for no change of the tenant or of another
/// project, whatever project the caller's request names.
#[tokio::test]
async fn a_permission_that_a_project_gives_changes_nothing_outside_of_it() {
    let w = World::new().await;
    let by_service = w.tenancy.admin(service());
    let [own, mut other] =
        ["roadmap", "budget"].map(|slug| Project::new(w.acme.id, slug.parse().unwrap(), slug));
    for project in [&own, &other] {
        by_service.put_project(project).await.unwrap();
    }
    let (lead, colleague, stranger) = (UserId::new(), UserId::new(), UserId::new());
    for user in [lead, colleague] {
        let member = Membership::new(w.acme.id, user, SystemRole::Viewer.name());
        by_service.put_membership(&member).await.unwrap();
    }
    let leads = ProjectMembership::new(w.acme.id, own.id, lead, SystemRole::Member.name());
    by_service.put_project_membership(&leads).await.unwrap();
    let outside = context(&w, lead, None).await;
    assert!(outside.authority("notes:write").is_err());

    let within = context(&w, lead, Some(&own)).await;
    let authority = within.authority("notes:write").unwrap();
    let by_lead = w.tenancy.admin(authority.because("curious"));
    let acme = w.acme.id;
    other.archived = true;
    let invited = Membership::new(acme, stranger, SystemRole::Viewer.name());
    let elsewhere = ProjectMembership::new(acme, other.id, colleague, SystemRole::Viewer.name());
    let reader = role("reader").allow("notes:read");
    let of_all = tenancy_core::TokenSubject::Tenant(acme);
    let done = [
        (
            "invites to the tenant",
            by_lead.put_membership(&invited).await.err(),
        ),
        (
            "removes a member",
            by_lead.remove_membership(acme, colleague).await.err(),
        ),
        (
            "gives a role in another project",
            by_lead.put_project_membership(&elsewhere).await.err(),
        ),
        (
            "archives another project",
            by_lead.put_project(&other).await.err(),
        ),
        (
            "removes another project",
            by_lead.remove_project(acme, other.id).await.err(),
        ),
        (
            "defines a role",
            by_lead.put_role(acme, &reader).await.err(),
        ),
        ("renames the tenant", by_lead.rename(acme, "x").await.err()),
        (
            "takes all tokens back",
            by_lead.revoke_tokens(&of_all).await.err(),
        ),
        ("suspends the tenant", by_lead.suspend(acme).await.err()),
    ];
    let open: Vec<_> = done
        .iter()
        .filter(|(_, refused)| refused.is_none())
        .map(|(what, _)| *what)
        .collect();
    assert!(open.is_empty(), "who may write in one project {open:?}");
}

/// What no system role holds, an owner holds neither: whoever manages roles without being one gives it to nobody, also not
/// by changing a role that somebody has already.
#[tokio::test]
async fn a_permission_that_no_rank_holds_is_for_owners_to_give() {
    let permissions = tenancy_core::PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .permission("notes:purge", None)
        .build()
        .unwrap();
    let w =
        World::over(|directory, builder| with_keys(directory, builder).permissions(permissions))
            .await;
    let (acme, manager) = (w.acme.id, UserId::new());
    let manages = role("manages").include(SystemRole::Member);
    w.directory.put_role(acme, &manages).await.unwrap();
    let member = Membership::new(acme, manager, manages.name.clone());
    w.directory.put_membership(&member).await.unwrap();
    let by = async |user| {
        let context = context(&w, user, None).await;
        w.tenancy.admin(context.authority("notes:write").unwrap())
    };
    let wider = manages.clone().allow("notes:purge");
    let purges = role("purges").allow("notes:purge");
    let by_manager = by(manager).await;
    forbidden(by_manager.put_role(acme, &wider).await);
    forbidden(by_manager.put_role(acme, &purges).await);
    assert!(
        context(&w, manager, None)
            .await
            .require("notes:purge")
            .is_err()
    );

    let by_owner = by(w.alice).await;
    by_owner.put_role(acme, &purges).await.unwrap();
    let purger = Membership::new(acme, UserId::new(), purges.name.clone());
    forbidden(by_manager.put_membership(&purger).await);
    by_owner.put_membership(&purger).await.unwrap();
    forbidden(by_manager.remove_membership(acme, purger.user).await);
    let purger = context(&w, purger.user, None).await;
    assert!(purger.require("notes:purge").is_ok());
    assert!(
        context(&w, w.alice, None)
            .await
            .require("notes:purge")
            .is_err()
    );
}

/// Another process has taken the role away, and this one has not heard of it: the former admin gives nobody anything,
/// and itself least of all.
#[tokio::test]
async fn whoever_was_demoted_elsewhere_takes_nothing_back() {
    // A change that is refused has the engine look again, so that each is the first in a world of its own.
    for change in 0..5 {
        let w = World::new().await;
        let (acme, carol) = (w.acme.id, UserId::new());
        let admin = Membership::new(acme, carol, SystemRole::Admin.name());
        let by_service = w.tenancy.admin(service());
        by_service.put_membership(&admin).await.unwrap();
        let project = Project::new(acme, "roadmap".parse().unwrap(), "roadmap");
        by_service.put_project(&project).await.unwrap();
        let before = context(&w, carol, None).await;
        let by_carol = w.tenancy.admin(before.authority("notes:read").unwrap());
        // So that this process remembers the membership by which it decides about changes.
        by_carol.list_roles(acme).await.unwrap();

        let elsewhere = w.directory.directory();
        let viewer = Membership::new(acme, carol, SystemRole::Viewer.name());
        elsewhere.put_membership(&viewer).await.unwrap();
        let unheard = context(&w, carol, None).await;
        assert_eq!(unheard.role(), Some(&SystemRole::Admin.name()));

        let friend = Membership::new(acme, UserId::new(), SystemRole::Member.name());
        let within = ProjectMembership::new(acme, project.id, carol, SystemRole::Admin.name());
        let role = SystemRole::Admin.name();
        let refused = match change {
            0 => by_carol.put_membership(&admin).await,
            1 => by_carol.change_role(acme, carol, role).await.map(drop),
            2 => by_carol.put_membership(&friend).await,
            3 => by_carol.put_project_membership(&within).await,
            _ => by_carol.rename(acme, "Carol's").await,
        };
        let refused = refused.expect_err("the change is to be refused");
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{change}");
        // Roles are given by what is stored; all else is decided on the role that this process knows.
        let is_looked_at_again = refused.to_string().contains("another role by now");
        assert!(
            is_looked_at_again || matches!(change, 2 | 3),
            "{change}: {refused}"
        );
        let found = elsewhere.find_membership(acme, carol).await.unwrap();
        assert_eq!(found, Some(viewer), "{change}");
        let found = elsewhere.find_membership(acme, friend.user).await.unwrap();
        assert_eq!(found, None, "{change}");
        let found = elsewhere.find_project_role(acme, project.id, carol).await;
        assert_eq!(found.unwrap(), None, "{change}");
    }
}
