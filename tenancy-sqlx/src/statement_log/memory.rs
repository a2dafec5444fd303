//! Records of statements in memory, for tests.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{StatementRecord, StatementSink};

/// Keeps the newest records in memory.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_sqlx::statement_log::{MemoryStatements, StatementLog};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let kept = Arc::new(MemoryStatements::new(100));
/// let log = StatementLog::builder().sample_one_in(1).sink("memory", Arc::clone(&kept)).build()?;
/// // After statements through a pool that has the log:
/// log.flush().await;
/// assert!(kept.records().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryStatements {
    capacity: usize,
    records: Mutex<VecDeque<StatementRecord>>,
}

impl MemoryStatements {
    /// Keeps at most so many records; the oldest go first.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            records: Mutex::default(),
        }
    }

    /// The records, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<StatementRecord> {
        self.kept().iter().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<StatementRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StatementSink for MemoryStatements {
    fn record(
        &self,
        record: &StatementRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut records = self.kept();
        if records.len() == self.capacity {
            records.pop_front();
        }
        records.push_back(record.clone());
        Ok(())
    }
}
