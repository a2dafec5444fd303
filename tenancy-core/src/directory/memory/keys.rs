//! API keys in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MemoryDirectory, State};
use crate::{
    ChangeRecord, DirectoryError, KeyId, StoreError, StoreErrorKind, TenantId, Timestamp, UserId,
    key::{
        ApiKey, Environment, KeyChange, KeyDigest, KeyDirectory, KeyHandle, KeyRange, KeyRotation,
        KeyStore,
    },
};

impl State {
    fn key(&mut self, tenant: TenantId, id: KeyId) -> Result<&mut ApiKey, StoreError> {
        self.keys
            .get_mut(&id)
            .filter(|key| key.tenant == tenant)
            .ok_or_else(|| {
                let message = format!("there is no key `{id}` in tenant `{tenant}`");
                StoreError::new(StoreErrorKind::NotFound, message)
            })
    }

    pub(super) fn insert_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        if self.keys.contains_key(&key.id) {
            let taken = format!("the id `{}` is taken", key.id);
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        let unknown = key
            .project
            .filter(|project| !self.projects.contains_key(&(key.tenant, *project)));
        if let Some(project) = unknown {
            let message = format!("there is no project `{project}` in tenant `{}`", key.tenant);
            return Err(StoreError::new(StoreErrorKind::NotFound, message));
        }
        let handle = key.verifier.handle();
        let handle = handle.map(|handle| (key.environment, handle.clone()));
        if handle
            .as_ref()
            .is_some_and(|h| self.handles.contains_key(h))
        {
            let taken = "the handle is taken";
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        self.touch(key.tenant)?;
        self.handles.extend(handle.map(|handle| (handle, key.id)));
        self.keys.insert(key.id, key.clone());
        Ok(())
    }

    /// Revokes these keys that are not, and counts them by tenant.
    fn revoke_keys(
        &mut self,
        at: Timestamp,
        these: impl Fn(&ApiKey) -> bool,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let mut revoked = BTreeMap::new();
        for key in self.keys.values_mut() {
            if key.revoked_at.is_none() && these(key) {
                key.revoked_at = Some(at);
                *revoked.entry(key.tenant).or_insert(0) += 1;
            }
        }
        for tenant in revoked.keys() {
            self.touch(*tenant)?;
        }
        Ok(revoked.into_iter().collect())
    }
}

impl MemoryDirectory {
    /// Makes a change of keys of many tenants; what befell each is recorded too.
    fn change_many(
        &self,
        with: &ChangeRecord,
        make: impl FnOnce(&mut State) -> Result<Vec<(TenantId, u64)>, StoreError>,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let mut state = self.write();
        let made = make(&mut state)?;
        let whole = ChangeRecord::new(with.entry.clone());
        let parts = made
            .iter()
            .map(|(tenant, count)| with.for_tenant(*tenant, *count));
        for record in std::iter::once(whole).chain(parts) {
            self.outbox
                .commit(&record)
                .map_err(StoreError::unavailable)?;
        }
        Ok(made)
    }
}

#[async_trait]
impl KeyDirectory for MemoryDirectory {
    async fn find_key(&self, key: KeyId) -> Result<Option<ApiKey>, DirectoryError> {
        Ok(self.read().keys.get(&key).cloned())
    }

    async fn find_imported_key(
        &self,
        environment: Environment,
        handle: &KeyHandle,
    ) -> Result<Option<ApiKey>, DirectoryError> {
        let state = self.read();
        let id = state.handles.get(&(environment, handle.clone()));
        Ok(id.and_then(|id| state.keys.get(id)).cloned())
    }
}

#[async_trait]
impl KeyStore for MemoryDirectory {
    async fn insert_key(&self, key: &ApiKey, with: &ChangeRecord) -> Result<(), StoreError> {
        self.change(with, |state| {
            state.tenant(key.tenant)?;
            if !state.is_active_member(key.tenant, key.creator) {
                return Err(StoreError::no_key_creator());
            }
            state.insert_key(key)
        })
    }

    async fn list_keys(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self
            .read()
            .keys
            .values()
            .filter(|key| key.tenant == tenant && after.is_none_or(|after| key.id > after))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn change_key(
        &self,
        tenant: TenantId,
        key: KeyId,
        change: &KeyChange,
        with: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        self.change(with, |state| {
            let record = state.key(tenant, key)?;
            change.apply(record)?;
            let changed = record.clone();
            state.touch(tenant)?;
            Ok(changed)
        })
    }

    async fn rotate_key(
        &self,
        tenant: TenantId,
        rotation: &KeyRotation,
        with: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        self.change(with, |state| {
            let mut old = state.key(tenant, rotation.key)?.clone();
            let new = rotation.apply(&mut old)?;
            state.insert_key(&new)?;
            state.keys.insert(old.id, old);
            Ok(new)
        })
    }

    async fn revoke_tenant_keys(
        &self,
        tenant: TenantId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        self.change(with, |state| {
            state.touch(tenant)?;
            let mut revoked = 0;
            for key in state.keys.values_mut() {
                if key.tenant == tenant && key.revoked_at.is_none() {
                    key.revoked_at = Some(at);
                    revoked += 1;
                }
            }
            Ok(revoked)
        })
    }

    async fn revoke_key_range(
        &self,
        range: &KeyRange,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.change_many(with, |state| {
            state.revoke_keys(at, |key| {
                key.environment == range.environment && range.contains(key.id)
            })
        })
    }

    async fn revoke_creator_keys(
        &self,
        creator: UserId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.change_many(with, |state| {
            state.revoke_keys(at, |key| key.creator == creator)
        })
    }

    async fn record_last_used(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let mut state = self.write();
        for (id, at) in uses {
            if let Some(key) = state.keys.get_mut(id) {
                key.last_used_at = key.last_used_at.max(Some(*at));
            }
        }
        Ok(())
    }

    async fn replace_digest(
        &self,
        key: KeyId,
        expected: &KeyDigest,
        new: &KeyDigest,
    ) -> Result<bool, StoreError> {
        let mut state = self.write();
        let Some(record) = state
            .keys
            .get_mut(&key)
            .filter(|record| record.verifier.digest() == Some(expected))
        else {
            return Ok(false);
        };
        record.verifier = new.clone().into();
        Ok(true)
    }
}
