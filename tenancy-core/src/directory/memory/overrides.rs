//! Limits of single tenants in memory.

use async_trait::async_trait;

use super::MemoryDirectory;
use crate::{
    ChangeRecord, DirectoryError, StoreError, TenantId,
    quota::{LimitOverride, LimitOverrideDirectory, LimitOverrideStore},
};

#[async_trait]
impl LimitOverrideDirectory for MemoryDirectory {
    async fn find_limit_overrides(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<LimitOverride>, DirectoryError> {
        let state = self.read();
        let own = state.overrides.range((tenant, String::new())..);
        let own = own.take_while(|((of, _), _)| *of == tenant);
        Ok(own.map(|(_, with)| with.clone()).collect())
    }
}

#[async_trait]
impl LimitOverrideStore for MemoryDirectory {
    async fn put_limit_override(
        &self,
        tenant: TenantId,
        with: &LimitOverride,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.touch(tenant)?;
            state
                .overrides
                .insert((tenant, with.limit_name()), with.clone());
            Ok(())
        })
    }

    async fn remove_limit_override(
        &self,
        tenant: TenantId,
        limit: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.touch(tenant)?;
            state.overrides.remove(&(tenant, limit.to_owned()));
            Ok(())
        })
    }
}
