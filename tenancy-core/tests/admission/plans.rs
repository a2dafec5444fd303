//! A tenant's plan bounds what is done in it, whoever does it.

use serde_json::json;
use tenancy_core::{
    ConfigError, MemoryDirectory, PermissionRegistry, PlanBook, StoreErrorKind, SystemRole,
    Tenancy, TenancyBuilder, TenantContext,
    jwt::{JwtAuthenticator, ServiceMapping},
    key::NewKey,
    testing::{FakeRequest, StoreDirectly as _},
};

use crate::{
    keys::{alices, issue, with, with_keys},
    support::{ISSUER, World, key},
};

fn book() -> PlanBook {
    PlanBook::new()
        .plan("free", ["notes:read"])
        .plan("pro", ["*"])
        .plan("nothing", [])
}

async fn world(plans: PlanBook) -> World {
    World::over(|directory, builder| with_keys(directory, builder).plans(plans)).await
}

async fn put(w: &World, plan: Option<&str>) {
    w.tenancy
        .admin(tenancy_core::testing::service())
        .set_plan(w.acme.id, plan)
        .await
        .unwrap();
}

fn may(context: &TenantContext) -> Vec<&str> {
    let permissions = context.tenancy().permissions();
    permissions.names(context.permissions()).collect()
}

#[tokio::test]
async fn a_keys_scopes_its_creators_rights_and_the_plan_all_bound_it() {
    let w = world(book()).await;
    put(&w, Some("pro")).await;
    let all = issue(&w, alices(&w)).await;
    let write = ["notes:write".parse().unwrap()];
    let writing = issue(&w, NewKey::new(w.acme.id, w.alice, "w", write)).await;
    let (owner, viewer) = (SystemRole::Owner, SystemRole::Viewer);
    for (plan, role, of_all, of_writing) in [
        ("pro", owner, "notes:read notes:write", "notes:write"),
        ("free", owner, "notes:read", ""),
        ("pro", viewer, "notes:read", ""),
        ("free", viewer, "notes:read", ""),
        ("nothing", owner, "", ""),
        ("pro", owner, "notes:read notes:write", "notes:write"),
    ] {
        put(&w, Some(plan)).await;
        let member = tenancy_core::Membership::new(w.acme.id, w.alice, role.name());
        w.tenancy
            .admin(tenancy_core::testing::service())
            .put_membership(&member)
            .await
            .unwrap();
        for (key, may_do) in [(&all, of_all), (&writing, of_writing)] {
            let context = w.admit(&with(key)).await.unwrap();
            assert_eq!(may(&context).join(" "), may_do, "{plan} {role:?}");
        }
    }
}

#[tokio::test]
async fn a_plan_bounds_members_and_services_and_not_the_services_own_work() {
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .build()
        .unwrap();
    let machines = JwtAuthenticator::builder("https://jobs.example", "notes")
        .key(key())
        .tenant_claim("tenant")
        .services(ServiceMapping::Always)
        .scope_claim("scope", &permissions)
        .build()
        .unwrap();
    let w = World::over(|directory, builder| {
        with_keys(directory, builder)
            .authenticator(machines)
            .plans(book())
    })
    .await;
    put(&w, Some("free")).await;
    let member = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    assert_eq!(may(&member), ["notes:read"]);
    assert!(member.require("notes:write").is_err());
    let claims = json!({
        "iss": "https://jobs.example", "tenant": "acme", "scope": "notes:read notes:write",
        "sub": tenancy_core::ServiceId::new().to_string(),
    });
    let machine = FakeRequest::new("/notes").bearer(&w.token(w.alice, claims));
    assert_eq!(may(&w.admit(&machine).await.unwrap()), ["notes:read"]);
    let own = w.tenancy.enter(w.acme.id, "a job").await.unwrap();
    assert!(own.require("notes:write").is_ok());
}

#[tokio::test]
async fn nobody_issues_a_key_for_more_than_the_plan_permits() {
    let w = world(book()).await;
    put(&w, Some("free")).await;
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let asked = |scope: &str| NewKey::in_context(&context, "a key", [scope.parse().unwrap()]);
    assert!(asked("notes:read").is_ok());
    assert_eq!(asked("notes:write").unwrap_err().kind().status(), 403);
}

#[tokio::test]
async fn a_tenant_without_a_plan_or_with_an_unknown_one_may_do_nothing_unless_said_otherwise() {
    for (plans, plan, may_do) in [
        (book(), None, ""),
        (book(), Some("platinum"), ""),
        (book().for_tenants_without_plan("free"), None, "notes:read"),
        (
            book().for_tenants_without_plan("free"),
            Some("platinum"),
            "",
        ),
    ] {
        let w = world(plans).await;
        // As an operator's program does that has no book, or another one.
        w.directory.set_plan(w.acme.id, plan).await.unwrap();
        let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
        assert_eq!(may(&context).join(" "), may_do, "{plan:?}");
    }
}

#[tokio::test]
async fn no_tenant_is_put_on_a_plan_that_the_book_does_not_have() {
    let w = world(book()).await;
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    let refused = admin.set_plan(w.acme.id, Some("teem")).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotFound);
    let said = refused.to_string();
    assert!(
        said.contains("no plan `teem`") && said.contains("`free`, `pro`"),
        "{said}"
    );
    admin.set_plan(w.acme.id, Some("pro")).await.unwrap();
    admin.set_plan(w.acme.id, None).await.unwrap();
}

#[test]
fn a_book_that_can_not_be_meant_is_refused_when_the_engine_is_built() {
    let built = |plans: PlanBook| -> Result<Tenancy, ConfigError> {
        let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
        let permissions = PermissionRegistry::builder().permission("notes:read", None);
        let builder: TenancyBuilder = Tenancy::builder(MemoryDirectory::new());
        builder
            .authenticator(tokens.build().unwrap())
            .permissions(permissions.build().unwrap())
            .plans(plans)
            .build()
    };
    assert!(built(PlanBook::new().plan("free", ["notes:read"])).is_ok());
    for (plans, said) in [
        (
            PlanBook::new().plan("free", ["notes:raed"]),
            "plan `free` permits `notes:raed`, which covers no permission that is declared",
        ),
        (
            PlanBook::new().plan("free", ["Notes"]),
            "plan `free`: `Notes` is not a grant",
        ),
        (
            PlanBook::new().plan("free", []).plan("free", ["*"]),
            "plan `free` stands twice",
        ),
        (
            PlanBook::new().for_tenants_without_plan("free"),
            "count as `free`, which is not in the book",
        ),
    ] {
        let error = built(plans).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
