//! The engine's way to its audit sink: what passes is bounded, and its action is looked at.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{AuditActions, AuditEntry, AuditError, AuditSink};

/// The sink of an engine, behind the checks that every entry passes.
#[derive(Debug)]
pub(super) struct Trail {
    sink: Arc<dyn AuditSink>,
    actions: Arc<AuditActions>,
}

impl Trail {
    pub(super) const fn new(sink: Arc<dyn AuditSink>, actions: Arc<AuditActions>) -> Self {
        Self { sink, actions }
    }
}

#[async_trait]
impl AuditSink for Trail {
    fn record(&self, entry: AuditEntry) {
        self.actions.note(&entry.action);
        self.sink.record(entry);
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        self.actions.note(&entry.action);
        self.sink.record_durably(entry).await
    }

    async fn flush(&self) -> Result<(), AuditError> {
        self.sink.flush().await
    }
}
