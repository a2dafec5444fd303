//! Who may change something: nobody without an authority, and each for no longer and no more than they may.

use serde_json::json;
use tenancy_core::{
    Actor, Authority, Identification, Membership, MemoryDirectory, Outcome, Project,
    ProjectDirectory as _, ProjectMembership, RoleDefinition, StoreError, StoreErrorKind,
    SystemRole, Tenancy, UserId, danger,
    jwt::JwtAuthenticator,
    outbox::{ClaimRequest, Event, Outbox as _},
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::support::World;

/// Alice's authority to manage her tenant.
async fn alices(w: &World) -> Authority {
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    context.authority("notes:write").unwrap()
}

fn newcomer(w: &World) -> Membership {
    Membership::new(w.acme.id, UserId::new(), SystemRole::Viewer.name())
}

async fn refusal(tenancy: &Tenancy, authority: Authority, member: &Membership) -> String {
    let refused = tenancy.admin(authority).put_membership(member).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{refused}");
    refused.to_string()
}

/// Every event that the directory's outbox has.
async fn events(w: &World) -> Vec<Event> {
    let outbox = w.directory.directory().outbox();
    // A consumer that begins with the oldest.
    let name = format!("test-{}", UserId::new());
    let request = ClaimRequest::new(name.parse().unwrap());
    let claim = outbox.claim(&request).await.unwrap().unwrap();
    outbox.next_page(&claim, 100).await.unwrap().new
}

#[tokio::test]
async fn a_change_its_entry_and_its_event_say_who_and_what() {
    let w = World::new().await;
    let member = newcomer(&w);
    let authority = alices(&w)
        .await
        .because("joins the team")
        .request_id("req-7")
        .user_agent("curl/8");
    let before = events(&w).await.len();
    w.tenancy
        .admin(authority)
        .put_membership(&member)
        .await
        .unwrap();

    let trail = w.directory.directory().outbox().trail();
    let entry = trail.last().unwrap();
    assert_eq!(&*entry.action, "membership.put");
    assert_eq!(entry.outcome, Outcome::Allowed);
    assert_eq!(entry.tenant, Some(w.acme.id));
    assert_eq!(entry.actor, Some(Actor::User(w.alice)));
    assert_eq!(entry.credential.as_deref(), Some(crate::support::ISSUER));
    assert_eq!(entry.reason.as_deref(), Some("joins the team"));
    assert_eq!(entry.request_id.as_deref(), Some("req-7"));
    assert_eq!(entry.user_agent.as_deref(), Some("curl/8"));
    assert_eq!(entry.targets.len(), 1);
    assert_eq!(entry.targets[0].id, member.user.to_string());
    // Sinks are told the same entry.
    assert_eq!(w.last_audit().id, entry.id);

    let events = events(&w).await;
    assert_eq!(events.len(), before + 1);
    let event = events.last().unwrap();
    assert_eq!(event.kind, "membership.changed");
    assert_eq!(event.tenant, Some(w.acme.id));
    assert_eq!(event.caused_by, Some(entry.id));
    let payload = json!({ "user": member.user, "role": "viewer", "status": "active" });
    assert_eq!(event.payload, payload);
}

#[tokio::test]
async fn a_change_that_is_not_made_leaves_neither_entry_nor_event() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let (trail, told) = (
        w.directory.directory().outbox().trail().len(),
        events(&w).await.len(),
    );
    let taken = admin.create_tenant(&w.acme).await.unwrap_err();
    assert_eq!(taken.kind(), StoreErrorKind::Conflict);
    assert_eq!(w.directory.directory().outbox().trail().len(), trail);
    assert_eq!(events(&w).await.len(), told);
    // Sinks are told that it was tried.
    assert_eq!(w.last_audit().outcome, Outcome::Failed);
}

