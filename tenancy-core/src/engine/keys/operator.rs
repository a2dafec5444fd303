//! Revoking in an emergency: keys of whichever tenant, by operators, with a reason.

use std::sync::Arc;

use super::KeyAdmin;
#[cfg(feature = "argon2")]
use super::Proof;
#[cfg(feature = "argon2")]
use crate::key::LowEntropySecret;
use crate::{
    AuditEntry, ChangeRecord, KeyId, Outcome, StoreError, StoreErrorKind, TenantId, UserId,
    change::{Change, ChangeAction},
    engine::keys::CachedKey,
    engine::load::{KeyRecord, load},
    key::{ApiKey, KeyChange, KeyName},
};

/// For operators: the reason is audited, and a blank one is refused.
///
/// # Security
/// These reach across tenants: never lead a tenant's own users here.
impl KeyAdmin {
    /// Revokes a key of whichever tenant, known by its id.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such key, or the reason is blank.
    pub async fn revoke_any(&self, key: KeyId) -> Result<ApiKey, StoreError> {
        self.author.authority.require_reason()?;
        let config = &self.configured()?.config;
        let store = config.store()?;
        let found = config.directory.find_key(key).await;
        let found = found.map_err(StoreError::unavailable)?;
        let Some(found) = found else {
            let message = format!("there is no key `{key}`");
            return Err(StoreError::new(StoreErrorKind::NotFound, message));
        };
        let change = KeyChange::Revoked(self.now());
        self.make(
            ChangeAction::KeyRevoke,
            found.tenant,
            (key, found.project),
            async |with| store.change_key(found.tenant, key, &change, &with).await,
        )
        .await
    }

    /// Revokes the key of a text that somebody found: for the reports of secret scanners.
    ///
    /// Returns `None` if the text is no key of this service's: a caller who knows only the id, which is
    /// no secret, revokes nothing.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, the reason is blank, or the text is an imported
    /// key's and too many secrets are being hashed: then try again.
    pub async fn revoke_leaked(&self, text: &str) -> Result<Option<ApiKey>, StoreError> {
        self.author.authority.require_reason()?;
        let keys = self.configured()?;
        #[cfg(feature = "argon2")]
        if let Some(imported) = &keys.imported
            && let Ok(presented) = imported.config.format.read(text)
        {
            let known = self.known(KeyName::Handle(presented.handle)).await?;
            let secret = LowEntropySecret::new(presented.secret);
            let (Some(known), Ok(secret)) = (known, secret) else {
                return Ok(None);
            };
            let verified = imported.verify(secret, known.hash()).await;
            return match verified.map_err(StoreError::unavailable)? {
                Proof::Right => self.revoke_any(known.record.id).await.map(Some),
                _ => Ok(None),
            };
        }
        let Ok(presented) = keys.config.format.read(text) else {
            return Ok(None);
        };
        match self.known(KeyName::Id(presented.id())).await? {
            Some(known) if keys.verify(&presented, &known).is_ok() => {
                self.revoke_any(known.record.id).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn known(&self, name: KeyName) -> Result<Option<Arc<CachedKey>>, StoreError> {
        let known = load::<KeyRecord>(&self.engine, &name).await;
        known.map_err(StoreError::unavailable)
    }

    /// Revokes all keys of a tenant, and returns how many that were.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant, or the reason is blank.
    pub async fn revoke_tenant(&self, tenant: TenantId) -> Result<u64, StoreError> {
        self.author.authority.require_reason()?;
        let store = self.configured()?.config.store()?;
        let change = Change::new(ChangeAction::KeyRevokeTenant, tenant).to("tenant", tenant);
        let now = self.now();
        self.author
            .make(change, Some(tenant), async |with| {
                store.revoke_tenant_keys(tenant, now, &with).await
            })
            .await
    }

    /// Revokes all keys whose text begins alike, of whichever tenants: everything of this
    /// environment for `acme_live_`. Returns how many of which tenant.
    ///
    /// An imported key counts by its id, as [`KeyFormat::shown`](crate::key::KeyFormat::shown) has it.
    /// Besides the whole, what befell each tenant is audited. Drops all caches of this process.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if no key begins so or the reason is blank; else a [`StoreError`]
    /// of the store.
    pub async fn revoke_prefix(&self, prefix: &str) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.author.authority.require_reason()?;
        let keys = self.configured()?;
        let range = keys
            .config
            .format
            .range(prefix)
            .map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
        let change = Change::new(ChangeAction::KeyRevokePrefix, None).to("keys", range);
        let (store, now) = (keys.config.store()?, self.now());
        self.make_of_many(change, async |with| {
            store.revoke_key_range(&range, now, &with).await
        })
        .await
    }

    /// Revokes all keys that a user has made, in whichever tenants and environments: for somebody who
    /// has left, or whose account was taken over. Returns how many of which tenant.
    ///
    /// Ends the user's keys and nothing else: end memberships by
    /// [`Admin::remove_membership`](crate::Admin::remove_membership) and tokens by
    /// [`Admin::revoke_tokens`](crate::Admin::revoke_tokens), and first, or the user makes new keys.
    /// Besides the whole, what befell each tenant is audited. Drops all caches of this process.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if the reason is blank; else a [`StoreError`] of the store.
    pub async fn revoke_creator(&self, user: UserId) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.author.authority.require_reason()?;
        let store = self.configured()?.config.store()?;
        let change = Change::new(ChangeAction::KeyRevokeCreator, None).to("user", user);
        let now = self.now();
        self.make_of_many(change, async |with| {
            store.revoke_creator_keys(user, now, &with).await
        })
        .await
    }

    /// Makes a change of many tenants' keys. The store has written what befell each; sinks are told too.
    async fn make_of_many(
        &self,
        change: Change,
        store: impl AsyncFnOnce(ChangeRecord) -> Result<Vec<(TenantId, u64)>, StoreError>,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let action = change.action;
        let changed = self.author.make(change, None, store).await?;
        for (tenant, count) in &changed {
            let mut entry = AuditEntry::new(self.now(), action.as_str(), Outcome::Allowed)
                .tenant(*tenant)
                .about("keys", count)
                .target(format!("keys:{count}"));
            self.author.authority.sign(&mut entry);
            self.engine.inner().audit.record(entry);
        }
        Ok(changed)
    }
}
