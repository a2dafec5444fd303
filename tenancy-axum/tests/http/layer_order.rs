//! What runs first: the order that the documentation advises, and why.

use axum::{Router, routing::get as on_get};
use http::{Method, StatusCode};
use tenancy_axum::TenancyLayer;
use tower_http::{
    cors::{Any, CorsLayer},
    trace::TraceLayer,
};
use tracing::field::Empty;

use crate::support::{Logs, World, get, slug, token};

#[tokio::test]
async fn a_trace_layer_outside_gets_the_tenant_on_its_span() {
    async fn logging(_: tenancy_axum::Tenant) {
        tracing::info!("in the handler");
    }

    let world = World::new().await;
    let trace = TraceLayer::new_for_http().make_span_with(|request: &http::Request<_>| {
        tracing::info_span!(
            "request",
            path = request.uri().path(),
            tenant.slug = Empty,
            principal.role = Empty,
        )
    });
    let app = Router::new()
        .route("/notes", on_get(logging))
        .layer(TenancyLayer::new(&world.tenancy))
        .layer(trace);
    for temperature in ["cold", "warm"] {
        let (logs, _guard) = Logs::collect();
        let request = get("/notes").tenant("acme").bearer(&token(world.member));
        assert_eq!(request.send(&app).await.status, StatusCode::OK);
        let lines = logs.at("in the handler").concat();
        assert!(
            lines.contains("tenant.slug=\"acme\""),
            "{temperature}: {lines}"
        );
        assert!(
            lines.contains("principal.role=\"member\""),
            "{temperature}: {lines}"
        );
    }
}

#[tokio::test]
async fn cors_outside_answers_preflights_and_marks_refusals() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy))
        .layer(CorsLayer::new().allow_origin(Any).allow_headers(Any));
    let cross = || get("/notes").header("origin", "https://app.example");
    let preflight = cross()
        .method(Method::OPTIONS)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    assert_eq!(preflight.send(&app).await.status, StatusCode::OK);
    assert_eq!(world.decisions(), 0);
    let refused = cross().send(&app).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn layer_covers_the_fallback_and_route_layer_does_not() {
    let world = World::new().await;
    let routes = || Router::new().route("/notes", on_get(slug));
    let layered = routes().layer(TenancyLayer::new(&world.tenancy));
    assert_eq!(
        get("/nowhere").send(&layered).await.status,
        StatusCode::UNAUTHORIZED
    );
    let route_layered = routes().route_layer(TenancyLayer::new(&world.tenancy));
    assert_eq!(
        get("/nowhere").send(&route_layered).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        get("/notes").send(&route_layered).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_route_added_after_the_layer_is_not_covered() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy))
        .route("/late", on_get(slug))
        .route("/health", on_get(async || "alive"));
    assert_eq!(get("/health").send(&app).await.body, "alive");
    let known = get("/late").tenant("acme").bearer(&token(world.member));
    assert_eq!(
        known.send(&app).await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn the_order_of_the_layers_own_options_does_not_matter() {
    let world = World::new().await;
    let layer = || TenancyLayer::new(&world.tenancy);
    for layer in [
        layer().optional().or_anonymous(),
        layer().or_anonymous().optional(),
    ] {
        let app = Router::new().route("/notes", on_get(slug)).layer(layer);
        let answer = get("/notes").tenant("acme").send(&app).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "acme"));
    }
}
