//! What decides about a permission is told as it is decided.

use serde_json::json;
use tenancy_core::{
    Actor, AllowedTenants, Clock as _, DecidedBy, EstablishedPrincipal, Membership,
    PermissionRegistry, PlanBook, Principal, Project, ProjectAccess, ProjectId, ProjectMembership,
    RoleDefinition, ServiceId, StoreErrorKind, SystemRole, TenantContext, TenantStatus, UserId,
    danger,
    key::NewKey,
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::{
    keys::{issue, with, with_keys},
    support::World,
};

fn role(name: &str) -> RoleDefinition {
    RoleDefinition::new(name.parse().unwrap())
}

/// Notes may be read, written and exported; the plan `free` permits no export.
async fn world() -> World {
    let permissions = || {
        PermissionRegistry::builder()
            .permission("notes:read", SystemRole::Viewer)
            .permission("notes:write", SystemRole::Member)
            .permission("notes:export", SystemRole::Member)
            .build()
            .unwrap()
    };
    let book = PlanBook::new()
        .plan("free", ["notes:read", "notes:write"])
        .for_tenants_without_plan("free");
    World::over(|directory, builder| {
        let builder = with_keys(directory, builder).permissions(permissions());
        builder.plans(book).established_principals()
    })
    .await
}

async fn enters(w: &World, user: UserId, project: Option<ProjectId>) -> TenantContext {
    let mut request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&w.token(user, json!({})));
    if let Some(project) = project {
        request = request.header("x-project-id", project.to_string());
    }
    w.admit(&request).await.unwrap()
}

async fn joins(w: &World, user: UserId, role: &str) {
    let member = Membership::new(w.acme.id, user, role.parse().unwrap());
    w.directory.put_membership(&member).await.unwrap();
}

#[tokio::test]
async fn the_grant_or_denial_that_decides_is_named() {
    let w = world().await;
    let editor = role("editor")
        .include(SystemRole::Viewer)
        .allow("notes:w*")
        .allow("notes:write");
    let intern = role("intern")
        .include(editor.name.clone())
        .deny("notes:export");
    for role in [&editor, &intern] {
        w.directory.put_role(w.acme.id, role).await.unwrap();
    }
    let roadmap = Project::new(w.acme.id, "roadmap".parse().unwrap(), "Roadmap");
    w.directory.put_project(&roadmap).await.unwrap();
    let user = UserId::new();
    joins(&w, user, "viewer").await;
    let within = ProjectMembership::new(w.acme.id, roadmap.id, user, intern.name.clone());
    w.directory.put_project_membership(&within).await.unwrap();

    let context = enters(&w, user, Some(roadmap.id)).await;
    for (permission, by, grant, sentence) in [
        (
            "notes:read",
            (true, DecidedBy::TenantRole),
            Some(("notes:read", "viewer")),
            "in the tenant, `viewer` has `notes:read` by the grant `notes:read` of `viewer`",
        ),
        (
            "notes:write",
            (true, DecidedBy::ProjectRole),
            Some(("notes:write", "editor")),
            "in the project, `intern` has `notes:write` by the grant `notes:write` of `editor`",
        ),
        (
            "notes:export",
            (false, DecidedBy::ProjectRole),
            Some(("notes:export", "intern")),
            "in the project, `intern` is denied `notes:export` by `notes:export` of `intern`",
        ),
        (
            "notes:shred",
            (false, DecidedBy::Permission),
            None,
            "no permission `notes:shred` is declared",
        ),
    ] {
        let why = context.explain(permission).await.unwrap();
        assert_eq!((why.is_allowed(), why.decided_by()), by, "{why}");
        let named = why.grant().map(|(grant, of)| (grant, of.as_str()));
        assert_eq!(named, grant);
        assert_eq!(why.to_string(), sentence);
        let admin = w.tenancy.admin(service());
        let asked = admin.explain(w.acme.id, user, Some(roadmap.id), permission);
        assert_eq!(asked.await.unwrap(), why, "as others are told");
    }
    let in_tenant = enters(&w, user, None).await;
    let why = in_tenant.explain("notes:write").await.unwrap();
    assert_eq!(why.decided_by(), DecidedBy::NoGrant);
    assert_eq!(
        why.to_string(),
        "the role has no grant that covers `notes:write`"
    );
    assert!(why.in_project().is_none() && why.in_tenant().is_some());
}

/// A role that is gone, or has a fault, denies everything: also what another role allows.
#[tokio::test]
async fn a_role_that_seals_is_named() {
    let w = world().await;
    let user = UserId::new();
    let broken = role("broken").allow("notes:read").deny("notes read");
    w.directory.put_role(w.acme.id, &broken).await.unwrap();
    for (name, sentence) in [
        (
            "broken",
            "in the tenant, `broken` is denied everything: role `broken` denies `notes read`",
        ),
        ("gone", "in the tenant, the tenant has no role `gone`"),
    ] {
        joins(&w, user, name).await;
        let why = enters(&w, user, None)
            .await
            .explain("notes:read")
            .await
            .unwrap();
        assert_eq!(
            (why.is_allowed(), why.decided_by()),
            (false, DecidedBy::TenantRole)
        );
        assert!(why.to_string().starts_with(sentence), "{why}");
    }
}

