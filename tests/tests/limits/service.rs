//! The service, on both frameworks: the same paths behind the same layers.

use std::time::Duration;

use actix_web::{
    App, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web,
};
use axum::{
    Extension, Json, Router,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tenancy_actix::{PolicyMiddleware, TenancyMiddleware};
use tenancy_axum::{PolicyLayer, TenancyLayer};
use tenancy_core::{
    ConfigError, Refusal, RouteNeeds, RoutePolicy, Tenancy, TenantContext, quota::ChargedLimits,
};
use tenancy_tests::{Framework, Serving};

/// An export on a route that has no tenant.
fn without_a_tenant() -> RoutePolicy {
    RoutePolicy::new(RouteNeeds::central()).cost("exports", 1)
}

fn exports(amount: u64) -> RoutePolicy {
    RoutePolicy::new(RouteNeeds::tenant()).cost("exports", amount)
}

/// What the request was charged, as its handler knows it.
fn charged(limits: &ChargedLimits) -> Value {
    let each = limits
        .iter()
        .map(|limit| json!([limit.name, limit.amount, limit.standing.remaining]));
    each.collect()
}

/// What the caller has used of each limit, and what is left.
async fn usage(context: &TenantContext) -> Result<Value, Refusal> {
    let usage = context.usage().await?;
    let each = usage
        .iter()
        .map(|limit| json!([limit.name, limit.standing.used, limit.standing.remaining]));
    Ok(each.collect())
}

/// Keeps a project, and says how many more there may be.
async fn create_project(context: &TenantContext) -> Result<Value, Refusal> {
    let projects = context.quota("projects");
    projects.reserve(1).await?.commit().await?;
    Ok(json!(projects.left().await?))
}

/// Asks for a meter that nobody declared.
async fn undeclared(context: &TenantContext) -> Result<Value, Refusal> {
    Ok(json!(context.quota("beer").left().await?))
}

/// A request that says so gets a second.
fn limit(is_hasty: bool) -> Duration {
    Duration::from_millis(if is_hasty { 1_000 } else { 60_000 })
}

async fn limited(request: Request, next: Next) -> Response {
    let limit = limit(request.headers().contains_key("x-hasty"));
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

async fn limited_in_actix(
    request: ServiceRequest,
    next: actix_web::middleware::Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let limit = limit(request.headers().contains_key("x-hasty"));
    match tokio::time::timeout(limit, next.call(request)).await {
        Ok(answered) => answered,
        Err(_) => Err(actix_web::error::ErrorRequestTimeout("too slow")),
    }
}

pub(crate) async fn serve(framework: Framework, tenancy: &Tenancy) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => Serving::axum(axum(tenancy)?).await,
        Framework::Actix => actix(tenancy).await,
    }
}

fn axum(tenancy: &Tenancy) -> Result<Router, ConfigError> {
    use tenancy_axum::{Error, Tenant};

    let central = Router::new()
        .route("/sign-in", post(async || "signed in"))
        .layer(TenancyLayer::new(tenancy).central());
    let one = PolicyLayer::new(tenancy, exports(1))?;
    let two = PolicyLayer::new(tenancy, exports(2))?;
    let without = PolicyLayer::new(tenancy, without_a_tenant())?;
    let export = async |Extension(limits): Extension<ChargedLimits>| Json(charged(&limits));
    let of_tenants = Router::new()
        .route("/notes", get(async || "notes"))
        .route("/missing", get(async || StatusCode::NOT_FOUND))
        .route("/export", post(export).route_layer(one.clone()))
        .route("/layered", post(export).layer(one.clone()))
        .route("/twice", post(export).route_layer(two).route_layer(one))
        .route(
            "/usage",
            get(async |tenant: Tenant| Ok::<_, Error>(Json(usage(&tenant).await?))),
        )
        .route(
            "/projects",
            post(async |tenant: Tenant| Ok::<_, Error>(Json(create_project(&tenant).await?))),
        )
        .route(
            "/undeclared",
            get(async |tenant: Tenant| Ok::<_, Error>(Json(undeclared(&tenant).await?))),
        )
        .layer(TenancyLayer::new(tenancy));
    // The fallback of the last one counts: an unknown path needs a tenant.
    Ok(central
        .merge(Router::new().route("/hook", post(async || "heard").layer(without)))
        .merge(of_tenants)
        .layer(axum::middleware::from_fn(limited))
        .layer(tenancy_axum::TenancyCors::new(tenancy)?))
}

async fn actix(tenancy: &Tenancy) -> anyhow::Result<Serving> {
    use tenancy_actix::{Error, Tenant};

    let one = PolicyMiddleware::new(tenancy, exports(1))?;
    let two = PolicyMiddleware::new(tenancy, exports(2))?;
    let without = PolicyMiddleware::new(tenancy, without_a_tenant())?;
    let cors = tenancy_actix::TenancyCors::new(tenancy)?;
    let tenancy = tenancy.clone();
    let app = move || {
        let export = || {
            web::post().to(async |limits: web::ReqData<ChargedLimits>| web::Json(charged(&limits)))
        };
        App::new()
            .service(
                web::resource("/sign-in")
                    .route(web::post().to(async || "signed in"))
                    .wrap(TenancyMiddleware::new(&tenancy).central()),
            )
            .service(
                web::resource("/hook")
                    .route(web::post().to(async || "heard"))
                    .wrap(without.clone()),
            )
            .service(
                web::scope("")
                    .service(web::resource("/notes").route(web::get().to(async || "notes")))
                    .service(
                        web::resource("/missing")
                            .route(web::get().to(async || HttpResponse::NotFound())),
                    )
                    .service(web::resource("/export").route(export()).wrap(one.clone()))
                    .service(web::resource("/layered").route(export()).wrap(one.clone()))
                    .service(
                        web::resource("/twice")
                            .route(export())
                            .wrap(two.clone())
                            .wrap(one.clone()),
                    )
                    .service(web::resource("/usage").route(web::get().to(
                        async |tenant: Tenant| Ok::<_, Error>(web::Json(usage(&tenant).await?)),
                    )))
                    .service(web::resource("/projects").route(web::post().to(
                        async |tenant: Tenant| {
                            Ok::<_, Error>(web::Json(create_project(&tenant).await?))
                        },
                    )))
                    .service(web::resource("/undeclared").route(web::get().to(
                        async |tenant: Tenant| {
                            Ok::<_, Error>(web::Json(undeclared(&tenant).await?))
                        },
                    )))
                    .wrap(TenancyMiddleware::new(&tenancy)),
            )
            .wrap(from_fn(limited_in_actix))
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
