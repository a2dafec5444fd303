//! The task that links entries to their chains.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use crate::{connections::Connections, options::Timeouts, session};

/// How long after a round that found nothing more the next one begins.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the partitions of months to come are looked after.
const HOUR: Duration = Duration::from_secs(3_600);

/// The longest pause after a round that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How many entries a round links at most, in one transaction.
pub(crate) const ROUND: i32 = 1_000;

/// Links entries, again and again. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Sealer {
    task: AbortHandle,
    sealed: Arc<AtomicU64>,
}

impl Sealer {
    /// `tells` is whether the outbox tells of links.
    pub(super) fn start(pool: &Connections, tells: bool) -> Self {
        let sealed = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(run(pool.clone(), Arc::clone(&sealed), tells));
        Self {
            task: task.abort_handle(),
            sealed,
        }
    }

    /// How many entries it has linked.
    pub(super) fn sealed(&self) -> u64 {
        self.sealed.load(Ordering::Relaxed)
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(pool: Connections, sealed: Arc<AtomicU64>, tells: bool) {
    let mut pause = PAUSE;
    let mut prepared: Option<Instant> = None;
    loop {
        if prepared.is_none_or(|at| at.elapsed() >= HOUR) {
            prepared = Some(Instant::now());
            if let Err(error) = prepare(&pool).await {
                tracing::warn!(%error, "partitions of the audit trail are not made ahead");
            }
        }
        match seal(&pool, ROUND, false, tells).await {
            Ok(count) => {
                sealed.fetch_add(u64::from(count), Ordering::Relaxed);
                pause = PAUSE;
                if count > 0 {
                    continue;
                }
            }
            Err(_) if pool.is_closed() => return,
            Err(error) => {
                tracing::warn!(%error, "entries of the audit trail wait to be linked");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Makes the partitions of this month and of three to come.
async fn prepare(pool: &Connections) -> Result<(), sqlx::Error> {
    let mut tx = session::begin(pool, session::nobodys_batch("BEGIN", &Timeouts::CHANGE)).await?;
    sqlx::query("SELECT tenancy.prepare_trail(3)")
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Links so many entries at most; how many it linked. Those that another process is linking are left to it, or
/// waited for.
pub(crate) async fn seal(
    pool: &Connections,
    most: i32,
    waits: bool,
    tells: bool,
) -> Result<u32, sqlx::Error> {
    let mut tx = session::begin(pool, session::nobodys_batch("BEGIN", &Timeouts::CHANGE)).await?;
    let count: i32 = sqlx::query_scalar("SELECT tenancy.seal_trail($1, $2, $3)")
        .bind(most)
        .bind(waits)
        .bind(tells)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(u32::try_from(count).unwrap_or(0))
}
