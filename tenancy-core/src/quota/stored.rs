//! Overrides that are kept in a store, and count in every process.

use async_trait::async_trait;

use super::LimitOverride;
use crate::{ChangeRecord, DirectoryError, StoreError, TenantId};

/// Finds what single tenants have in the place of limits of their plans. Given to
/// [`TenancyBuilder::stored_overrides`](crate::TenancyBuilder::stored_overrides).
#[async_trait]
pub trait LimitOverrideDirectory: Send + Sync {
    /// The overrides of a tenant, by the names of their limits; also those that have ended.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_limit_overrides(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<LimitOverride>, DirectoryError>;
}

/// Gives single tenants limits of their own, and takes them back. Both advance the tenant's generation.
#[async_trait]
pub trait LimitOverrideStore: LimitOverrideDirectory {
    /// Adds an override, or replaces the one of this limit.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_limit_override(
        &self,
        tenant: TenantId,
        with: &LimitOverride,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Removes the override of this limit.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn remove_limit_override(
        &self,
        tenant: TenantId,
        limit: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;
}
