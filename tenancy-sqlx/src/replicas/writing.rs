//! A tenant's transaction that may write: it leaves a mark, or a doubt.

use std::sync::Arc;

use tenancy_core::TenantId;

use super::{
    Replicas,
    position::{Position, WRITTEN},
};
use crate::session::Open;

/// Lives as long as the transaction. Dropped without an acknowledged commit, the tenant is in doubt:
/// its commit may be under way, or a statement of its own may have committed.
pub(crate) struct Writing {
    replicas: Arc<Replicas>,
    tenant: TenantId,
    is_known: bool,
}

impl Writing {
    pub(super) fn new(replicas: Arc<Replicas>, tenant: TenantId) -> Self {
        Self {
            replicas,
            tenant,
            is_known: false,
        }
    }

    /// Commits, and remembers where the log was behind the commit, in the same round trip.
    /// As [`Open::commit_asking`].
    pub(crate) async fn commit(mut self, open: Open, are_plain: bool) -> Result<(), sqlx::Error> {
        let answer = open.commit_asking(WRITTEN, are_plain).await?;
        let written = answer.and_then(|row| Position::written(&row).ok().flatten());
        if let Some(position) = written {
            self.is_known = true;
            self.replicas.marks().committed(self.tenant, position);
        }
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_known {
            self.replicas.marks().doubt(self.tenant);
        }
    }
}
