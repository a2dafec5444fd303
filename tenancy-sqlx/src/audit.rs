//! The audit trail in PostgreSQL.

mod queue;
mod row;
mod sealer;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use queue::Lane;
#[cfg(feature = "usage")]
pub(crate) use row::as_json;
pub(crate) use row::{Row, kept, targets_of};
use sealer::Sealer;
pub(crate) use sealer::{ROUND, seal};
use serde_json::Value;
use sqlx::{postgres::PgConnectOptions, types::Json};
use tenancy_core::{AuditEntry, AuditError, AuditSink, Outcome};

use crate::{
    StartError,
    connections::{Connections, Whose},
    danger::SystemPool,
    options::Timeouts,
    purpose, session,
};

/// Stores audit entries in `tenancy.audit_records`, beside those that stores write with their changes. An entry that
/// is there already stays as it is, so that a change is one entry. It also links what is recorded, by whomever, to the
/// chain of each tenant, half a second later if nothing else delays it: see
/// [`AuditTrail`](tenancy_core::AuditTrail).
///
/// [`record`](AuditSink::record) queues and returns; a task writes what is queued, many entries at a time.
/// [`record_durably`](AuditSink::record_durably) returns when the entry is committed. Call
/// [`flush`](AuditSink::flush) before the process ends: what is queued then is lost, counted and logged.
///
/// Refusals, of which a caller chooses how many there are, wait in a lane of their own: they can't
/// push out what was done.
///
/// Written through a login of its own, because a refusal concerns no tenant, or not the caller's: the
/// audit login adds entries and reads nothing. The system login may be used as well, where a process
/// has it.
///
/// ```no_run
/// use tenancy_sqlx::PgAuditSink;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let audit = PgAuditSink::connect("postgres://tenancy_audit@localhost/notes").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PgAuditSink {
    pool: Connections,
    refusals: Lane,
    actions: Lane,
    dropped: Arc<AtomicU64>,
    sealer: Sealer,
}

impl PgAuditSink {
    /// Connects with the audit login (by default `tenancy_audit`), and checks it.
    ///
    /// # Errors
    /// A [`StartError`] if the database is out of reach, the schema is not installed, or the login is
    /// another or may do more.
    pub async fn connect(url: &str) -> Result<Self, StartError> {
        Self::connect_with(url.parse().map_err(StartError::bad_url)?).await
    }

    /// Connects with the audit login; 3 connections at most.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(options: PgConnectOptions) -> Result<Self, StartError> {
        let pool = purpose::open(Whose::Audit, options, 3).await?;
        purpose::check(&pool, purpose::AUDIT).await?;
        Ok(Self::over(pool))
    }

    /// A sink over the system login. Must be called inside a tokio runtime, whose task it spawns.
    #[must_use]
    pub fn new(system: &SystemPool) -> Self {
        Self::over(system.raw().clone())
    }

    fn over(pool: Connections) -> Self {
        let dropped = Arc::new(AtomicU64::new(0));
        Self {
            refusals: Lane::new(&pool, &dropped),
            actions: Lane::new(&pool, &dropped),
            sealer: Sealer::start(&pool, false),
            pool,
            dropped,
        }
    }

    /// The same sink, which also has the outbox tell of new links, as events `trail.sealed`: for a
    /// [`TrailHandOver`](tenancy_core::TrailHandOver) to another system, such as a SIEM. One process is enough, and
    /// several tell of each link once. The first time it tells of all links that there are.
    ///
    /// Call it inside a tokio runtime.
    ///
    /// ```no_run
    /// use tenancy_sqlx::PgAuditSink;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let audit = PgAuditSink::connect("postgres://tenancy_audit@localhost/notes").await?.tell_links();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tell_links(mut self) -> Self {
        self.sealer = Sealer::start(&self.pool, true);
        self
    }

    /// How many entries this process has linked to their chains; other processes link too.
    #[must_use]
    pub fn sealed(&self) -> u64 {
        self.sealer.sealed()
    }

    /// How many entries were dropped: the database could not keep up, or would not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl AuditSink for PgAuditSink {
    fn record(&self, entry: AuditEntry) {
        let lane = match entry.outcome {
            Outcome::Refused => &self.refusals,
            _ => &self.actions,
        };
        lane.push(entry, &self.dropped);
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        insert(&self.pool, &[entry]).await.map_err(AuditError::new)
    }

    async fn flush(&self) -> Result<(), AuditError> {
        self.actions.flush().await?;
        self.refusals.flush().await
    }

    fn dropped(&self) -> u64 {
        Self::dropped(self)
    }
}

/// Inserting twice is inserting once: a retry may follow an answer that got lost.
async fn insert(pool: &Connections, entries: &[AuditEntry]) -> Result<(), sqlx::Error> {
    let rows: Value = entries.iter().map(row::as_json).collect();
    let mut tx = session::begin(pool, session::nobodys_batch("BEGIN", &Timeouts::LOOK_UP)).await?;
    sqlx::query("SELECT tenancy.append_records($1)")
        .bind(Json(rows))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
