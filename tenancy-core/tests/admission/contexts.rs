//! Contexts: what they know, what they refuse, and how they live outside a request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenancy_core::{
    Actor, Admitted, Membership, Outcome, Project, ProjectMembership, RefusalKind, RoleDefinition,
    RouteNeeds, Settings, SystemRole, TenantId, UserId, testing::FakeRequest,
};

use crate::support::{World, answer};

const HOST: &str = "acme.notes.example";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Look {
    accent: String,
}

#[tokio::test]
async fn settings_are_typed_cached_and_dropped_by_generation() {
    let w = World::new().await;
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    let teal = Settings::from_typed(&Look {
        accent: "teal".into(),
    })
    .unwrap();
    admin.set_settings(w.acme.id, &teal).await.unwrap();
    let context = w.admit(&w.alice_at(HOST)).await.unwrap();
    assert_eq!(context.settings::<Look>().unwrap().accent, "teal");
    let red = Settings::from_typed(&Look {
        accent: "red".into(),
    })
    .unwrap();
    admin.set_settings(w.acme.id, &red).await.unwrap();
    assert_eq!(
        context.settings::<Look>().unwrap().accent,
        "teal",
        "a context does not change"
    );
    let next = w.admit(&w.alice_at(HOST)).await.unwrap();
    assert_eq!(next.settings::<Look>().unwrap().accent, "red");
    assert!(next.generation() > context.generation());
}

#[tokio::test]
async fn a_denied_permission_is_audited_and_an_undeclared_one_is_a_fault_of_the_service() {
    let w = World::new().await;
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&viewer)
        .await
        .unwrap();
    let context = w.admit(&w.alice_at(HOST)).await.unwrap();
    assert_eq!(
        answer(context.require("notes:write")),
        (403, "permission-not-held")
    );
    let entry = w.last_audit();
    assert_eq!(entry.action, "permission.check");
    assert_eq!(entry.outcome, Outcome::Refused);
    assert_eq!(
        (entry.tenant, entry.target.as_deref()),
        (Some(w.acme.id), Some("notes:write"))
    );
    let undeclared = context.require("notes:fly").unwrap_err();
    assert_eq!(undeclared.kind(), RefusalKind::Misconfigured);
}

#[tokio::test]
async fn a_role_of_the_tenants_own_holds_in_that_tenant_and_in_no_other() {
    let w = World::new().await;
    let writer = RoleDefinition::new("writer".parse().unwrap()).allow("notes:*");
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_role(w.acme.id, &writer)
        .await
        .unwrap();
    for tenant in [w.acme.id, w.globex.id] {
        let membership = Membership::new(tenant, w.alice, "writer".parse().unwrap());
        w.tenancy
            .admin(tenancy_core::testing::service())
            .put_membership(&membership)
            .await
            .unwrap();
    }
    let own = w.admit(&w.alice_at(HOST)).await.unwrap();
    assert!(own.require("notes:write").is_ok());
    let other = w.admit(&w.alice_at("globex.notes.example")).await.unwrap();
    assert_eq!(answer(other.require("notes:read")).0, 403);
}

#[tokio::test]
async fn a_project_adds_its_role_and_a_project_of_another_tenant_is_unknown() {
    let w = World::new().await;
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    admin.put_membership(&viewer).await.unwrap();
    let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), "Roadmap");
    admin.put_project(&project).await.unwrap();
    let role = SystemRole::Member.name();
    let member = ProjectMembership::new(w.acme.id, project.id, w.alice, role);
    admin.put_project_membership(&member).await.unwrap();
    let foreign = Project::new(w.globex.id, "roadmap".parse().unwrap(), "Roadmap");
    admin.put_project(&foreign).await.unwrap();

    let at = |id: &dyn ToString| w.alice_at(HOST).header("x-project-id", id.to_string());
    let inside = w.admit(&at(&project.id)).await.unwrap();
    assert_eq!(inside.project_id(), Some(project.id));
    assert!(inside.require("notes:write").is_ok());
    let outside = w.admit(&w.alice_at(HOST)).await.unwrap();
    assert_eq!(outside.project_id(), None);
    assert!(outside.require("notes:write").is_err());
    assert_eq!(w.refused(&at(&foreign.id)).await, (404, "project-unknown"));

    let mut archived = project.clone();
    archived.archived = true;
    admin.put_project(&archived).await.unwrap();
    assert_eq!(w.refused(&at(&project.id)).await, (404, "project-unknown"));
}

