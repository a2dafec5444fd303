//! The service, on both frameworks: the same paths behind the same layers.

use actix_web::{App, HttpResponse, HttpServer, web};
use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use tenancy_actix::{PolicyMiddleware, TenancyMiddleware};
use tenancy_axum::{PolicyLayer, TenancyLayer};
use tenancy_core::{ConfigError, RouteNeeds, RoutePolicy, Tenancy};
use tenancy_tests::{Framework, Serving};

fn export() -> RoutePolicy {
    RoutePolicy::new(RouteNeeds::tenant()).cost("exports", 1)
}

pub(crate) async fn serve(framework: Framework, tenancy: &Tenancy) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => Serving::axum(axum(tenancy)?).await,
        Framework::Actix => actix(tenancy).await,
    }
}

fn axum(tenancy: &Tenancy) -> Result<Router, ConfigError> {
    let central = Router::new()
        .route("/sign-in", post(async || "signed in"))
        .layer(TenancyLayer::new(tenancy).central());
    let of_tenants = Router::new()
        .route("/notes", get(async || "notes"))
        .route("/missing", get(async || StatusCode::NOT_FOUND))
        .route(
            "/export",
            post(async || "exported").layer(PolicyLayer::new(tenancy, export())?),
        )
        .layer(TenancyLayer::new(tenancy));
    // The fallback of the last one counts: an unknown path needs a tenant.
    Ok(central
        .merge(of_tenants)
        .layer(tenancy_axum::TenancyCors::new(tenancy)?))
}

async fn actix(tenancy: &Tenancy) -> anyhow::Result<Serving> {
    let exporting = PolicyMiddleware::new(tenancy, export())?;
    let cors = tenancy_actix::TenancyCors::new(tenancy)?;
    let tenancy = tenancy.clone();
    let app = move || {
        App::new()
            .service(
                web::resource("/sign-in")
                    .route(web::post().to(async || "signed in"))
                    .wrap(TenancyMiddleware::new(&tenancy).central()),
            )
            .service(
                web::scope("")
                    .service(web::resource("/notes").route(web::get().to(async || "notes")))
                    .service(
                        web::resource("/missing")
                            .route(web::get().to(async || HttpResponse::NotFound())),
                    )
                    .service(
                        web::resource("/export")
                            .route(web::post().to(async || "exported").wrap(exporting.clone())),
                    )
                    .wrap(TenancyMiddleware::new(&tenancy)),
            )
            .wrap(cors.clone())
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
