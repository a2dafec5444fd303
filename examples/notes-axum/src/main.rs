//! A notes service for many customers: axum, sqlx and tenancy.
//!
//! `notes-axum install` prepares the database, `notes-axum provision <slug> <name> <owner>` adds a
//! tenant, and `notes-axum` serves. The neighbour `notes-before` is the same service before.
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

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use tenancy::{
    RouteNeeds, RoutePolicy,
    axum::{PolicyLayer, RequirePermission, TenancyLayer, ready},
    postgres::TenantPool,
    usage::RequestUsage,
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
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
        _ => Err("usage: notes-axum [install | provision <slug> <name> <owner's id>]".into()),
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let tenancy = setup::tenancy().await?;
    let pool = TenantPool::connect(&std::env::var("DATABASE_URL")?, &tenancy).await?;

    let (usage, recorder) = setup::usage().await?;
    let requests = RequestUsage::new(&recorder)?;

    let reading = RequirePermission::new(&tenancy, "notes:read")?;
    let writing = RequirePermission::new(&tenancy, "notes:write")?;
    let digest = RoutePolicy::new(RouteNeeds::tenant())
        .permission("notes:write")
        .cost("digests", 1);
    let digesting = PolicyLayer::new(&tenancy, digest)?;
    let app = Router::new()
        .route("/notes", post(notes::create).layer(writing.clone()))
        .route(
            "/notes/{id}",
            axum::routing::delete(notes::delete).layer(writing.clone()),
        )
        .route("/digest", post(digest::start).layer(digesting))
        .route("/careless/import", post(careless::import).layer(writing))
        .route("/notes", get(notes::list).layer(reading.clone()))
        .route("/notes/{id}", get(notes::read).layer(reading))
        .layer(TenancyLayer::new(&tenancy).usage(&requests))
        .merge(operator::routes(&tenancy)?)
        .route("/ready", get(ready(&tenancy).pool(&pool)))
        .with_state(pool);

    let address = std::env::var("NOTES_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    // The audit trail and the proxies' rules want the caller's address.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted)
        .await?;
    // What is queued, as for usage and the audit trail, would be lost with the process.
    if let Err(error) = recorder.close(Duration::from_secs(10)).await {
        tracing::error!(%error, "not all usage was sent");
    }
    if let Err(error) = usage.close().await {
        tracing::error!(%error, "not all usage is counted yet");
    }
    let report = tenancy.shutdown(Duration::from_secs(10)).await;
    tracing::info!(?report, "stopped");
    Ok(())
}
