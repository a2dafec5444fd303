//! The service, on both frameworks: the same paths.

use std::{convert::Infallible, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, web};
use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    response::IntoResponse as _,
    routing::get,
};
use futures_util::{Stream, stream};
use tenancy_actix::{PolicyMiddleware, TenancyMiddleware};
use tenancy_axum::{PolicyLayer, TenancyLayer};
use tenancy_core::{RouteNeeds, RoutePolicy, Tenancy};
use tenancy_tests::{Framework, Serving};
use tenancy_usage::RequestUsage;

pub(super) const TEXT: &str = "twelve bytes";

fn policy() -> RoutePolicy {
    RoutePolicy::new(RouteNeeds::tenant()).permission("notes:read")
}

/// A chunk every few milliseconds, and no end.
fn endless() -> impl Stream<Item = Result<web::Bytes, Infallible>> {
    stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok(web::Bytes::from_static(TEXT.as_bytes())), ()))
    })
}

pub(super) async fn serve(
    framework: Framework,
    tenancy: &Tenancy,
    usage: &RequestUsage,
) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => Serving::axum(axum(tenancy, usage)?).await,
        Framework::Actix => actix(tenancy, usage).await,
    }
}

fn axum(tenancy: &Tenancy, usage: &RequestUsage) -> anyhow::Result<Router> {
    let twice = PolicyLayer::new(tenancy, policy())?.usage(usage);
    Ok(Router::new()
        .route("/notes/{id}", get(async || TEXT))
        .route(
            "/notes",
            axum::routing::post(async |_: Bytes| StatusCode::CREATED),
        )
        .route("/fails", get(async || (StatusCode::CONFLICT, TEXT)))
        .route("/twice", get(async || TEXT).layer(twice))
        .route(
            "/panics",
            get(async || assert!(TEXT.is_empty(), "as this test wants")),
        )
        .route("/hangs", get(async || std::future::pending::<()>().await))
        .route(
            "/streams",
            get(async || Body::from_stream(endless()).into_response()),
        )
        .layer(TenancyLayer::new(tenancy).usage(usage)))
}

async fn actix(tenancy: &Tenancy, usage: &RequestUsage) -> anyhow::Result<Serving> {
    let twice = PolicyMiddleware::new(tenancy, policy())?.usage(usage);
    let (tenancy, usage) = (tenancy.clone(), usage.clone());
    let app = move || {
        App::new()
            .service(
                web::resource("/notes/{id}")
                    .route(web::get().to(async || TEXT))
                    .route(web::head().to(async || TEXT)),
            )
            .service(
                web::resource("/notes")
                    .route(web::post().to(async |_: web::Bytes| HttpResponse::Created())),
            )
            .service(
                web::resource("/fails")
                    .route(web::get().to(async || HttpResponse::Conflict().body(TEXT))),
            )
            .service(
                web::resource("/twice")
                    .route(web::get().to(async || TEXT))
                    .wrap(twice.clone()),
            )
            .service(web::resource("/panics").route(web::get().to(async || {
                assert!(TEXT.is_empty(), "as this test wants");
                TEXT
            })))
            .service(
                web::resource("/streams")
                    .route(web::get().to(async || HttpResponse::Ok().streaming(endless()))),
            )
            .wrap(TenancyMiddleware::new(&tenancy).usage(&usage))
    };
    Serving::actix(move |listener| {
        HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .listen(listener)
            .map(HttpServer::run)
    })
    .await
}
