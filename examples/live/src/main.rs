//! Notes as they are written: server-sent events and websockets that belong to one tenant.
//!
//! `live install` prepares the database, `live provision <slug> <name> <owner>` adds a tenant,
//! `live suspend <id>` suspends one, also while another process serves, and `live serve` serves:
//!
//! | | permission | |
//! |---|---|---|
//! | `GET /notes` | `notes:read` | the tenant's notes |
//! | `POST /notes` | `notes:write` | writes `{"title", "body"}` |
//! | `GET /events` | `notes:read` | events `note`, `missed` and, last, `end` with a problem |
//! | `GET /socket` | `notes:read`, and `notes:write` for each message | the same events; each message is a note |
//!
//! # What to look at
//! * A stream **keeps its context**, taken by an extractor before the connection becomes a stream,
//!   and **watches** it (`listener.rs`). When the tenant is suspended, the membership revoked or the
//!   token expired, an event stream gets `end` and a socket the close code 1008, with the problem's
//!   type; 1013 says that the service closes or can't tell. A permission that was taken away ends the
//!   stream or refuses the message; one that was given counts from the next message on.
//! * An idle stream **holds no database connection** (`socket.rs`): one is taken for each
//!   statement, so that thousands of streams need no larger pool.
//! * Notes travel in **one channel per tenant** (`channels.rs`), within this process. A second
//!   process needs a bus between them; it needs nothing for streams to end in both.
//!
//! # From a browser
//! `EventSource` and `WebSocket` can't send `Authorization`, and the credential is read from nowhere
//! else: not from the address, which ends up in logs, not from a cookie, which other sites' pages
//! send too, and not from `Sec-WebSocket-Protocol`. For events, use `fetch` and read its body, as
//! the packages named "fetch event source" do. For a socket, put a gateway of your own in front that
//! turns a ticket, good for one use and a few seconds, into the header, or use events and
//! `POST /notes`.
//!
//! # Environment
//! | variable | for | meaning |
//! |---|---|---|
//! | `ADMIN_DATABASE_URL` | install | the database, as its administrator |
//! | `LIVE_APP_PASSWORD`, `LIVE_SYSTEM_PASSWORD` | install | passwords that the two logins get |
//! | `DATABASE_URL` | the rest | the database, as `tenancy_app` |
//! | `SYSTEM_DATABASE_URL` | the rest | the database, as `tenancy_system` |
//! | `LIVE_TOKEN_SECRET` | the rest | the secret of the identity provider's tokens, 32 bytes or more |
//! | `LIVE_ADDRESS` | serve | where to listen; `127.0.0.1:3000` if it is not set |

mod operate;
mod setup;

use std::error::Error;

use tenancy::postgres::TenantPool;
use tracing_subscriber::EnvFilter;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["install"] => setup::install().await,
        ["provision", slug, name, owner] => operate::provision(slug, name, owner).await,
        ["suspend", tenant] => operate::suspend(tenant).await,
        ["serve"] => serve().await,
        _ => Err(
            "usage: live install | provision <slug> <name> <owner's id> | suspend <id> | serve"
                .into(),
        ),
    }
}

async fn serve() -> Result<()> {
    let tenancy = setup::tenancy().await?;
    let pool = TenantPool::connect(&std::env::var("DATABASE_URL")?, &tenancy).await?;
    let address = std::env::var("LIVE_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    live::serve(listener, &tenancy, pool, interrupted).await
}
