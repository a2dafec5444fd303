//! API keys of a `CachedDirectory`: found in Redis if their record may be believed, and written past it.

use async_trait::async_trait;
use tenancy_core::{
    ChangeRecord, DirectoryError, KeyId, StoreError, TenantId, Timestamp, UserId,
    key::{
        ApiKey, Environment, KeyChange, KeyDigest, KeyDirectory, KeyHandle, KeyRange, KeyRotation,
        KeyStore,
    },
};

use super::{CachedDirectory, Look, freshness::Freshness, kept_key::KeptKey};

#[async_trait]
impl<D: KeyDirectory> KeyDirectory for CachedDirectory<D> {
    async fn find_key(&self, key: KeyId) -> Result<Option<ApiKey>, DirectoryError> {
        let is_it = |kept: &KeptKey| kept.has_id(key);
        let missing = match self.look_for(&format!("key {key}"), is_it).await {
            Look::Found(found) => return Ok(Some(found)),
            Look::Missing(missing) => missing,
        };
        let found = self.directory.find_key(key).await?;
        self.keep::<KeptKey>(missing, found.as_ref()).await;
        Ok(found)
    }

    async fn find_imported_key(
        &self,
        environment: Environment,
        handle: &KeyHandle,
    ) -> Result<Option<ApiKey>, DirectoryError> {
        let is_it = |kept: &KeptKey| kept.has_handle(environment, handle);
        let question = format!("imported key {environment} {handle}");
        let missing = match self.look_for(&question, is_it).await {
            Look::Found(found) => return Ok(Some(found)),
            Look::Missing(missing) => missing,
        };
        let found = self
            .directory
            .find_imported_key(environment, handle)
            .await?;
        self.keep::<KeptKey>(missing, found.as_ref()).await;
        Ok(found)
    }
}

impl<D> CachedDirectory<D> {
    fn writing(&self, tenant: impl Into<Option<TenantId>>) -> Writing<'_> {
        Writing {
            freshness: &self.freshness,
            tenant: tenant.into(),
        }
    }
}

/// Something is written. Whatever becomes of it, no answer from before its end is believed afterwards.
struct Writing<'a> {
    freshness: &'a Freshness,
    tenant: Option<TenantId>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.freshness.changed(self.tenant);
    }
}

#[async_trait]
impl<D: KeyStore> KeyStore for CachedDirectory<D> {
    async fn insert_key(&self, key: &ApiKey, record: &ChangeRecord) -> Result<(), StoreError> {
        let _writing = self.writing(key.tenant);
        self.directory.insert_key(key, record).await
    }

    async fn list_keys(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.directory.list_keys(tenant, after, limit).await
    }

    async fn change_key(
        &self,
        tenant: TenantId,
        key: KeyId,
        change: &KeyChange,
        record: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        let _writing = self.writing(tenant);
        self.directory.change_key(tenant, key, change, record).await
    }

    async fn rotate_key(
        &self,
        tenant: TenantId,
        rotation: &KeyRotation,
        record: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        let _writing = self.writing(tenant);
        self.directory.rotate_key(tenant, rotation, record).await
    }

    async fn revoke_tenant_keys(
        &self,
        tenant: TenantId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        let _writing = self.writing(tenant);
        self.directory.revoke_tenant_keys(tenant, at, record).await
    }

    async fn revoke_key_range(
        &self,
        range: &KeyRange,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let _writing = self.writing(None);
        self.directory.revoke_key_range(range, at, record).await
    }

    async fn revoke_creator_keys(
        &self,
        creator: UserId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let _writing = self.writing(None);
        self.directory
            .revoke_creator_keys(creator, at, record)
            .await
    }

    async fn record_last_used(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.directory.record_last_used(uses).await
    }

    async fn replace_digest(
        &self,
        key: KeyId,
        expected: &KeyDigest,
        new: &KeyDigest,
    ) -> Result<bool, StoreError> {
        self.directory.replace_digest(key, expected, new).await
    }
}
