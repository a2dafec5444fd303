//! The service, on both frameworks: the same paths with the same policies.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};
use axum::{Router, body::Body, http::StatusCode, response::IntoResponse as _, routing::get};
use futures_util::{Stream, stream};
use tenancy_actix::{PolicyMiddleware, RequirePermission as ActixRequires, TenancyMiddleware};
use tenancy_axum::{PolicyLayer, RequirePermission, TenancyLayer};
use tenancy_core::{ConfigError, RouteNeeds, RoutePolicy, Tenancy};
use tenancy_tests::{Framework, Serving};

use crate::till::{Entry, Till};

pub(crate) const TEXT: &str = "twelve bytes";

/// The routes that have a policy, and what it is.
fn policy(path: &str) -> RoutePolicy {
    let policy = RoutePolicy::new(RouteNeeds::tenant());
    match path {
        "/export" => policy
            .permission("notes:export")
            .feature("export")
            .cost("exports", 1),
        "/dear" => policy.cost("requests", 10),
        "/both" => policy.cost("requests", 1).cost("exports", 2),
        "/sign-up" => RoutePolicy::new(RouteNeeds::central()).cost("requests", 1),
        _ => policy.cost("requests", 1),
    }
}

/// A chunk every few milliseconds, and no end.
fn endless() -> impl Stream<Item = Result<web::Bytes, Infallible>> {
    stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok(web::Bytes::from_static(TEXT.as_bytes())), ()))
    })
}

/// A stream whose length is announced.
fn sized() -> impl Stream<Item = Result<web::Bytes, Infallible>> {
    stream::once(async { Ok(web::Bytes::from_static(TEXT.as_bytes())) })
}

/// actix-web goes on with a handler whose client has gone; a time limit drops it.
async fn limited(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let is_limited = request.headers().contains_key("x-limit");
    let limit = Duration::from_millis(if is_limited { 1_000 } else { 60_000 });
    match tokio::time::timeout(limit, next.call(request)).await {
        Ok(answered) => answered,
        Err(_) => Err(actix_web::error::ErrorRequestTimeout("too slow")),
    }
}

pub(crate) async fn serve(
    framework: Framework,
    tenancy: &Tenancy,
    till: &Till,
) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => Serving::axum(axum(tenancy, till)?).await,
        Framework::Actix => actix(tenancy, till).await,
    }
}

fn axum(tenancy: &Tenancy, till: &Till) -> Result<Router, ConfigError> {
    let layer = |path: &str| PolicyLayer::new(tenancy, policy(path));
    let reached = |till: &Till| {
        let till = till.clone();
        move || {
            till.note(Entry::Reached);
            std::future::ready(TEXT)
        }
    };
    let inner = Router::new()
        .route("/once", get(reached(till)).layer(layer("/once")?))
        .route("/dear", get(reached(till)).layer(layer("/dear")?))
        .route("/free", get(reached(till)))
        .layer(RequirePermission::new(tenancy, "notes:read")?)
        .layer(TenancyLayer::new(tenancy))
        .layer(layer("/once")?)
        .layer(TenancyLayer::new(tenancy).optional());
    let signed_up = Router::new()
        .route("/tenant", get(reached(till)).layer(layer("/once")?))
        .layer(layer("/sign-up")?);
    let alone = Router::new()
        .route("/whole", get(reached(till)).layer(layer("/whole")?))
        .route("/both", get(reached(till)).layer(layer("/both")?))
        .route("/export", get(reached(till)).layer(layer("/export")?))
        .route("/sign-up", get(reached(till)).layer(layer("/sign-up")?))
        .route(
            "/fails",
            get(async || (StatusCode::CONFLICT, TEXT)).layer(layer("/fails")?),
        )
        .route(
            "/sized",
            get(async || ([("content-length", "12")], Body::from_stream(sized())))
                .layer(layer("/sized")?),
        )
        .route(
            "/panics",
            get(async || {
                assert!(TEXT.is_empty(), "as this test wants");
            })
            .layer(layer("/panics")?),
        )
        .route(
            "/hangs",
            get(async || std::future::pending::<()>().await).layer(layer("/hangs")?),
        )
        .route(
            "/streams",
            get(async || Body::from_stream(endless()).into_response()).layer(layer("/streams")?),
        );
    Ok(Router::new()
        .nest("/covered", inner)
        .nest("/central", signed_up)
        .merge(alone))
}

async fn actix(tenancy: &Tenancy, till: &Till) -> anyhow::Result<Serving> {
    let wrap = |path: &str| PolicyMiddleware::new(tenancy, policy(path));
    let [once, dear, whole, both, export] = [
        wrap("/once")?,
        wrap("/dear")?,
        wrap("/whole")?,
        wrap("/both")?,
        wrap("/export")?,
    ];
    let [sign_up, fails, panics, hangs, streams] = [
        wrap("/sign-up")?,
        wrap("/fails")?,
        wrap("/panics")?,
        wrap("/hangs")?,
        wrap("/streams")?,
    ];
    let requires = ActixRequires::new(tenancy, "notes:read")?;
    let (tenancy, till) = (tenancy.clone(), till.clone());
    let app = move || {
        let reached = |route: actix_web::Route| {
            let till = till.clone();
            route.to(move || {
                till.note(Entry::Reached);
                std::future::ready(TEXT)
            })
        };
        // A route has one method here, and HEAD is another than GET.
        let both_methods = |path: &str, policy: &PolicyMiddleware| {
            web::resource(path)
                .route(reached(web::get()))
                .route(reached(web::head()))
                .wrap(policy.clone())
        };
        App::new()
            .service(
                web::scope("/covered")
                    .service(
                        web::scope("")
                            .service(
                                web::scope("")
                                    .service(
                                        web::scope("")
                                            .service(both_methods("/once", &once))
                                            .service(both_methods("/dear", &dear))
                                            .service(
                                                web::resource("/free").route(reached(web::get())),
                                            )
                                            .wrap(requires.clone()),
                                    )
                                    .wrap(TenancyMiddleware::new(&tenancy)),
                            )
                            .wrap(once.clone()),
                    )
                    .wrap(TenancyMiddleware::new(&tenancy).optional()),
            )
            .service(
                web::scope("/central")
                    .service(both_methods("/tenant", &once))
                    .wrap(sign_up.clone()),
            )
            .service(both_methods("/whole", &whole))
            .service(both_methods("/both", &both))
            .service(both_methods("/export", &export))
            .service(both_methods("/sign-up", &sign_up))
            .service(
                web::resource("/fails")
                    .route(web::get().to(async || HttpResponse::Conflict().body(TEXT)))
                    .wrap(fails.clone()),
            )
            .service(
                web::resource("/sized")
                    .route(
                        web::get()
                            .to(async || HttpResponse::Ok().no_chunking(12).streaming(sized())),
                    )
                    .wrap(whole.clone()),
            )
            .service(
                web::resource("/panics")
                    .route(web::get().to(async || {
                        assert!(TEXT.is_empty(), "as this test wants");
                        TEXT
                    }))
                    .wrap(panics.clone()),
            )
            .service(
                web::resource("/hangs")
                    .route(web::get().to(async || std::future::pending::<&str>().await))
                    .wrap(hangs.clone()),
            )
            .service(
                web::resource("/streams")
                    .route(web::get().to(async || HttpResponse::Ok().streaming(endless())))
                    .wrap(streams.clone()),
            )
            .wrap(from_fn(limited))
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
