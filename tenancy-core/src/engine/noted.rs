//! Changes of the directory: noted whatever comes of them.

use super::Tenancy;
use crate::{AuditEntry, Outcome, StoreError, StoreErrorKind, TenantId};

/// A reason for the audit trail; a blank one is refused.
pub(super) fn given(reason: &str) -> Result<&str, StoreError> {
    if reason.trim().is_empty() {
        let message = "revoking needs a reason for the audit trail";
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    Ok(reason)
}

/// What is cached and no longer true after a change.
pub(super) enum Stale {
    Tenant(TenantId),
    Everything,
    Nothing,
}

impl From<Option<TenantId>> for Stale {
    /// Without a tenant, everything.
    fn from(tenant: Option<TenantId>) -> Self {
        tenant.map_or(Self::Everything, Self::Tenant)
    }
}

impl Tenancy {
    /// Makes a change, and notes it whatever comes of it: also a change that failed, or whose caller
    /// gave up on it, may have been made.
    pub(super) async fn noted<T>(
        &self,
        mut entry: AuditEntry,
        stale: impl Into<Stale>,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        entry.outcome = Outcome::Failed;
        let reason = entry.reason.replace("given-up".into());
        let mut note = Note {
            engine: self,
            stale: stale.into(),
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

/// Ends what is cached and stale, and records, when it is dropped.
struct Note<'a> {
    engine: &'a Tenancy,
    stale: Stale,
    entry: Option<AuditEntry>,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        let inner = self.engine.inner();
        match self.stale {
            Stale::Tenant(tenant) => inner.stamps.drop_tenant(tenant),
            Stale::Everything => inner.stamps.drop_all(),
            Stale::Nothing => {}
        }
        if let Some(entry) = self.entry.take() {
            inner.audit.record(entry);
        }
    }
}
