//! The audit trail in PostgreSQL.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use sqlx::{postgres::PgConnectOptions, types::Uuid};
use tenancy_core::{AuditEntry, AuditError, AuditSink, Outcome};
use tokio::sync::mpsc;

use crate::{
    StartError,
    connections::{Connections, Whose},
    danger::SystemPool,
    options::Timeouts,
    purpose, session,
};

/// How many entries of a lane wait for the database at most; beyond it they are counted and dropped.
const QUEUE: usize = 4096;

/// Stores audit entries in `tenancy.audit_log`.
///
/// [`record`](AuditSink::record) queues and returns; one task writes what is queued.
/// [`record_durably`](AuditSink::record_durably) returns when the entry is committed.
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
    refusals: mpsc::Sender<AuditEntry>,
    actions: mpsc::Sender<AuditEntry>,
    dropped: Arc<AtomicU64>,
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
        let (refusals, refused) = mpsc::channel(QUEUE);
        let (actions, done) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        for entries in [refused, done] {
            tokio::spawn(write_queued(pool.clone(), entries, Arc::clone(&dropped)));
        }
        Self {
            pool,
            refusals,
            actions,
            dropped,
        }
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
        if let Err(error) = lane.try_send(entry) {
            let lost = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Whoever floods the trail must not flood the log as well.
            if lost.is_power_of_two() {
                tracing::error!(%error, lost, "audit entries were dropped");
            }
        }
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        insert(&self.pool, &entry).await.map_err(AuditError::new)
    }
}

async fn write_queued(
    pool: Connections,
    mut entries: mpsc::Receiver<AuditEntry>,
    dropped: Arc<AtomicU64>,
) {
    let mut pause = std::time::Duration::from_millis(100);
    while let Some(entry) = entries.recv().await {
        while let Err(error) = insert(&pool, &entry).await {
            if pool.is_closed() {
                tracing::error!(%error, "the audit trail was closed with entries in its queue");
                return;
            }
            if is_about_the_entry(&error) {
                // It would be refused for ever, and keep all that come after it waiting.
                let lost = dropped.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::error!(%error, lost, ?entry, "an audit entry can't be stored");
                break;
            }
            tracing::warn!(%error, "an audit entry waits for the database");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(std::time::Duration::from_secs(5));
        }
        pause = std::time::Duration::from_millis(100);
    }
}

/// Whether another try would end the same: SQLSTATE classes 22, data, and 23, constraints.
fn is_about_the_entry(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|said| said.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// PostgreSQL's text has no place for NUL, and a caller may have sent one.
fn storable(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

/// Inserting twice is inserting once: a retry may follow an answer that got lost.
async fn insert(pool: &Connections, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    let mut tx = session::begin(pool, session::nobodys_batch("BEGIN", &Timeouts::LOOK_UP)).await?;
    sqlx::query(
        "SELECT tenancy.append_audit($1, to_timestamp($2::float8 / 1000000), $3, $4, $5, $6, $7, $8,
             $9::text::inet, $10, $11)",
    )
    .bind(entry.id)
    .bind(entry.at.as_unix_micros())
    .bind(entry.tenant.map(|tenant| -> Uuid { tenant.as_uuid() }))
    .bind(entry.actor.as_ref().map(ToString::to_string))
    .bind(storable(Some(&entry.action)))
    .bind(entry.outcome.as_str())
    .bind(storable(entry.reason.as_deref()))
    .bind(storable(entry.target.as_deref()))
    .bind(entry.ip.map(|ip| ip.to_string()))
    .bind(storable(entry.user_agent.as_deref()))
    .bind(i64::try_from(entry.suppressed).unwrap_or(i64::MAX))
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
