//! The engine's way to its audit sink: what passes is looked at, by name and for alerts.

use std::sync::Arc;

use async_trait::async_trait;

use super::alerts::Alerts;
use crate::{AuditActions, AuditEntry, AuditError, AuditSink};

/// The sink of an engine, behind the checks that every entry passes.
#[derive(Debug)]
pub(super) struct Trail {
    sink: Arc<dyn AuditSink>,
    actions: Arc<AuditActions>,
    alerts: Arc<Alerts>,
}

impl Trail {
    pub(super) const fn new(
        sink: Arc<dyn AuditSink>,
        actions: Arc<AuditActions>,
        alerts: Arc<Alerts>,
    ) -> Self {
        Self {
            sink,
            actions,
            alerts,
        }
    }

    fn look_at(&self, entry: &AuditEntry) {
        self.actions.note(&entry.action);
        self.alerts.entered(entry);
    }
}

#[async_trait]
impl AuditSink for Trail {
    fn record(&self, entry: AuditEntry) {
        self.look_at(&entry);
        self.sink.record(entry);
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        self.look_at(&entry);
        self.sink.record_durably(entry).await
    }

    async fn flush(&self) -> Result<(), AuditError> {
        self.sink.flush().await
    }

    fn dropped(&self) -> u64 {
        self.sink.dropped()
    }
}
