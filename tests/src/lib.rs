//! Test harness of the workspace: real PostgreSQL and Redis servers, a database per test, and a network
//! that can be slowed down and broken on purpose.
//!
//! ```no_run
//! use tenancy_tests::{Server, Template, Version};
//!
//! static NOTES: Template = Template::new("notes", |options| {
//!     Box::pin(async move {
//!         use sqlx::{Connection, Executor};
//!         let mut admin = sqlx::PgConnection::connect_with(&options).await?;
//!         admin.execute("CREATE TABLE note (id bigint PRIMARY KEY)").await?;
//!         admin.close().await?;
//!         Ok(())
//!     })
//! });
//!
//! # async fn test() -> anyhow::Result<()> {
//! let server = Server::start(Version::Default).await?;
//! let database = server.database(&NOTES).await?;
//! let pool = sqlx::PgPool::connect_with(database.options_as("app", None)).await?;
//! # drop(pool);
//! database.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Whoever starts a server has the whole process's log searched for secrets: see [`logwatch`].
//!
//! # Which server
//!
//! [`Version::Default`] is the server at `DATABASE_URL` when that variable is set. Otherwise it is a
//! throw-away cluster made from the PostgreSQL binaries of this machine (`TENANCY_PG_BIN` names
//! their directory when it is an unusual one). The throw-away cluster is shared by every test
//! binary of one `cargo test`, and goes away with it. It listens on loopback only and **trusts every
//! local user**; nothing but test data belongs in it.
//!
//! A server at `DATABASE_URL` is left as it was found, except for the templates of the last run:
//! those go when the next one starts.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATABASE_URL` | use this server, as a role that may create databases and roles |
//! | `TENANCY_PG_BIN` | directory with `initdb` and `postgres` |
//! | `TENANCY_PG_DATA` | where throw-away clusters keep their data; else `/dev/shm` if 2 GiB are free there, else the directory for temporary files |
//! | `TENANCY_PG18_BIN` | the same for [`Version::V18`]; else what `scripts/postgres-18` fetched |
//! | `TENANCY_REQUIRE_PG18` | `1`: a missing PostgreSQL 18 is a failure (the default when `CI` is set); `0`: it is a skip |
//! | `TENANCY_PGBOUNCER_OLD`, `TENANCY_PGBOUNCER_NEW` | a PgBouncer before 1.21, and a newer one; else what `scripts/pgbouncer` fetched |
//! | `TENANCY_REQUIRE_PGBOUNCER` | the same for them |
//! | `REDIS_URL` | use this Redis where a test needs no server of its own |
//! | `TENANCY_REDIS_SERVER` | the program of throw-away Redis servers; else `redis-server` or `valkey-server` on the path |
//! | `TENANCY_VALKEY_SERVER` | a Valkey; else `valkey-server` on the path, else what `scripts/valkey` fetched |
//! | `TENANCY_REQUIRE_VALKEY` | the same for it as `TENANCY_REQUIRE_PG18` |
//! | `TENANCY_LONG` | `1`: what takes minutes |
//! | `TENANCY_SEED` | what is done by chance is done as in the run that printed this; else with one seed, and with `TENANCY_LONG` with a new one |
//! | `TENANCY_TEST_LAUNCHER` | process id that the throw-away cluster lives as long as; else the parent of the test binary |

#[allow(
    clippy::indexing_slicing,
    reason = "a helper of tests fails as tests do"
)]
mod browser;
mod client;
pub mod notes;
mod postgres;
mod proxy;
mod random;
mod redis;
pub mod residue;
mod serving;
pub mod trail;
mod warned;

pub use self::redis::{RedisCluster, RedisSentinels, RedisServer, patient_client};
pub use browser::Browser;
pub use client::{Answer, Client};
pub use postgres::{
    Binaries, BuildFuture, ClusterRegistry, Error, Launcher, PgBouncer, PgBouncerVersion,
    RunningCluster, Server, Template, TestDatabase, Version,
};
pub use proxy::DelayProxy;
pub use random::{Random, long, seed};
pub use serving::{Framework, Serving};
pub use tenancy_logwatch as logwatch;
pub use warned::warned;

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;

/// The ten minutes compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/ten-minutes.md")]
#[derive(Debug)]
pub struct TenMinutes;

/// The chapter on developing locally works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/developing-locally.md")]
#[derive(Debug)]
pub struct DevelopingLocally;

/// The chapter on testing works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
#[derive(Debug)]
pub struct Testing;

/// The guide's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/upgrade-guide.md")]
#[derive(Debug)]
pub struct UpgradeGuide;

/// The guide to credentials compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/credentials.md")]
#[derive(Debug)]
pub struct CredentialsGuide;

/// The guide to authentication works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/authentication.md")]
#[derive(Debug)]
pub struct AuthenticationGuide;

/// The guide to sessions compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sessions.md")]
#[derive(Debug)]
pub struct SessionsGuide;

/// The guide to the statement log compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/statement-log.md")]
#[derive(Debug)]
pub struct StatementLogGuide;

/// The guide to sealed sessions compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sealed-sessions.md")]
#[derive(Debug)]
pub struct SealedSessionsGuide;

/// The guide to charging works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/charging.md")]
#[derive(Debug)]
pub struct ChargingGuide;

/// The guide to limits works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/limits.md")]
#[derive(Debug)]
pub struct LimitsGuide;

/// The guide to usage works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/usage.md")]
#[derive(Debug)]
pub struct UsageGuide;

/// The guide to accounts compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/accounts.md")]
#[derive(Debug)]
pub struct AccountsGuide;

/// The guide to sign-up compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sign-up.md")]
#[derive(Debug)]
pub struct SignUpGuide;
/// The guide to invitations compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/invitations.md")]
#[derive(Debug)]
pub struct InvitationsGuide;

/// The guide to work outside of a request compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/jobs.md")]
#[derive(Debug)]
pub struct JobsGuide;

/// The guide to roles and projects works.
#[cfg(doctest)]
#[doc = include_str!("../../docs/roles.md")]
#[derive(Debug)]
pub struct RolesGuide;

/// The guide to changes compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/changes.md")]
#[derive(Debug)]
pub struct ChangesGuide;

/// The guide to the people of a tenant compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/people.md")]
#[derive(Debug)]
pub struct PeopleGuide;

/// The guide to the outbox compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/outbox.md")]
#[derive(Debug)]
pub struct OutboxGuide;

/// The recipes for operators compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/operations.md")]
#[derive(Debug)]
pub struct OperationsGuide;

/// The guide to the audit trail compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/audit.md")]
#[derive(Debug)]
pub struct AuditGuide;

/// The guide to the command compiles, as far as it has code.
#[cfg(doctest)]
#[doc = include_str!("../../docs/command.md")]
#[derive(Debug)]
pub struct CommandGuide;

/// The guide to adopting a database compiles, as far as it has code.
#[cfg(doctest)]
#[doc = include_str!("../../docs/adopt.md")]
#[derive(Debug)]
pub struct AdoptGuide;

/// The guide to operators compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/operators.md")]
#[derive(Debug)]
pub struct OperatorsGuide;

/// The guide to Redis compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/redis.md")]
#[derive(Debug)]
pub struct RedisGuide;
