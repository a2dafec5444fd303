//! What a store does to provision tenants.

use async_trait::async_trait;

use super::{NewTenant, ProvisionedBefore};
use crate::{ChangeRecord, StoreError};

/// Makes tenants with all that they begin with.
#[async_trait]
pub trait ProvisioningStore: Send + Sync {
    /// Writes a whole unit in one transaction, with the entry and the events: all of it or nothing.
    ///
    /// Whatever of it is taken is a [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict): an id, the slug, a
    /// name, the account's address or subject, and the [`key`](super::Idempotency::key) of a repetition that is not
    /// forgotten. Of two units with one such key, the second waits for the first.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn provision(&self, unit: &NewTenant, record: &ChangeRecord) -> Result<(), StoreError>;

    /// The tenant that was made with this key, within the last [`HOURS`](super::Idempotency::HOURS) at least.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn find_provisioned(
        &self,
        key: &[u8; 32],
    ) -> Result<Option<ProvisionedBefore>, StoreError>;
}
