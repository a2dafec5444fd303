//! A service for people: sign-in, pages and organizations with actix-web, actix-session, askama and tenancy.
//!
//! `pages-actix install` prepares the database, `pages-actix` serves, and `pages-actix mail` mails invitations.
//! [`pages::setup`] says which variables they read; also:
//!
//! | variable | meaning |
//! |---|---|
//! | `PAGES_COOKIE_SECRET` | what sessions are encrypted with, 64 bytes or more |
//! | `PAGES_ADDRESS` | where to listen; `127.0.0.1:3000` if it is not set |

mod central;
mod links;
mod reply;
mod sign_in;
mod tenant;

use std::time::Duration;

use actix_web::{
    App, HttpResponse, HttpServer,
    cookie::Key,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    middleware::from_fn,
    web,
};
use pages::{STYLE, mailer, setup, views};
use tenancy::{
    SecurityHeaders,
    actix::{RefusalPages, SecurityHeadersMiddleware, TenancyMiddleware, ready},
    postgres::TenantPool,
};
use tracing_subscriber::EnvFilter;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    match std::env::args().nth(1).as_deref() {
        None => serve().await,
        Some("install") => setup::install().await,
        Some("mail") => mailer::run(async { drop(tokio::signal::ctrl_c().await) }).await,
        Some(_) => Err("usage: pages-actix [install | mail]".into()),
    }
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/css"))
        .insert_header((CACHE_CONTROL, "max-age=3600"))
        .body(STYLE)
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let (tenancy, accounts) = setup::service().await?;
    let pool =
        web::Data::new(TenantPool::connect(&std::env::var("DATABASE_URL")?, &tenancy).await?);
    let secret = std::env::var("PAGES_COOKIE_SECRET")?;
    let key = Key::try_from(secret.as_bytes())
        .map_err(|_| "PAGES_COOKIE_SECRET needs 64 bytes or more; make them at random")?;
    let headers = SecurityHeaders::builder(&tenancy).no_framing().build()?;
    let pages = RefusalPages::new().sign_in("/login")?.page(views::refusal);
    let guards = tenant::Guards::new(&tenancy)?;
    let ready = ready(&tenancy).pool(&pool);
    let accounts = web::Data::new(accounts);
    let stopping = tenancy.clone();
    // Each worker makes an app of its own; what it clones is shared by all.
    let app = move || {
        App::new()
            .app_data(pool.clone())
            .app_data(accounts.clone())
            .route("/style.css", web::get().to(style))
            .route("/ready", web::get().to(ready.clone()))
            .service(
                web::scope("")
                    .service(tenant::visitors(&tenancy))
                    .service(tenant::members(&tenancy, &guards))
                    .service(links::routes(&tenancy))
                    .configure(|config| central::routes(config, &tenancy))
                    .wrap(from_fn(sign_in::agree))
                    .wrap(
                        TenancyMiddleware::new(&tenancy)
                            .central()
                            .or_anonymous_if_stale(),
                    )
                    .wrap(from_fn(sign_in::establish)) // inside of the sessions, outside of the tenancy
                    .wrap(sign_in::sessions(key.clone()))
                    .wrap(pages.clone()),
            )
            .wrap(SecurityHeadersMiddleware::new(headers.clone()))
    };

    let address = std::env::var("PAGES_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let server = HttpServer::new(app).shutdown_timeout(10).bind(address)?;
    for address in server.addrs() {
        tracing::info!(%address, "listening");
    }
    server.run().await?;
    // What is queued, as for the audit trail, would be lost with the process.
    let report = stopping.shutdown(Duration::from_secs(10)).await;
    tracing::info!(?report, "stopped");
    Ok(())
}
