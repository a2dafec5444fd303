//! The engine's way to its audit sink: what passes is looked at, by name and for alerts.

use std::sync::Arc;

use async_trait::async_trait;

use super::alerts::Alerts;
use crate::{AuditActions, AuditEntry, AuditError, AuditSink, alert::Alert};

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

    fn raise(&self, alert: Option<Alert>) {
        if let Some(alert) = alert {
            self.alerts.raise(alert);
        }
    }
}

#[async_trait]
impl AuditSink for Trail {
    fn record(&self, entry: AuditEntry) {
        self.actions.note(&entry.action);
        self.raise(self.alerts.of_entry(&entry));
        self.sink.record(entry);
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        self.actions.note(&entry.action);
        let alert = self.alerts.of_entry(&entry);
        self.sink.record_durably(entry).await?;
        // What could not be recorded is not done.
        self.raise(alert);
        Ok(())
    }

    async fn flush(&self) -> Result<(), AuditError> {
        self.sink.flush().await
    }

    fn dropped(&self) -> u64 {
        self.sink.dropped()
    }
}
