//! Managing a tenant's keys: issued, changed, rotated, revoked, each audited.

use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::Keys;
use crate::{
    Actor, AuditEntry, ConfigError, Grant, KeyId, MembershipStatus, Outcome, StoreError,
    StoreErrorKind, Tenancy, TenantId, Timestamp,
    key::{
        ApiKey, IssuedKey, KeyChange, KeyFormat, KeyNetworks, KeyRotation, KeyText, NewKey,
        check_metadata, check_name, check_networks, check_scopes,
    },
};

/// How many keys a page lists at most.
const MAX_PAGE: u32 = 1000;

/// Manages API keys; made by [`Tenancy::keys`].
///
/// Each change is one transaction of the store, ends what this process has cached about the tenant,
/// and is audited, without the text of any key. Other processes follow within
/// [`Tenancy::max_staleness`].
///
/// # Security
/// Nothing here asks who is calling: guard the routes that lead here, and take the tenant from the
/// caller's context. A tenant's methods find no other tenant's key.
#[derive(Debug, Clone)]
#[must_use]
pub struct KeyAdmin {
    pub(super) engine: Tenancy,
    pub(super) actor: Option<Actor>,
}

impl Tenancy {
    /// Manages API keys.
    ///
    /// # Errors
    /// A [`ConfigError`] if the engine was built without [`keys`](crate::TenancyBuilder::keys).
    pub fn keys(&self) -> Result<KeyAdmin, ConfigError> {
        match &self.inner().keys {
            Some(_) => Ok(KeyAdmin {
                engine: self.clone(),
                actor: None,
            }),
            None => Err(ConfigError::new(
                "there are no API keys; configure them with `TenancyBuilder::keys`",
            )),
        }
    }
}

impl KeyAdmin {
    /// The same, with who does it for the audit trail.
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Issues a key. Its text is in the answer, and nowhere else.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if its name, scopes, networks, metadata or expiry can't be, its
    /// creator is no active member of the tenant, or its project is not the tenant's;
    /// [`StoreErrorKind::NotFound`] if there is no such tenant.
    ///
    /// # Security
    /// Make `new` by [`NewKey::in_context`] where a tenant's user asks: it sees to it that nobody
    /// issues more than they hold.
    pub async fn issue(&self, new: NewKey) -> Result<IssuedKey, StoreError> {
        let keys = self.configured()?;
        let now = self.engine.inner().clock.now();
        new.check(&self.engine.inner().permissions, now)?;
        self.check_references(&new).await?;
        let id = KeyId::new();
        let text = mint(&keys.config.format, id)?;
        let digest = self.digest(keys, &text)?;
        let environment = keys.config.format.environment();
        let mut record = ApiKey::new(id, new.tenant, new.creator, environment, digest, now);
        record.name = new.name;
        record.scopes = new.scopes;
        record.project = new.project;
        record.expires_at = new.expires_at;
        record.networks = new.networks.into_iter().collect();
        record.metadata = new.metadata;
        let change = keys.config.store.insert_key(&record);
        self.noted("key.issue", record.tenant, id, None, change)
            .await?;
        Ok(IssuedKey::new(record, text))
    }

