//! The keys of a directory that can be switched off.

use async_trait::async_trait;

use super::{OUTAGE, SwitchedDirectory};
use crate::{
    ChangeRecord, DirectoryError, KeyId, StoreError, TenantId, Timestamp, UserId,
    key::{
        ApiKey, Environment, KeyChange, KeyDigest, KeyDirectory, KeyHandle, KeyRange, KeyRotation,
        KeyStore,
    },
};

impl SwitchedDirectory {
    /// Writes that requests cause, and not people, fail like questions.
    fn written(&self) -> Result<(), StoreError> {
        if self.0.down.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(StoreError::unavailable(OUTAGE));
        }
        Ok(())
    }
}

#[async_trait]
impl KeyDirectory for SwitchedDirectory {
    async fn find_key(&self, key: KeyId) -> Result<Option<ApiKey>, DirectoryError> {
        self.ask(async |inner| inner.find_key(key).await).await
    }

    async fn find_imported_key(
        &self,
        environment: Environment,
        handle: &KeyHandle,
    ) -> Result<Option<ApiKey>, DirectoryError> {
        self.ask(async |inner| inner.find_imported_key(environment, handle).await)
            .await
    }
}

#[async_trait]
impl KeyStore for SwitchedDirectory {
    async fn insert_key(&self, key: &ApiKey, with: &ChangeRecord) -> Result<(), StoreError> {
        self.0.directory.insert_key(key, with).await
    }

    async fn list_keys(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.0.directory.list_keys(tenant, after, limit).await
    }

    async fn change_key(
        &self,
        tenant: TenantId,
        key: KeyId,
        change: &KeyChange,
        with: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        self.0.directory.change_key(tenant, key, change, with).await
    }

    async fn rotate_key(
        &self,
        tenant: TenantId,
        rotation: &KeyRotation,
        with: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        self.0.directory.rotate_key(tenant, rotation, with).await
    }

    async fn revoke_tenant_keys(
        &self,
        tenant: TenantId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        self.0.directory.revoke_tenant_keys(tenant, at, with).await
    }

    async fn revoke_key_range(
        &self,
        range: &KeyRange,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.0.directory.revoke_key_range(range, at, with).await
    }

    async fn revoke_creator_keys(
        &self,
        creator: UserId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.0
            .directory
            .revoke_creator_keys(creator, at, with)
            .await
    }

    async fn record_last_used(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.written()?;
        self.0
            .uses_written
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.0.directory.record_last_used(uses).await
    }

    async fn replace_digest(
        &self,
        key: KeyId,
        expected: &KeyDigest,
        new: &KeyDigest,
    ) -> Result<bool, StoreError> {
        self.written()?;
        self.0.directory.replace_digest(key, expected, new).await
    }
}
