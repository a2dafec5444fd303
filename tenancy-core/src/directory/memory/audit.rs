//! The audit trail in memory: written as a sink, and listed.

use std::cmp::Reverse;

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryDirectory, list::page};
use crate::{AuditDirectory, AuditEntry, AuditError, AuditFilter, AuditSink, StoreError, TenantId};

/// Adds to the trail in which changes are recorded, and keeps everything: for tests and first steps.
#[async_trait]
impl AuditSink for MemoryDirectory {
    fn record(&self, entry: AuditEntry) {
        self.outbox.add_entry(entry);
    }

    /// "Durable" here means: as long as the process.
    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        self.record(entry);
        Ok(())
    }
}

#[async_trait]
impl AuditDirectory for MemoryDirectory {
    async fn list_entries(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let trail = self.outbox.trail();
        let told = |entry: &&AuditEntry| {
            tenant.is_none_or(|tenant| entry.tenant == Some(tenant)) && filter.matches(entry)
        };
        let told = trail.iter().filter(told);
        let mut told = page(told, |entry| Reverse(entry.id), after.map(Reverse), limit);
        for entry in &mut told {
            entry.targets = entry.typed_targets().into_owned();
            entry.target = None;
        }
        Ok(told)
    }
}
