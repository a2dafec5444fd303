//! Notes as they are written: the service behind the binary of the same name, whose documentation
//! says how it is used.

mod channels;
mod closing;
mod events;
mod listener;
mod notes;
mod socket;

use std::{error::Error, net::SocketAddr};

use axum::{
    Router,
    extract::FromRef,
    routing::{get, post},
};
use sqlx::migrate::Migrator;
use tenancy::{
    Tenancy, TenantContext,
    axum::{RequirePermission, TenancyLayer, ready},
    postgres::TenantPool,
};
use tokio::net::TcpListener;

use self::{channels::Channels, closing::Closing, listener::Listener};

/// The service's tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// What handlers share.
#[derive(Clone)]
struct App {
    pool: TenantPool,
    channels: Channels,
    closing: Closing,
}

impl App {
    /// Begins to listen to what happens in the context's tenant.
    fn listen(&self, context: &TenantContext) -> Listener {
        Listener::new(context, &self.channels, &self.closing)
    }
}

impl FromRef<App> for TenantPool {
    fn from_ref(app: &App) -> Self {
        app.pool.clone()
    }
}

/// Serves until `interrupted` is ready; then answers what has been asked, ends the streams, and
/// returns.
///
/// # Errors
/// If the engine has not declared the permissions `notes:read` and `notes:write`, or the listener
/// fails.
pub async fn serve(
    listener: TcpListener,
    tenancy: &Tenancy,
    pool: TenantPool,
    interrupted: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let app = App {
        pool,
        channels: Channels::default(),
        closing: Closing::default(),
    };
    let closing = app.closing.clone();
    let begin = {
        let closing = closing.clone();
        async move {
            interrupted.await;
            closing.begin();
        }
    };
    // The audit trail and the proxies' rules want the caller's address.
    let service = routes(tenancy, app)?.into_make_service_with_connect_info::<SocketAddr>();
    let served = async {
        axum::serve(listener, service)
            .with_graceful_shutdown(begin)
            .await?;
        // Sockets are no longer connections of the server's; they are waited for here.
        closing.streams_ended().await;
        Ok(())
    };
    tokio::select! {
        done = served => done,
        () = closing.overdue() => {
            tracing::warn!("some connections did not end in time");
            Ok(())
        }
    }
}

fn routes(tenancy: &Tenancy, app: App) -> Result<Router, Box<dyn Error + Send + Sync>> {
    let reading = RequirePermission::new(tenancy, "notes:read")?;
    let writing = RequirePermission::new(tenancy, "notes:write")?;
    let ready = ready(tenancy).pool(&app.pool);
    Ok(Router::new()
        .route("/notes", post(notes::create).layer(writing))
        .route("/notes", get(notes::list).layer(reading.clone()))
        .route("/events", get(events::open).layer(reading.clone()))
        .route("/socket", get(socket::open).layer(reading))
        .layer(TenancyLayer::new(tenancy))
        .route("/ready", get(ready))
        .with_state(app))
}
