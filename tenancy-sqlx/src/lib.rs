//! PostgreSQL for `tenancy`: connections that show one tenant's rows and no others.
//!
//! * [`TenantPool`] takes the place of `PgPool`; [`TenantDb`] is the database as one tenant sees it,
//!   and [`TenantTx`] a transaction in it. Isolation is PostgreSQL's own row security: a query that
//!   forgot its `WHERE` still returns the tenant's rows only.
//! * [`schema`] installs what this needs – roles, tables, functions, policies – and runs the
//!   application's migrations after it. `SELECT tenancy.protect('notes')` in a migration protects
//!   a table.
//! * [`PgDirectory`] keeps tenants and memberships in the same database, and [`PgAuditSink`] the
//!   audit trail.
//! * [`TenantTx::emit`] writes an event and [`TenantTx::record`] an entry of the audit trail with a transaction's
//!   rows, and [`PgOutbox`] has consumers read the events.
//! * [`PgCounters`] keeps what tenants use of their limits, and [`TenantTx::keep`] counts a row with its insert.
//! * [`statement_log`] tells who ran which statements for which tenant, which were slow, and which touched protected
//!   tables outside of a tenant.
//! * [`danger`] is the one way across tenants: by operators, with a reason, recorded first.
//!
//! # What a tenant transaction costs
//! `BEGIN` and naming the tenant are one round trip, so that a transaction has as many as without
//! this crate. A read-only one need not be committed and has one less.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod alone;
mod anchors;
mod audit;
#[cfg(feature = "usage")]
mod billing;
mod bulk;
mod connections;
mod counters;
pub mod danger;
mod db;
mod directory;
mod error;
mod executor;
mod listener;
mod options;
mod outbox;
mod plain;
mod pool;
mod purpose;
mod registry;
mod replicas;
mod route;
pub mod schema;
mod seal;
mod self_check;
mod session;
mod statement;
pub mod statement_log;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod tx_connection;
#[cfg(feature = "usage")]
mod usage;

pub use anchors::PgAnchors;
pub use audit::PgAuditSink;
#[cfg(feature = "usage")]
pub use billing::{PgBilling, PgBillingBuilder};
pub use bulk::BulkInsert;
pub use counters::{PgCounters, PgCountersBuilder};
pub use db::{TenantDb, TenantReader};
pub use directory::PgDirectory;
pub use error::{Error, ErrorKind, Retryable};
pub use listener::ChangeListener;
pub use options::{Isolation, SessionMode, TxOptions};
pub use outbox::PgOutbox;
pub use pool::{PoolStats, RetryPolicy, Share, TenantLoad, TenantPool, TenantPoolOptions};
pub use registry::RegistryPool;
pub use replicas::{BadWriteMark, ReplicaStats, WriteMark};
pub use seal::{BadSealKey, SealKey};
pub use self_check::{StartError, StartErrorKind};
pub use tx::{Savepoint, TenantTx};
pub use tx_connection::TxConnection;
#[cfg(feature = "usage")]
pub use usage::{PgUsage, PgUsageBuilder, PrunedUsage};
