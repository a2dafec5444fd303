//! A service for people: sign-in, pages and organizations with axum, axum-login, askama and tenancy.
//!
//! `pages-axum install` prepares the database, `pages-axum` serves, and `pages-axum mail` mails invitations. [`pages::setup`] says which variables they read;
//! `PAGES_ADDRESS` is where to listen, `127.0.0.1:3000` if it is not set.

mod central;
mod links;
mod reply;
mod sessions;
mod sign_in;
mod tenant;

use std::net::SocketAddr;

use axum::{
    Router,
    extract::FromRef,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    middleware::from_fn,
    routing::get,
};
use axum_login::AuthManagerLayerBuilder;
use pages::{STYLE, accounts::Accounts, mailer, setup, views};
use tenancy::{
    SecurityHeaders, Tenancy,
    axum::{RefusalPages, SecurityHeadersLayer, TenancyLayer, ready},
    postgres::TenantPool,
};
use tracing_subscriber::EnvFilter;

/// What handlers ask for.
#[derive(Clone)]
struct App {
    tenancy: Tenancy,
    pool: TenantPool,
    accounts: Accounts,
}

impl FromRef<App> for TenantPool {
    fn from_ref(app: &App) -> Self {
        app.pool.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    match std::env::args().nth(1).as_deref() {
        None => serve().await,
        Some("install") => setup::install().await,
        Some("mail") => mailer::run(interrupted()).await,
        Some(_) => Err("usage: pages-axum [install | mail]".into()),
    }
}

async fn interrupted() {
    drop(tokio::signal::ctrl_c().await);
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let (tenancy, accounts) = setup::service().await?;
    let pool = TenantPool::connect(&std::env::var("DATABASE_URL")?, &tenancy).await?;
    let app = App {
        tenancy: tenancy.clone(),
        pool: pool.clone(),
        accounts: accounts.clone(),
    };
    let sessions = sessions::layer(accounts.pool().clone());
    let who = AuthManagerLayerBuilder::new(sign_in::Backend(accounts), sessions).build();
    let headers = SecurityHeaders::builder(&tenancy).no_framing().build()?;
    let style = (
        [(CONTENT_TYPE, "text/css"), (CACHE_CONTROL, "max-age=3600")],
        STYLE,
    );

    let app = Router::new()
        .merge(central::routes(&tenancy))
        .merge(links::routes(&tenancy))
        .merge(tenant::routes(&tenancy)?)
        .layer(from_fn(sign_in::agree))
        .layer(
            TenancyLayer::new(&tenancy)
                .central()
                .or_anonymous_if_stale(),
        )
        .layer(from_fn(sign_in::establish)) // inside of the sessions, outside of the tenancy
        .layer(who)
        .layer(RefusalPages::new().sign_in("/login")?.page(views::refusal))
        .route("/style.css", get(style))
        .route("/ready", get(ready(&tenancy).pool(&pool)))
        .layer(SecurityHeadersLayer::new(headers))
        .with_state(app);

    let address = std::env::var("PAGES_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted())
        .await?;
    // What is queued, as for the audit trail, would be lost with the process.
    let report = tenancy.shutdown(std::time::Duration::from_secs(10)).await;
    tracing::info!(?report, "stopped");
    Ok(())
}