#[tokio::test]
async fn a_callers_authority_is_good_for_its_own_tenant_alone() {
    let w = World::new().await;
    let elsewhere = Membership::new(w.globex.id, w.alice, SystemRole::Owner.name());
    let said = refusal(&w.tenancy, alices(&w).await, &elsewhere).await;
    assert!(said.contains("own tenant"), "{said}");
    let entry = w.last_audit();
    assert_eq!(entry.outcome, Outcome::Refused);
    assert_eq!(
        (entry.actor, entry.tenant),
        (Some(Actor::User(w.alice)), Some(w.globex.id))
    );
    // What concerns everybody is nobody's own.
    let of = tenancy_core::TokenSubject::User(w.bob);
    let authority = alices(&w).await.because("curious");
    let refused = w.tenancy.admin(authority).revoke_tokens(&of).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Forbidden);
}

#[tokio::test]
async fn a_context_without_the_permission_gives_no_authority() {
    let w = World::new().await;
    let viewer = newcomer(&w);
    w.directory.put_membership(&viewer).await.unwrap();
    let token = w.token(viewer.user, json!({}));
    let request = tenancy_core::testing::FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&token);
    let context = w.admit(&request).await.unwrap();
    let refused = context.authority("notes:write").unwrap_err();
    assert_eq!(refused.kind().status(), 403);
}

#[tokio::test]
async fn an_authority_of_another_engine_is_refused() {
    let (w, other) = (World::new().await, World::new().await);
    let said = refusal(&other.tenancy, alices(&w).await, &newcomer(&w)).await;
    assert!(said.contains("another engine"), "{said}");
}

#[tokio::test]
async fn an_authority_ends_with_what_it_rests_on() {
    // The membership, at once.
    let w = World::new().await;
    let authority = alices(&w).await;
    let admin = w.tenancy.admin(service());
    admin.remove_membership(w.acme.id, w.alice).await.unwrap();
    let said = refusal(&w.tenancy, authority, &newcomer(&w)).await;
    assert!(said.contains("not-a-member"), "{said}");

    // The permission, at once.
    let w = World::new().await;
    let authority = alices(&w).await;
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    let admin = w.tenancy.admin(service());
    admin.put_membership(&viewer).await.unwrap();
    let said = refusal(&w.tenancy, authority, &newcomer(&w)).await;
    assert!(said.contains("`notes:write` no more"), "{said}");

    // The credential, when it expires.
    let w = World::new().await;
    let authority = alices(&w).await;
    w.clock.advance(std::time::Duration::from_secs(2 * 3_600));
    let said = refusal(&w.tenancy, authority, &newcomer(&w)).await;
    assert!(said.contains("credential-expired"), "{said}");
}

#[tokio::test]
async fn who_reaches_every_tenant_gives_a_reason() {
    let w = World::new().await;
    for blank in ["", " \n"] {
        assert!(danger::service(blank).is_err());
        let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
        assert!(danger::operator(context.principal(), None, blank).is_err());
        // Nor is one taken back afterwards.
        let admin = w.tenancy.admin(service().because(blank));
        let refused = admin.put_membership(&newcomer(&w)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    }
    let shown = format!("{:?}", alices(&w).await);
    assert!(!shown.contains("eyJ"), "{shown}");
}

/// Nobody gives or takes away more than they hold: an admin makes nobody an owner, and no owner a viewer.
#[tokio::test]
async fn a_caller_gives_and_takes_no_more_than_it_holds() {
    let w = World::new().await;
    let admin = UserId::new();
    let of = |user, role: SystemRole| Membership::new(w.acme.id, user, role.name());
    w.directory
        .put_membership(&of(admin, SystemRole::Admin))
        .await
        .unwrap();
    let token = w.token(admin, json!({}));
    let request = tenancy_core::testing::FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&token);
    let context = w.admit(&request).await.unwrap();
    let authority = || context.authority("notes:write").unwrap();
    for (user, role) in [(admin, SystemRole::Owner), (w.alice, SystemRole::Viewer)] {
        let said = refusal(&w.tenancy, authority(), &of(user, role)).await;
        assert!(said.contains("`owner`"), "{said}");
        assert_eq!(w.last_audit().outcome, Outcome::Refused);
    }
    let admins = w.tenancy.admin(authority());
    let removed = admins.remove_membership(w.acme.id, w.alice).await;
    assert_eq!(removed.unwrap_err().kind(), StoreErrorKind::Forbidden);
    // What an admin holds, and what is an admin's own.
    let colleague = UserId::new();
    for role in [SystemRole::Admin, SystemRole::Viewer] {
        admins.put_membership(&of(colleague, role)).await.unwrap();
    }
    admins
        .remove_membership(w.acme.id, colleague)
        .await
        .unwrap();
    admins.remove_membership(w.acme.id, admin).await.unwrap();
    // An owner may.
    let owner = w.tenancy.admin(alices(&w).await);
    owner
        .put_membership(&of(colleague, SystemRole::Owner))
        .await
        .unwrap();
}

