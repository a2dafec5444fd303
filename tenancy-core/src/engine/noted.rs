//! Changes of the directory: noted whatever comes of them.

use super::Tenancy;
use crate::{AuditEntry, Outcome, StoreError, TenantId};

impl Tenancy {
    /// Makes a change, and notes it whatever comes of it: also a change that failed, or whose caller
    /// gave up on it, may have been made.
    ///
    /// Without a tenant, everything that is cached is dropped.
    pub(super) async fn noted<T>(
        &self,
        mut entry: AuditEntry,
        tenant: Option<TenantId>,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        entry.outcome = Outcome::Failed;
        let reason = entry.reason.replace("given-up".into());
        let mut note = Note {
            engine: self,
            tenant,
            entry: Some(entry),
        };
        let done = change.await;
        if let Some(entry) = &mut note.entry {
            entry.reason = reason;
            if done.is_ok() {
                entry.outcome = Outcome::Allowed;
            }
        }
        done
    }
}

/// Ends what is cached about a tenant, and records, when it is dropped.
struct Note<'a> {
    engine: &'a Tenancy,
    tenant: Option<TenantId>,
    entry: Option<AuditEntry>,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        let inner = self.engine.inner();
        match self.tenant {
            Some(tenant) => inner.stamps.drop_tenant(tenant),
            None => inner.stamps.drop_all(),
        }
        if let Some(entry) = self.entry.take() {
            inner.audit.record(entry);
        }
    }
}
