//! The audit trail in PostgreSQL.

use async_trait::async_trait;
use sqlx::{PgPool, types::Uuid};
use tenancy_core::{AuditEntry, AuditError, AuditSink};
use tokio::sync::mpsc;

use crate::danger::SystemPool;

/// How many entries wait for the database at most; beyond it entries are counted and dropped.
const QUEUE: usize = 4096;

/// Stores audit entries in `tenancy.audit_log`.
///
/// [`record`](AuditSink::record) queues and returns; one task writes what is queued.
/// [`record_durably`](AuditSink::record_durably) returns when the entry is committed.
///
/// Written through the system login: a refusal concerns no tenant, or not the caller's.
#[derive(Debug)]
pub struct PgAuditSink {
    pool: PgPool,
    queue: mpsc::Sender<AuditEntry>,
    dropped: std::sync::atomic::AtomicU64,
}

impl PgAuditSink {
    /// A sink over the system login. Must be called inside a tokio runtime, whose task it spawns.
    #[must_use]
    pub fn new(system: &SystemPool) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE);
        let pool = system.raw().clone();
        tokio::spawn(write_queued(pool.clone(), entries));
        Self {
            pool,
            queue,
            dropped: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// How many entries were dropped because the database could not keep up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[async_trait]
impl AuditSink for PgAuditSink {
    fn record(&self, entry: AuditEntry) {
        if let Err(error) = self.queue.try_send(entry) {
            let lost = self
                .dropped
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                + 1;
            tracing::error!(%error, lost, "an audit entry was dropped");
        }
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        insert(&self.pool, &entry).await.map_err(AuditError::new)
    }
}

async fn write_queued(pool: PgPool, mut entries: mpsc::Receiver<AuditEntry>) {
    let mut pause = std::time::Duration::from_millis(100);
    while let Some(entry) = entries.recv().await {
        while let Err(error) = insert(&pool, &entry).await {
            if pool.is_closed() {
                tracing::error!(%error, "the audit trail was closed with entries in its queue");
                return;
            }
            tracing::warn!(%error, "an audit entry waits for the database");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(std::time::Duration::from_secs(5));
        }
        pause = std::time::Duration::from_millis(100);
    }
}

/// Inserting twice is inserting once: a retry may follow an answer that got lost.
async fn insert(pool: &PgPool, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tenancy.audit_log
             (id, at, tenant_id, actor, action, outcome, reason, target, ip, user_agent, suppressed)
         VALUES ($1, to_timestamp($2::float8 / 1000000), $3, $4, $5, $6, $7, $8, $9::text::inet, $10, $11)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(entry.id)
    .bind(entry.at.as_unix_micros())
    .bind(entry.tenant.map(|tenant| -> Uuid { tenant.as_uuid() }))
    .bind(entry.actor.as_ref().map(ToString::to_string))
    .bind(&*entry.action)
    .bind(entry.outcome.as_str())
    .bind(entry.reason.as_deref())
    .bind(entry.target.as_deref())
    .bind(entry.ip.map(|ip| ip.to_string()))
    .bind(entry.user_agent.as_deref())
    .bind(i64::try_from(entry.suppressed).unwrap_or(i64::MAX))
    .execute(pool)
    .await?;
    Ok(())
}