/// What a project adds to a caller's rights counts in that project alone: for who gets which role where, and for
/// what a role of the tenant's own allows.
#[tokio::test]
async fn what_a_project_adds_is_given_and_taken_in_that_project_alone() {
    let w = World::new().await;
    let (lead, colleague) = (UserId::new(), UserId::new());
    let by_service = w.tenancy.admin(service());
    let mut projects = ["roadmap", "budget"].map(|slug| {
        let name = slug.parse().unwrap();
        Project::new(w.acme.id, name, slug)
    });
    let [roadmap, budget] = &mut projects;
    for project in [&*roadmap, &*budget] {
        by_service.put_project(project).await.unwrap();
    }
    let of = |user, role: SystemRole| Membership::new(w.acme.id, user, role.name());
    let within = |project: &Project, user, role: SystemRole| {
        ProjectMembership::new(w.acme.id, project.id, user, role.name())
    };
    for user in [lead, colleague] {
        let member = of(user, SystemRole::Viewer);
        by_service.put_membership(&member).await.unwrap();
    }
    let leads = within(roadmap, lead, SystemRole::Member);
    by_service.put_project_membership(&leads).await.unwrap();

    let request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .header("x-project-id", roadmap.id.to_string())
        .bearer(&w.token(lead, json!({})));
    let context = w.admit(&request).await.unwrap();
    let by_lead = w.tenancy.admin(context.authority("notes:write").unwrap());
    let forbidden = |done: Result<(), StoreError>| {
        let refused = done.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{refused}");
        assert!(refused.to_string().contains("more than"), "{refused}");
        assert_eq!(w.last_audit().outcome, Outcome::Refused);
    };

    // In the project, as much as the caller has there.
    let given = within(roadmap, colleague, SystemRole::Member);
    by_lead.put_project_membership(&given).await.unwrap();
    let role = w
        .directory
        .find_project_role(w.acme.id, roadmap.id, colleague);
    assert_eq!(role.await.unwrap(), Some(SystemRole::Member.name()));
    let owner = within(roadmap, colleague, SystemRole::Owner);
    forbidden(by_lead.put_project_membership(&owner).await);
    let taken = by_lead.remove_project_membership(w.acme.id, roadmap.id, colleague);
    taken.await.unwrap();
    by_service.put_project_membership(&owner).await.unwrap();
    forbidden(
        by_lead
            .remove_project_membership(w.acme.id, roadmap.id, colleague)
            .await,
    );

    // In another project and in the tenant, as much as the caller has there.
    let elsewhere = within(budget, colleague, SystemRole::Member);
    forbidden(by_lead.put_project_membership(&elsewhere).await);
    let as_viewer = within(budget, colleague, SystemRole::Viewer);
    by_lead.put_project_membership(&as_viewer).await.unwrap();
    forbidden(
        by_lead
            .put_membership(&of(colleague, SystemRole::Member))
            .await,
    );
    by_lead
        .put_membership(&of(colleague, SystemRole::Viewer))
        .await
        .unwrap();
}

