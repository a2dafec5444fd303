//! Agents: an end user asks an agent app, which calls this service with the API key of a tenant; the
//! service attributes the run to the tenant, the key and its creator, and a job does the work.
//!
//! ```text
//! end user ─▶ agent app ─ API key ─▶ POST /runs ─▶ tenant, key, creator ─▶ job ─▶ result
//! person   ─────────────── token ──▶ POST /keys, GET /runs
//! ```
//!
//! `agents install` prepares the database, `agents provision <slug> <name> <owner>` adds a tenant,
//! and `agents serve` serves:
//!
//! | | permission | |
//! |---|---|---|
//! | `POST /keys` | `keys:manage` | issues a key: `{"name", "scopes", "expires_in_days"}`; its text is shown once |
//! | `GET /keys` | `keys:manage` | the tenant's keys, without their texts |
//! | `POST /keys/{id}/rotate` | `keys:manage` | for its creator: a new key; the old one goes on for a day |
//! | `DELETE /keys/{id}` | `keys:manage` | revokes a key |
//! | `POST /runs` | `runs:start` | starts a run: `{"task", "end_user"}` |
//! | `GET /runs`, `GET /runs/{id}` | `runs:read` | the tenant's runs |
//!
//! A person sends `Authorization: Bearer <token>` and says by `X-Organization-Id` which tenant they
//! mean. An agent app sends `X-Api-Key: <key>`, or the key as a bearer, and nothing else: a key is of
//! one tenant.
//!
//! # What to look at
//! * **Nobody hands on more than they hold** (`keys.rs`): a key is made in its creator's context, and
//!   does at every moment at most what its creator may do then. Its text is shown to its creator alone,
//!   also when it is rotated.
//! * **A run says who has asked** (`runs.rs`): the key and its creator are verified. The end user is
//!   what the agent app says, a label that opens nothing.
//! * **A job keeps its context and looks again** (`queue.rs`): a run of a key that was revoked while it
//!   waited is refused. Jobs wait in memory here; a service that must not lose any puts them into a
//!   table.
//!
//! # Environment
//! | variable | for | meaning |
//! |---|---|---|
//! | `ADMIN_DATABASE_URL` | install | the database, as its administrator |
//! | `AGENTS_APP_PASSWORD`, `AGENTS_SYSTEM_PASSWORD` | install | passwords that the two logins get |
//! | `DATABASE_URL` | the rest | the database, as `tenancy_app` |
//! | `SYSTEM_DATABASE_URL` | the rest | the database, as `tenancy_system` |
//! | `AGENTS_TOKEN_SECRET` | the rest | the secret of the identity provider's tokens, 32 bytes or more |
//! | `AGENTS_PEPPER` | the rest | the secret that digests of keys are made with, 32 bytes or more |
//! | `AGENTS_ADDRESS` | serve | where to listen; `127.0.0.1:3000` if it is not set |

mod setup;

use std::{env, error::Error, net::SocketAddr, time::Duration};

use agents::{Queue, routes};
use tenancy::{
    Membership, SystemRole, TenantRecord, TenantStatus, danger,
    postgres::{ChangeListener, TenantPool},
};
use tracing_subscriber::EnvFilter;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["install"] => setup::install().await,
        ["provision", slug, name, owner] => provision(slug, name, owner).await,
        ["serve"] => serve().await,
        _ => Err("usage: agents install | provision <slug> <name> <owner's id> | serve".into()),
    }
}

/// Adds a tenant with its owner, makes it active, and prints its id.
async fn provision(slug: &str, name: &str, owner: &str) -> Result<()> {
    let tenant = TenantRecord::new(slug.parse()?, name);
    let owner = Membership::new(tenant.id, owner.parse()?, SystemRole::Owner.name());
    let tenancy = setup::tenancy().await?;
    let admin = tenancy.admin(danger::service("provisioned on the command line")?);
    admin.create_tenant(&tenant).await?;
    admin.put_membership(&owner).await?;
    admin.set_status(tenant.id, TenantStatus::Active).await?;
    println!("{}", tenant.id);
    Ok(())
}

async fn serve() -> Result<()> {
    let tenancy = setup::tenancy().await?;
    let database = env::var("DATABASE_URL")?;
    let pool = TenantPool::connect(&database, &tenancy).await?;
    // A key that another process revokes dies here within milliseconds.
    let _listening = ChangeListener::connect(&database, &tenancy).await?;
    let (queue, jobs) = Queue::new(pool.clone());
    let app = routes(&tenancy, pool, queue)?;
    let working = tokio::spawn(jobs.run());

    let address = env::var("AGENTS_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    // Keys may be bound to networks, and the audit trail wants the caller's address.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted)
        .await?;
    // The queue went with the routes: what waits is done, and no more comes.
    working.await?;
    // What is queued, as for the audit trail and of uses of keys, would be lost with the process.
    let report = tenancy.shutdown(Duration::from_secs(10)).await;
    tracing::info!(?report, "stopped");
    Ok(())
}