#[tokio::test]
async fn what_narrows_the_roles_is_named() {
    let w = world().await;
    let owner = enters(&w, w.alice, None).await;
    let why = owner.explain("notes:export").await.unwrap();
    assert_eq!(
        (why.is_allowed(), why.decided_by()),
        (false, DecidedBy::Plan)
    );
    assert_eq!(
        why.to_string(),
        "the plan `free` does not permit `notes:export`"
    );

    let narrow = NewKey::new(w.acme.id, w.alice, "reads", ["notes:read".parse().unwrap()]);
    let key = w.admit(&with(&issue(&w, narrow).await)).await.unwrap();
    for (permission, allowed, by) in [
        ("notes:read", true, DecidedBy::TenantRole),
        ("notes:write", false, DecidedBy::Credential),
        // Both narrow it; the credential is told first.
        ("notes:export", false, DecidedBy::Credential),
    ] {
        let why = key.explain(permission).await.unwrap();
        assert_eq!((why.is_allowed(), why.decided_by()), (allowed, by), "{why}");
    }

    let bound = AllowedTenants::Bound(w.acme.id.into());
    let mut robot = Principal::new(Actor::Service(ServiceId::new()), bound, "machines");
    robot.scope = w
        .tenancy
        .permissions()
        .scope(["notes:read", "notes:export"]);
    let request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .established(EstablishedPrincipal::new(robot, w.clock.now()));
    let robot = w.admit(&request).await.unwrap();
    for (permission, allowed, by) in [
        ("notes:read", true, DecidedBy::Credential),
        ("notes:write", false, DecidedBy::Credential),
        ("notes:export", false, DecidedBy::Plan),
    ] {
        let why = robot.explain(permission).await.unwrap();
        assert_eq!((why.is_allowed(), why.decided_by()), (allowed, by), "{why}");
    }
    let itself = w.tenancy.enter(w.acme.id, "a look").await.unwrap();
    let why = itself.explain("notes:export").await.unwrap();
    assert_eq!(
        (why.is_allowed(), why.decided_by()),
        (true, DecidedBy::Service)
    );
}

/// Who is somebody elsewhere is told as nobody here, and a tenant's caller asks about its own tenant alone.
#[tokio::test]
async fn an_explanation_tells_of_no_other_tenant() {
    let w = world().await;
    let user = UserId::new();
    joins(&w, user, "member").await;
    let closed = Project::new(w.acme.id, "closed".parse().unwrap(), "Closed")
        .with_access(ProjectAccess::RoleOnly);
    let theirs = Project::new(w.globex.id, "theirs".parse().unwrap(), "Theirs");
    for project in [&closed, &theirs] {
        w.directory.put_project(project).await.unwrap();
    }
    let staff = Principal::new(
        Actor::User(UserId::new()),
        AllowedTenants::Memberships,
        "staff",
    );
    let operator = w
        .tenancy
        .admin(danger::operator(&staff, None, "ticket 4711").unwrap());
    let ask = async |tenant, user, project: Option<&Project>| {
        let project = project.map(|project| project.id);
        let why = operator.explain(tenant, user, project, "notes:read").await;
        let why = why.unwrap();
        assert!(!why.is_allowed() && why.grant().is_none(), "{why}");
        (why.decided_by(), why.in_tenant().is_some(), why.to_string())
    };
    let not = |by| (by, false);
    let short = |(by, roles, _)| (by, roles);
    // Bob is the owner of the other tenant; a stranger is nobody anywhere.
    let bob = ask(w.acme.id, w.bob, None).await;
    assert_eq!(bob, ask(w.acme.id, UserId::new(), None).await);
    assert_eq!(short(bob), not(DecidedBy::Membership));
    assert_eq!(
        short(ask(w.acme.id, user, Some(&closed)).await),
        not(DecidedBy::Project)
    );
    let of_others = ask(w.acme.id, user, Some(&theirs)).await;
    assert_eq!(short(of_others), not(DecidedBy::Project));

    let owner = enters(&w, w.alice, None).await;
    let by_owner = w.tenancy.admin(owner.authority("notes:read").unwrap());
    let astray = by_owner
        .explain(w.globex.id, w.bob, None, "notes:read")
        .await;
    assert_eq!(astray.unwrap_err().kind(), StoreErrorKind::Forbidden);
    let own = by_owner.explain(w.acme.id, user, None, "notes:read").await;
    assert!(own.unwrap().is_allowed());

    let suspended = w.tenancy.admin(service());
    suspended
        .set_status(w.acme.id, TenantStatus::Suspended)
        .await
        .unwrap();
    assert_eq!(
        short(ask(w.acme.id, user, None).await),
        not(DecidedBy::Tenant)
    );
}

#[tokio::test]
async fn an_explanation_without_the_directory_is_an_error() {
    let w = world().await;
    let owner = enters(&w, w.alice, None).await;
    w.directory.fail(true);
    let refusal = owner.explain("notes:read").await.unwrap_err();
    assert_eq!(refusal.kind().status(), 503);
    w.directory.fail(false);
    assert!(owner.explain("notes:read").await.unwrap().is_allowed());
}

/// Of which somebody chose the length.
#[tokio::test]
async fn a_long_name_of_no_permission_is_cut() {
    let w = world().await;
    let owner = enters(&w, w.alice, None).await;
    let long = "a:".repeat(40_000);
    let why = owner.explain(&long).await.unwrap();
    assert_eq!(why.decided_by(), DecidedBy::Permission);
    assert_eq!(why.permission().len(), 64);
}
