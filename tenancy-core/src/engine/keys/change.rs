//! Changing a tenant's keys: their names and limits, off and on, and revoked for good.

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::KeyAdmin;
use crate::{
    ChangeAction, Grant, KeyId, StoreError, TenantId,
    key::{
        ApiKey, KeyChange, KeyLimits, KeyNetworks,
        limits::{check_metadata, check_name, check_networks, check_scopes, invalid},
    },
    quota::{Limit, check_new_key_limits},
};

impl KeyAdmin {
    /// Gives a key another name.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key, or the name can't be one.
    pub async fn rename(
        &self,
        tenant: TenantId,
        key: KeyId,
        name: &str,
    ) -> Result<ApiKey, StoreError> {
        check_name(name)?;
        let change = KeyChange::Name(name.to_owned());
        self.change(ChangeAction::KeyRename, tenant, key, change)
            .await
    }

    /// Replaces what a key may be used for at most.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key, or a scope covers nothing. [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the key
    /// could do more than before, and the authority is an operator's, or that of a caller who is not its creator or does not
    /// hold what is added. [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) on these authorities if the key got
    /// another creator or other scopes meanwhile, and stays as it is: look at it, and try again.
    ///
    /// # Security
    /// A wider scope lets the key's holder do more in its creator's name.
    pub async fn set_scopes(
        &self,
        tenant: TenantId,
        key: KeyId,
        scopes: impl IntoIterator<Item = Grant> + Send,
    ) -> Result<ApiKey, StoreError> {
        let scopes: Vec<_> = scopes.into_iter().collect();
        check_scopes(&scopes, &self.engine.inner().permissions)?;
        let store = self.configured()?.config.store()?;
        let found = self.find(tenant, key).await?;
        let placed = (key, found.as_ref().and_then(|found| found.project));
        self.make_as(
            ChangeAction::KeySetScopes,
            tenant,
            placed,
            async |caller, with| {
                let caller = caller.as_ref();
                let seen = match &found {
                    Some(found) => self.may_rescope(caller, found, &scopes)?,
                    None => self.unseen(caller, key)?,
                };
                let change = KeyChange::Scopes { scopes, seen };
                store.change_key(tenant, key, &change, &with).await
            },
        )
        .await
    }

    /// Replaces the networks from which a key may be used; none for any.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key, or there are too many networks.
    pub async fn set_networks(
        &self,
        tenant: TenantId,
        key: KeyId,
        networks: impl IntoIterator<Item = IpNet> + Send,
    ) -> Result<ApiKey, StoreError> {
        let networks: KeyNetworks = networks.into_iter().collect();
        check_networks(networks.as_slice().len())?;
        let change = KeyChange::Networks(networks);
        self.change(ChangeAction::KeySetNetworks, tenant, key, change)
            .await
    }

    /// Replaces the limits that a key has of its own; none for none.
    ///
    /// A limit that has its name already goes on with what the key has used of it. Elsewhere the new ones count within
    /// [`Tenancy::max_staleness`](crate::Tenancy::max_staleness).
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key, or the limits are such as [`NewKey::limit`](crate::key::NewKey::limit) refuses.
    ///
    /// # Security
    /// A larger limit lets the key's holder take more of what the tenant has. Where a tenant's user asks, look at who
    /// has set the limit that is there.
    pub async fn set_limits(
        &self,
        tenant: TenantId,
        key: KeyId,
        limits: impl IntoIterator<Item = Limit> + Send,
    ) -> Result<ApiKey, StoreError> {
        let limits: KeyLimits = limits.into_iter().collect();
        check_new_key_limits(&limits, self.engine.quotas())
            .map_err(|error| invalid(error.to_string()))?;
        let change = KeyChange::Limits(limits);
        self.change(ChangeAction::KeySetLimits, tenant, key, change)
            .await
    }

    /// Replaces what the application keeps with a key.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key, or the metadata is too large.
    pub async fn set_metadata(
        &self,
        tenant: TenantId,
        key: KeyId,
        metadata: Map<String, Value>,
    ) -> Result<ApiKey, StoreError> {
        check_metadata(&metadata)?;
        let change = KeyChange::Metadata(metadata);
        self.change(ChangeAction::KeySetMetadata, tenant, key, change)
            .await
    }

    /// Switches a key off, until it is enabled again.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key.
    pub async fn disable(&self, tenant: TenantId, key: KeyId) -> Result<ApiKey, StoreError> {
        self.change(
            ChangeAction::KeyDisable,
            tenant,
            key,
            KeyChange::Disabled(true),
        )
        .await
    }

    /// Switches a key on again. A key that was revoked, has expired or was rotated stays refused.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key.
    pub async fn enable(&self, tenant: TenantId, key: KeyId) -> Result<ApiKey, StoreError> {
        self.change(
            ChangeAction::KeyEnable,
            tenant,
            key,
            KeyChange::Disabled(false),
        )
        .await
    }

    /// Revokes a key, for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key.
    pub async fn revoke(&self, tenant: TenantId, key: KeyId) -> Result<ApiKey, StoreError> {
        let change = KeyChange::Revoked(self.now());
        self.change(ChangeAction::KeyRevoke, tenant, key, change)
            .await
    }

    async fn change(
        &self,
        action: ChangeAction,
        tenant: TenantId,
        key: KeyId,
        change: KeyChange,
    ) -> Result<ApiKey, StoreError> {
        let store = self.configured()?.config.store()?;
        let placed = self.placed(tenant, key).await?;
        self.make(action, tenant, placed, async |with| {
            store.change_key(tenant, key, &change, &with).await
        })
        .await
    }
}