    /// A tenant's keys in the order of their issue, at most `limit` (1,000), beginning behind
    /// `after`. Revoked ones are among them.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let store = &self.configured()?.config.store;
        store.list_keys(tenant, after, limit.min(MAX_PAGE)).await
    }

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
        self.change("key.rename", tenant, key, change).await
    }

    /// Replaces what a key may be used for at most.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key, or a scope covers nothing.
    pub async fn set_scopes(
        &self,
        tenant: TenantId,
        key: KeyId,
        scopes: impl IntoIterator<Item = Grant> + Send,
    ) -> Result<ApiKey, StoreError> {
        let scopes: Vec<_> = scopes.into_iter().collect();
        check_scopes(&scopes, &self.engine.inner().permissions)?;
        let change = KeyChange::Scopes(scopes);
        self.change("key.set-scopes", tenant, key, change).await
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
        self.change("key.set-networks", tenant, key, change).await
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
        self.change("key.set-metadata", tenant, key, change).await
    }

    /// Switches a key off, until it is enabled again.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key.
    pub async fn disable(&self, tenant: TenantId, key: KeyId) -> Result<ApiKey, StoreError> {
        self.change("key.disable", tenant, key, KeyChange::Disabled(true))
            .await
    }

    /// Switches a key on again. A key that was revoked, has expired or was rotated stays refused.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key.
    pub async fn enable(&self, tenant: TenantId, key: KeyId) -> Result<ApiKey, StoreError> {
        self.change("key.enable", tenant, key, KeyChange::Disabled(false))
            .await
    }

    /// Revokes a key, for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenant has no such key.
    pub async fn revoke(&self, tenant: TenantId, key: KeyId) -> Result<ApiKey, StoreError> {
        let change = KeyChange::Revoked(self.now());
        self.change("key.revoke", tenant, key, change).await
    }

    /// Puts a new key in a key's place, with everything of it but id and secret.
    ///
    /// The old one goes on for the overlap, zero for not at all, and never past its own expiry. A
    /// rotation does not prolong: the new key expires when the old one would have.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the tenant has no such key;
    /// [`StoreErrorKind::IllegalTransition`] if it is revoked, expired, disabled, or was rotated.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        key: KeyId,
        overlap: Duration,
    ) -> Result<IssuedKey, StoreError> {
        let keys = self.configured()?;
        let id = KeyId::new();
        let text = mint(&keys.config.format, id)?;
        let now = self.now();
        let digest = self.digest(keys, &text)?;
        let rotation = KeyRotation::new(key, id, digest, now, now + overlap);
        let change = keys.config.store.rotate_key(tenant, &rotation);
        let record = self.noted("key.rotate", tenant, key, None, change).await?;
        Ok(IssuedKey::new(record, text))
    }

    /// Writes when keys were last used. Happens once a minute under traffic; call it at shut-down.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer; what was not written waits for the next time.
    pub async fn flush_last_used(&self) -> Result<(), StoreError> {
        self.engine.write_uses().await
    }

    async fn change(
        &self,
        action: &'static str,
        tenant: TenantId,
        key: KeyId,
        change: KeyChange,
    ) -> Result<ApiKey, StoreError> {
        let store = &self.configured()?.config.store;
        let change = store.change_key(tenant, key, &change);
        self.noted(action, tenant, key, None, change).await
    }

    /// Makes a change of one key, and notes it whatever comes of it.
    pub(super) async fn noted<T>(
        &self,
        action: &'static str,
        tenant: TenantId,
        key: KeyId,
        reason: Option<&str>,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let entry = self.entry(action, reason).tenant(tenant);
        let entry = entry.target(format!("key:{key}"));
        self.engine.noted(entry, Some(tenant), change).await
    }

    /// An entry about something that has not been done yet.
    pub(super) fn entry(&self, action: &'static str, reason: Option<&str>) -> AuditEntry {
        let mut entry = AuditEntry::new(self.now(), action, Outcome::Failed);
        entry.actor.clone_from(&self.actor);
        entry.reason = reason.map(|reason| reason.to_owned().into());
        entry
    }

    pub(super) fn now(&self) -> Timestamp {
        self.engine.inner().clock.now()
    }

    pub(super) fn configured(&self) -> Result<&Keys, StoreError> {
        self.engine.inner().keys.as_ref().ok_or_else(|| {
            StoreError::new(StoreErrorKind::ReadOnly, "there are no API keys configured")
        })
    }

    fn digest(&self, keys: &Keys, text: &KeyText) -> Result<crate::key::KeyDigest, StoreError> {
        let presented = keys
            .config
            .format
            .read(text.expose())
            .map_err(|rejection| {
                let message = format!("a new key can't be read back: {rejection}");
                StoreError::new(StoreErrorKind::Invalid, message)
            })?;
        Ok(keys.config.hasher.digest(&presented))
    }

    /// Whether creator and project are the tenant's.
    async fn check_references(&self, new: &NewKey) -> Result<(), StoreError> {
        let directory = &self.engine.inner().directory;
        let invalid = |message: &str| Err(StoreError::new(StoreErrorKind::Invalid, message));
        let creator = directory.find_membership(new.tenant, new.creator).await;
        let active = creator
            .map_err(StoreError::unavailable)?
            .is_some_and(|member| member.status == MembershipStatus::Active);
        if !active {
            return invalid("the creator of a key must be an active member of its tenant");
        }
        if let Some(project) = new.project {
            let found = directory.find_project(new.tenant, project).await;
            if found.map_err(StoreError::unavailable)?.is_none() {
                return invalid("the project of a key must be its tenant's");
            }
        }
        Ok(())
    }
}

fn mint(format: &KeyFormat, id: KeyId) -> Result<KeyText, StoreError> {
    format.mint(id).map_err(StoreError::unavailable)
}
