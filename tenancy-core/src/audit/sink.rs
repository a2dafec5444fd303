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
}

/// Keeps no audit trail.
///
/// Durable entries are refused, so that nothing which must be recorded happens unrecorded.
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
