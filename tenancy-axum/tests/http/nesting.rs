//! Layers inside layers: what is decided is kept where it is enough, and never where it is not.

use axum::{Router, routing::get as on_get};
use http::StatusCode;
use tenancy_axum::{AdmissionDecision, MaybeTenant, Principal, TenancyLayer, Tenant};
use tenancy_core::{Admitted, RouteNeeds, testing::ContextBuilder};

use crate::support::{World, get, slug, token};

/// One route, an inner layer, an outer layer.
fn nested(world: &World, inner: RouteNeeds, outer: RouteNeeds) -> Router {
    let layer = |needs| TenancyLayer::new(&world.tenancy).needs(needs);
    let inside = Router::new()
        .route("/notes", on_get(slug))
        .layer(layer(inner));
    Router::new().nest("/api", inside).layer(layer(outer))
}

#[tokio::test]
async fn an_inner_layer_decides_anew_exactly_where_the_outer_decision_is_not_enough() {
    let tenant = RouteNeeds::tenant();
    let public = RouteNeeds::tenant().or_anonymous();
    let optional = RouteNeeds::optional();
    let central = RouteNeeds::central();
    for (outer, inner, decisions) in [
        (tenant, tenant, 1),
        (optional, tenant, 1),
        (public, tenant, 1),
        (tenant, optional, 1),
        (tenant, public, 1),
        (central, tenant, 2),
        (central, optional, 2),
    ] {
        let world = World::new().await;
        let app = nested(&world, inner, outer);
        let request = get("/api/notes")
            .tenant("acme")
            .bearer(&token(world.member));
        let answer = request.send(&app).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "acme"));
        assert_eq!(world.decisions(), decisions, "{inner:?} inside {outer:?}");
    }
}

#[tokio::test]
async fn what_the_outer_layer_lets_pass_the_inner_one_still_refuses() {
    for (outer, refused) in [
        (RouteNeeds::central(), StatusCode::UNAUTHORIZED),
        (RouteNeeds::optional(), StatusCode::UNAUTHORIZED),
        (
            RouteNeeds::tenant().or_anonymous(),
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let world = World::new().await;
        let app = nested(&world, RouteNeeds::tenant(), outer);
        let answer = get("/api/notes").tenant("acme").send(&app).await;
        assert_eq!(answer.status, refused, "{outer:?}");
        assert_eq!(world.audit.entries().len(), 1, "one refusal, one entry");
    }
    let world = World::new().await;
    let app = nested(&world, RouteNeeds::tenant(), RouteNeeds::central());
    let request = get("/api/notes")
        .tenant("globex")
        .bearer(&token(world.viewer));
    assert_eq!(request.send(&app).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_request_reaches_no_inner_layer() {
    let world = World::new().await;
    let app = nested(&world, RouteNeeds::tenant(), RouteNeeds::tenant());
    let answer = get("/api/notes").tenant("acme").send(&app).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!((world.decisions(), world.audit.entries().len()), (1, 1));
}

#[tokio::test]
async fn a_central_part_of_a_tenants_router_has_no_tenant() {
    let world = World::new().await;
    let probe = |request: axum::extract::Request| async move {
        request
            .extensions()
            .get::<AdmissionDecision>()
            .and_then(AdmissionDecision::context)
            .is_some()
            .to_string()
    };
    let inside = Router::new()
        .route("/probe", on_get(probe))
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy).central());
    let app = inside.layer(TenancyLayer::new(&world.tenancy));
    let known = |path| get(path).tenant("acme").bearer(&token(world.member));
    assert_eq!(known("/probe").send(&app).await.body, "false");
    assert_eq!(
        known("/notes").send(&app).await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn another_engines_context_is_never_taken_for_ones_own() {
    let [ours, theirs] = [World::new().await, World::new().await];
    let owner = theirs.tenancy.clone();
    let whose = move |tenant: Tenant| async move { tenant.tenancy().is(&owner).to_string() };
    let app = Router::new()
        .route("/notes", on_get(whose))
        .layer(TenancyLayer::new(&theirs.tenancy))
        .layer(TenancyLayer::new(&ours.tenancy));

    // Known to the outer engine only: the inner one has never heard of this member.
    let request = get("/notes").tenant("acme").bearer(&token(ours.member));
    assert_eq!(request.send(&app).await.status, StatusCode::NOT_FOUND);

    // Known to both: the handler gets the inner engine's context.
    theirs.directory_knows(ours.member).await;
    let request = get("/notes").tenant("acme").bearer(&token(ours.member));
    let answer = request.send(&app).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "true"));
}

#[tokio::test]
async fn another_engines_note_is_never_taken_for_ones_own() {
    let [ours, theirs] = [World::new().await, World::new().await];
    let who = |principal: Option<Principal>, MaybeTenant(tenant): MaybeTenant| async move {
        format!("{} {}", principal.is_some(), tenant.is_some())
    };
    let app = Router::new()
        .route("/notes", on_get(who))
        .layer(TenancyLayer::new(&theirs.tenancy).optional())
        .layer(TenancyLayer::new(&ours.tenancy).optional());
    assert_eq!(get("/notes").send(&app).await.body, "false false");
    assert_eq!((ours.decisions(), theirs.decisions()), (1, 1));
}

#[tokio::test]
async fn a_context_of_the_service_itself_is_no_callers() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy));
    let own = world.tenancy.enter(world.acme.id, "a test").await.unwrap();
    let decided = |context| {
        let admitted = Admitted::Tenant(context);
        AdmissionDecision::new(&world.tenancy, RouteNeeds::tenant(), admitted)
    };
    let put_there = get("/notes").tenant("acme").extension(decided(own));
    assert_eq!(put_there.send(&app).await.status, StatusCode::UNAUTHORIZED);
    // And a user's is kept.
    let user = ContextBuilder::new(&world.tenancy, world.acme.clone()).build();
    let put_there = get("/notes").tenant("acme").extension(decided(user));
    assert_eq!(put_there.send(&app).await.status, StatusCode::OK);
}
