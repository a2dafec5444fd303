//! A notes service for many customers: actix-web, sqlx and tenancy.
//!
//! `notes-actix install` prepares the database, `notes-actix provision <slug> <name> <owner>` adds a
//! tenant, and `notes-actix` serves. The neighbour `notes-axum` is the same service on axum.
//!
//! | variable | for | meaning |
//! |---|---|---|
//! | `ADMIN_DATABASE_URL` | install | the database, as its administrator |
//! | `NOTES_APP_PASSWORD`, `NOTES_SYSTEM_PASSWORD`, `NOTES_REGISTRY_PASSWORD` | install | passwords that the three logins get |
//! | `DATABASE_URL` | the rest | the database, as `tenancy_app` |
//! | `SYSTEM_DATABASE_URL` | the rest | the database, as `tenancy_system` |
//! | `REGISTRY_DATABASE_URL` | serving | the database, as `tenancy_registry`, which counts usage |
//! | `NOTES_TOKEN_SECRET` | the rest | the secret of the identity provider's tokens, 32 bytes or more |
//! | `NOTES_OPERATOR` | serving | the id of the user who may suspend tenants |
//! | `NOTES_ADDRESS` | serving | where to listen; `127.0.0.1:3000` if it is not set |

mod careless;
mod digest;
mod error;
mod notes;
mod operator;
mod provision;
mod setup;

use std::time::Duration;

use actix_web::{App, HttpServer, web};
use tenancy::{
    RouteNeeds, RoutePolicy,
    actix::{PolicyMiddleware, RequirePermission, TenancyMiddleware, ready},
    postgres::TenantPool,
    usage::RequestUsage,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::operator::Operators;

/// How long requests in flight may take to end, in seconds.
const GRACE: u64 = 10;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => serve().await,
        ["install"] => setup::install().await,
        ["provision", slug, name, owner] => provision::run(slug, name, owner).await,
        _ => Err("usage: notes-actix [install | provision <slug> <name> <owner's id>]".into()),
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let tenancy = setup::tenancy().await?;
    let pool =
        web::Data::new(TenantPool::connect(&std::env::var("DATABASE_URL")?, &tenancy).await?);

    let (usage, recorder) = setup::usage().await?;
    let requests = RequestUsage::new(&recorder)?;

    let reading = RequirePermission::new(&tenancy, "notes:read")?;
    let writing = RequirePermission::new(&tenancy, "notes:write")?;
    let digest = RoutePolicy::new(RouteNeeds::tenant())
        .permission("notes:write")
        .cost("digests", 1);
    let digesting = PolicyMiddleware::new(&tenancy, digest)?;
    let operators = web::Data::new(Operators::new(&tenancy)?);
    let ready = ready(&tenancy).pool(&pool);
    let stopping = tenancy.clone();
    // Each worker makes an app of its own; what it clones is shared by all.
    let app = move || {
        App::new()
            .app_data(pool.clone())
            .service(
                web::resource("/ready")
                    .route(web::get().to(ready.clone()))
                    .route(web::head().to(ready.clone())),
            )
            .configure(|config| operator::routes(config, &operators))
            .service(
                // Last, because it covers every other path, the unknown ones too.
                web::scope("")
                    .service(
                        web::resource("/notes")
                            .route(web::get().to(notes::list).wrap(reading.clone()))
                            .route(web::post().to(notes::create).wrap(writing.clone())),
                    )
                    .service(
                        web::resource("/notes/{id}")
                            .route(web::get().to(notes::read).wrap(reading.clone()))
                            .route(web::delete().to(notes::delete).wrap(writing.clone())),
                    )
                    .service(
                        web::resource("/digest")
                            .route(web::post().to(digest::start).wrap(digesting.clone())),
                    )
                    .service(
                        web::resource("/careless/import")
                            .route(web::post().to(careless::import).wrap(writing.clone())),
                    )
                    .wrap(TenancyMiddleware::new(&tenancy).usage(&requests)),
            )
    };

    let address = std::env::var("NOTES_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let mut terminated = signal(SignalKind::terminate())?;
    // The server's own handling of Ctrl-C cuts off requests in flight.
    let asked_to_end = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
    };
    let server = HttpServer::new(app)
        .shutdown_signal(asked_to_end)
        .shutdown_timeout(GRACE)
        .bind(address)?;
    tracing::info!(addresses = ?server.addrs(), "listening");
    server.run().await?;
    // What is queued, as for usage and the audit trail, would be lost with the process.
    if let Err(error) = recorder.close(Duration::from_secs(10)).await {
        tracing::error!(%error, "not all usage was sent");
    }
    if let Err(error) = usage.close().await {
        tracing::error!(%error, "not all usage is counted yet");
    }
    let report = stopping.shutdown(Duration::from_secs(10)).await;
    tracing::info!(?report, "stopped");
    Ok(())
}
