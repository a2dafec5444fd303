//! Real PostgreSQL for tests: find it, run it, hand out databases, leave nothing behind.

mod account;
mod background;
mod binaries;
mod cleanup;
mod cluster;
mod database;
mod error;
mod launcher;
mod leftovers;
mod pgbouncer;
mod place;
mod power;
mod registry;
mod server;
mod template;

pub(crate) use account::Account;
pub use binaries::Binaries;
pub(crate) use binaries::{fetched, variable};
pub(crate) use cluster::{answers, free_port};
pub use database::TestDatabase;
pub use error::Error;
pub use launcher::Launcher;
pub use pgbouncer::{PgBouncer, PgBouncerVersion};
pub use registry::{ClusterRegistry, RunningCluster};
pub use server::{Server, Version};
pub(crate) use server::{required, say_skipped};
pub use template::{BuildFuture, Template};
