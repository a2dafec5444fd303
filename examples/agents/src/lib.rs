//! Agents: the service behind the binary of the same name, whose documentation says how it is used.

mod engine;
mod error;
mod keys;
mod queue;
mod runs;

use axum::{
    Router,
    extract::FromRef,
    routing::{delete, get, post},
};
use sqlx::migrate::Migrator;
use tenancy::{
    ConfigError, Tenancy,
    axum::{RequirePermission, TenancyLayer, ready},
    postgres::TenantPool,
};

pub use self::{
    engine::engine,
    queue::{Jobs, Queue},
};

/// The service's tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// What handlers share.
#[derive(Clone)]
struct App {
    pool: TenantPool,
    queue: Queue,
}

impl FromRef<App> for TenantPool {
    fn from_ref(app: &App) -> Self {
        app.pool.clone()
    }
}

/// The service's routes.
///
/// # Errors
/// If the engine has not declared the permissions that [`engine`] declares.
pub fn routes(tenancy: &Tenancy, pool: TenantPool, queue: Queue) -> Result<Router, ConfigError> {
    let reading = RequirePermission::new(tenancy, "runs:read")?;
    let starting = RequirePermission::new(tenancy, "runs:start")?;
    let managing = RequirePermission::new(tenancy, "keys:manage")?;
    let ready = ready(tenancy).pool(&pool);
    Ok(Router::new()
        .route("/runs", post(runs::start).layer(starting))
        .route("/runs", get(runs::list).layer(reading.clone()))
        .route("/runs/{id}", get(runs::read).layer(reading))
        .route("/keys", post(keys::issue).layer(managing.clone()))
        .route("/keys", get(keys::list).layer(managing.clone()))
        .route(
            "/keys/{id}/rotate",
            post(keys::rotate).layer(managing.clone()),
        )
        .route("/keys/{id}", delete(keys::revoke).layer(managing))
        .layer(TenancyLayer::new(tenancy))
        .route("/ready", get(ready))
        .with_state(App { pool, queue }))
}