/// Nobody has a role come to more, or to less, by what they do not hold.
#[tokio::test]
async fn a_caller_redefines_no_role_by_what_it_does_not_hold() {
    let w = World::new().await;
    let reader = UserId::new();
    let by_service = w.tenancy.admin(service());
    let viewer = Membership::new(w.acme.id, reader, SystemRole::Viewer.name());
    by_service.put_membership(&viewer).await.unwrap();
    let request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&w.token(reader, json!({})));
    let context = w.admit(&request).await.unwrap();
    let by_reader = w.tenancy.admin(context.authority("notes:read").unwrap());
    let role = |name: &str| RoleDefinition::new(name.parse().unwrap());
    let forbidden = |done: Result<(), StoreError>, role: &str| {
        let refused = done.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{refused}");
        assert!(refused.to_string().contains(role), "{refused}");
    };
    let acme = w.acme.id;

    // A new one.
    let writer = role("writer").allow("notes:write");
    forbidden(by_reader.put_role(acme, &writer).await, "`writer`");
    let all = role("everything").include(SystemRole::Admin);
    forbidden(by_reader.put_role(acme, &all).await, "`everything`");
    let skimmer = role("skimmer").allow("notes:read");
    by_reader.put_role(acme, &skimmer).await.unwrap();

    // One that others have: neither to less nor to more, nor away.
    by_service.put_role(acme, &writer).await.unwrap();
    forbidden(
        by_reader
            .put_role(acme, &role("writer").allow("notes:read"))
            .await,
        "`writer`",
    );
    forbidden(by_reader.remove_role(acme, &writer.name).await, "`writer`");

    // One that another includes.
    let chief = role("chief")
        .include(skimmer.name.clone())
        .allow("notes:write");
    by_service.put_role(acme, &chief).await.unwrap();
    let less = role("skimmer").allow("notes:read").deny("notes:write");
    forbidden(by_reader.put_role(acme, &less).await, "`chief`");
    by_reader.put_role(acme, &role("skimmer")).await.unwrap();

    // An owner may do all of it.
    let by_owner = w.tenancy.admin(alices(&w).await);
    by_owner.put_role(acme, &less).await.unwrap();
    by_owner.remove_role(acme, &chief.name).await.unwrap();
}

/// The id of a request stands in the entries of what it has caused, where the engine was told of the field.
#[tokio::test]
async fn an_entry_has_the_id_of_its_request() {
    let tokens = || {
        let tokens = JwtAuthenticator::builder(crate::support::ISSUER, "notes");
        tokens.key(crate::support::key()).build().unwrap()
    };
    let told = World::with(|builder| {
        let builder = builder.authenticator(tokens());
        builder.request_id_header("X-Request-Id")
    });
    let (told, untold) = (told.await, World::new().await);
    for (w, told) in [(&told, true), (&untold, false)] {
        let expected = |id: &str| told.then(|| id.to_owned());
        let request = w
            .alice_at("acme.notes.example")
            .header("x-request-id", "req-1");
        let context = w.admit(&request).await.unwrap();
        assert_eq!(context.request_id().map(str::to_owned), expected("req-1"));
        let authority = context.authority("notes:write").unwrap();
        let admin = w.tenancy.admin(authority.clone());
        admin.put_membership(&newcomer(w)).await.unwrap();
        assert_eq!(w.last_audit().request_id, expected("req-1"));
        // What the application says goes before.
        let admin = w.tenancy.admin(authority.request_id("job-9"));
        admin.put_membership(&newcomer(w)).await.unwrap();
        assert_eq!(w.last_audit().request_id.as_deref(), Some("job-9"));
        // A refusal, of a permission and of an admission; too long an id is cut.
        let viewer = newcomer(w);
        w.directory.put_membership(&viewer).await.unwrap();
        let request = FakeRequest::new("/notes")
            .header("host", "acme.notes.example")
            .header("x-request-id", "req-1")
            .bearer(&w.token(viewer.user, json!({})));
        let viewing = w.admit(&request).await.unwrap();
        let _ = viewing.require("notes:write").unwrap_err();
        assert_eq!(&*w.last_audit().action, "permission.check");
        assert_eq!(w.last_audit().request_id, expected("req-1"));
        let foreign = w
            .alice_at("globex.notes.example")
            .header("x-request-id", "x".repeat(200));
        w.refused(&foreign).await;
        assert_eq!(w.last_audit().request_id, expected(&"x".repeat(128)));
    }
    for (name, said) in [
        ("x request", "not a header name"),
        ("cookie", "cookies"),
        ("x-project-id", "project"),
    ] {
        let builder = Tenancy::builder(MemoryDirectory::new()).authenticator(tokens());
        let rules = Identification::new().project_header("x-project-id");
        let built = builder
            .identification(rules)
            .request_id_header(name)
            .build();
        let error = built.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
