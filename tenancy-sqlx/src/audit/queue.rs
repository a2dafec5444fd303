//! The queue of a lane, and the task that writes what is in it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenancy_core::{AuditEntry, AuditError};
use tokio::sync::{mpsc, oneshot};

use super::insert;
use crate::connections::Connections;

/// How many entries of a lane wait for the database at most; beyond it they are counted and dropped.
const QUEUE: usize = 4096;

/// How many are written by one statement at most.
const BATCH: usize = 128;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum Item {
    Entry(Box<AuditEntry>),
    /// Answered when everything before it is written.
    Mark(oneshot::Sender<()>),
}

/// Entries that wait for the database. One task writes them in order.
#[derive(Debug)]
pub(super) struct Lane(mpsc::Sender<Item>);

impl Lane {
    pub(super) fn new(pool: &Connections, dropped: &Arc<AtomicU64>) -> Self {
        let (items, queued) = mpsc::channel(QUEUE);
        let writing = Writing {
            pool: pool.clone(),
            queued,
            batch: Vec::new(),
            dropped: Arc::clone(dropped),
        };
        tokio::spawn(writing.run());
        Self(items)
    }

    /// Adds an entry, or counts it as dropped.
    pub(super) fn push(&self, entry: AuditEntry, dropped: &AtomicU64) {
        if let Err(error) = self.0.try_send(Item::Entry(Box::new(entry))) {
            let lost = dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Whoever floods the trail must not flood the log as well.
            if lost.is_power_of_two() {
                tracing::error!(%error, lost, "audit entries were dropped");
            }
        }
    }

    /// Returns when everything that was added before is written, or counted as dropped.
    pub(super) async fn flush(&self) -> Result<(), AuditError> {
        let (mark, reached) = oneshot::channel();
        let closed = |()| AuditError::new("the audit trail was closed with entries in its queue");
        let sent = self.0.send(Item::Mark(mark)).await;
        sent.map_err(|_| closed(()))?;
        reached.await.map_err(|_| closed(()))
    }
}

/// Writes what is queued. What it still has when it is dropped is counted: the runtime has ended, or the pool
/// was closed.
struct Writing {
    pool: Connections,
    queued: mpsc::Receiver<Item>,
    batch: Vec<AuditEntry>,
    dropped: Arc<AtomicU64>,
}

impl Writing {
    async fn run(mut self) {
        let mut items = Vec::with_capacity(BATCH);
        loop {
            if self.queued.recv_many(&mut items, BATCH).await == 0 {
                return;
            }
            let mut marks = Vec::new();
            for item in items.drain(..) {
                match item {
                    Item::Entry(entry) => self.batch.push(*entry),
                    Item::Mark(mark) => marks.push(mark),
                }
            }
            if !self.write().await {
                return;
            }
            for mark in marks {
                // Whoever asked may have stopped waiting.
                let _ = mark.send(());
            }
        }
    }

    /// Writes the batch, for as long as that takes. Says whether it goes on.
    async fn write(&mut self) -> bool {
        let mut pause = Duration::from_millis(100);
        // All at once; or, where one of them can't be stored, one by one.
        let mut count = self.batch.len();
        while !self.batch.is_empty() {
            count = count.min(self.batch.len());
            let part = self.batch.get(..count).unwrap_or_default();
            let Err(error) = insert(&self.pool, part).await else {
                self.batch.drain(..count);
                pause = Duration::from_millis(100);
                continue;
            };
            if self.pool.is_closed() {
                return false;
            }
            if is_about_the_entry(&error) {
                if count > 1 {
                    count = 1;
                    continue;
                }
                // It would be refused for ever, and keep all that come after it waiting.
                let entry = self.batch.remove(0);
                let lost = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::error!(%error, lost, ?entry, "an audit entry can't be stored");
                continue;
            }
            tracing::warn!(%error, "audit entries wait for the database");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        true
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queued.close();
        let mut lost = self.batch.len();
        while let Ok(item) = self.queued.try_recv() {
            lost += usize::from(matches!(item, Item::Entry(_)));
        }
        if lost > 0 {
            let count = u64::try_from(lost).unwrap_or(u64::MAX);
            self.dropped.fetch_add(count, Ordering::Relaxed);
            tracing::error!(
                lost,
                "audit entries were lost: the service ended before they were stored; call \
                 `AuditSink::flush` after the last request"
            );
        }
    }
}

/// Whether another try would end the same: SQLSTATE classes 22, data, 23, constraints, and 54,
/// limits.
fn is_about_the_entry(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|said| said.code());
    code.is_some_and(|code| {
        ["22", "23", "54"]
            .iter()
            .any(|class| code.starts_with(class))
    })
}
