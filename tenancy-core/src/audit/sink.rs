//! Where audit entries go.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::AuditEntry;

/// An entry that could not be made durable.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit entry could not be stored: {source}")]
pub struct AuditError {
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl AuditError {
    /// Wraps the cause.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Arc::from(source.into()),
        }
    }
}

/// Takes audit entries.
///
/// ```
/// use std::{fs::File, io::Write, sync::Mutex};
///
/// use tenancy_core::{AuditEntry, AuditError, AuditSink, async_trait};
///
/// /// One line of JSON for each entry.
/// #[derive(Debug)]
/// struct Lines(Mutex<File>);
///
/// impl Lines {
///     fn write(&self, entry: &AuditEntry) -> std::io::Result<()> {
///         let line = serde_json::to_string(entry)?;
///         let mut file = self.0.lock().map_err(|_| std::io::ErrorKind::Other)?;
///         writeln!(file, "{line}")
///     }
/// }
///
/// #[async_trait]
/// impl AuditSink for Lines {
///     fn record(&self, entry: AuditEntry) {
///         // A file is written at once. A sink over a network puts the entry in a bounded queue.
///         if self.write(&entry).is_err() {
///             eprintln!("an audit entry was lost");
///         }
///     }
///
///     async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
///         self.write(&entry).map_err(AuditError::new)?;
///         let file = self.0.lock().map_err(|_| AuditError::new("a writer has panicked"))?;
///         file.sync_all().map_err(AuditError::new)
///     }
/// }
/// ```
#[async_trait]
pub trait AuditSink: Send + Sync + fmt::Debug {
    /// Takes an entry without waiting.
    ///
    /// Called while a request waits: an implementation that needs I/O queues the entry in bounded
    /// memory, and counts what it had to drop.
    fn record(&self, entry: AuditEntry);

    /// Takes an entry and returns when it is durable.
    ///
    /// Called before an action that must not happen unrecorded, such as an operator's reading
    /// across tenants.
    ///
    /// # Errors
    /// An [`AuditError`] if the entry is not durable; the action is then refused.
    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError>;

    /// Returns when every entry that was taken before is durable, or was counted as dropped.
    ///
    /// For the end of a service, after its last request: what is queued when the process ends is lost. Give
    /// it a time limit. Default: nothing is queued.
    ///
    /// # Errors
    /// An [`AuditError`] if entries can't be made durable any more.
    async fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }

    /// How many entries were dropped, since the sink was made: because its queue was full, or because they could not be
    /// stored. Default: none.
    fn dropped(&self) -> u64 {
        0
    }
}

/// Keeps no audit trail.
///
/// Durable entries are refused, so that nothing which must be recorded happens unrecorded.
///
/// ```
/// use tenancy_core::{AuditEntry, AuditSink as _, Clock as _, NoAudit, Outcome, SystemClock};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let entry = AuditEntry::new(SystemClock.now(), "note.share", Outcome::Allowed);
/// assert!(NoAudit.record_durably(entry).await.is_err());
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAudit;

#[async_trait]
impl AuditSink for NoAudit {
    fn record(&self, _entry: AuditEntry) {}

    async fn record_durably(&self, _entry: AuditEntry) -> Result<(), AuditError> {
        Err(AuditError::new(
            "no audit sink is configured; give the builder one",
        ))
    }
}