#[tokio::test]
async fn work_outside_a_request_enters_with_a_reason_and_is_audited() {
    let w = World::new().await;
    let context = w.tenancy.enter(w.acme.id, "nightly digest").await.unwrap();
    assert_eq!(context.principal().actor, Actor::System);
    assert!(context.require("notes:write").is_ok());
    let entry = w.last_audit();
    assert_eq!(
        (&*entry.action, entry.reason.as_deref()),
        ("tenant.enter", Some("nightly digest"))
    );
    assert_eq!(answer(w.tenancy.enter(w.acme.id, " ").await).0, 500);
    assert_eq!(answer(w.tenancy.enter(TenantId::new(), "x").await).0, 404);
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(
        answer(w.tenancy.enter(w.acme.id, "x").await),
        (403, "tenant-suspended")
    );
}

#[tokio::test]
async fn a_context_that_is_held_for_long_can_be_decided_about_again() {
    let w = World::new().await;
    let context = w.admit(&w.alice_at(HOST)).await.unwrap();
    let held = tokio::spawn({
        let (tenancy, context) = (w.tenancy.clone(), context.clone());
        async move { tenancy.revalidate(&context).await }
    });
    assert_eq!(held.await.unwrap().unwrap().user_id(), Some(w.alice));
    w.tenancy
        .admin(tenancy_core::testing::service())
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    assert_eq!(
        answer(w.tenancy.revalidate(&context).await),
        (404, "not-a-member")
    );
    let back = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&back)
        .await
        .unwrap();
    let renewed = w.tenancy.revalidate(&context).await.unwrap();
    assert_eq!(renewed.role().unwrap().as_str(), "viewer");
    w.clock.advance(Duration::from_secs(3600 + 31));
    assert_eq!(
        answer(w.tenancy.revalidate(&renewed).await),
        (401, "credential-expired")
    );
}

#[tokio::test]
async fn a_visitor_is_decided_about_again_like_anybody() {
    let w = World::new().await;
    let visitor = FakeRequest::new("/").header("host", HOST);
    let public = RouteNeeds::tenant().or_anonymous();
    let Admitted::Tenant(context) = w.admit_as(&visitor, public).await.unwrap() else {
        panic!("a tenant");
    };
    let again = w.tenancy.revalidate(&context).await.unwrap();
    assert_eq!(again.principal().actor, Actor::Anonymous);
    assert!(again.permissions().is_empty());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(
        answer(w.tenancy.revalidate(&context).await),
        (404, "tenant-not-served")
    );
}

#[tokio::test]
async fn a_context_of_another_engine_is_not_decided_about() {
    let (one, other) = (World::new().await, World::new().await);
    let context = one.admit(&one.alice_at(HOST)).await.unwrap();
    let refused = other.tenancy.revalidate(&context).await;
    assert_eq!(answer(refused), (500, "context-of-another-engine"));
}

#[tokio::test]
async fn a_store_that_answers_with_anothers_record_opens_nothing() {
    let w = World::new().await;
    // A user who is a member of nothing, and asks for a tenant by an id that is nobody's.
    let stranger = w.token(UserId::new(), serde_json::json!({}));
    let request = FakeRequest::new("/")
        .header("x-organization-id", TenantId::new().to_string())
        .bearer(&stranger);
    assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
}
