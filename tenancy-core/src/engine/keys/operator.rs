//! Revoking in an emergency: keys of whichever tenant, by operators, with a reason.

use std::sync::Arc;

#[cfg(feature = "argon2")]
use super::Proof;
use super::{super::noted::given, KeyAdmin};
#[cfg(feature = "argon2")]
use crate::key::LowEntropySecret;
use crate::{
    KeyId, Outcome, StoreError, StoreErrorKind, TenantId, UserId,
    engine::load::KeyRecord,
    key::{ApiKey, KeyChange, KeyName, KnownKey},
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
    pub async fn revoke_any(&self, key: KeyId, reason: &str) -> Result<ApiKey, StoreError> {
        let reason = given(reason)?;
        let store = &self.configured()?.config.store;
        let found = store.find_key(key).await.map_err(StoreError::unavailable)?;
        let Some(found) = found else {
            let message = format!("there is no key `{key}`");
            return Err(StoreError::new(StoreErrorKind::NotFound, message));
        };
        let change = KeyChange::Revoked(self.now());
        let change = store.change_key(found.tenant, key, &change);
        self.noted("key.revoke", found.tenant, key, Some(reason), change)
            .await
    }

    /// Revokes the key of a text that somebody found: for the reports of secret scanners.
    ///
    /// Returns `None` if the text is no key of this service's: whoever knows only the id, which is
    /// no secret, revokes nothing.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, the reason is blank, or the text is an imported
    /// key's and too many secrets are being hashed: then try again.
    pub async fn revoke_leaked(
        &self,
        text: &str,
        reason: &str,
    ) -> Result<Option<ApiKey>, StoreError> {
        let reason = given(reason)?;
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
                Proof::Right => self.revoke_any(known.record.id, reason).await.map(Some),
                _ => Ok(None),
            };
        }
        let Ok(presented) = keys.config.format.read(text) else {
            return Ok(None);
        };
        match self.known(KeyName::Id(presented.id())).await? {
            Some(known) if keys.verify(&presented, &known).is_ok() => {
                self.revoke_any(known.record.id, reason).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn known(&self, name: KeyName) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let known = self.engine.load::<KeyRecord>(&name).await;
        known.map_err(StoreError::unavailable)
    }

    /// Revokes all keys of a tenant, and returns how many that were.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant, or the reason is blank.
    pub async fn revoke_tenant(&self, tenant: TenantId, reason: &str) -> Result<u64, StoreError> {
        let reason = given(reason)?;
        let store = &self.configured()?.config.store;
        let entry = self.entry("key.revoke-tenant", Some(reason)).tenant(tenant);
        let change = store.revoke_tenant_keys(tenant, self.now());
        self.engine.noted(entry, Some(tenant), change).await
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
    pub async fn revoke_prefix(
        &self,
        prefix: &str,
        reason: &str,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let reason = given(reason)?;
        let keys = self.configured()?;
        let range = keys
            .config
            .format
            .range(prefix)
            .map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
        let change = keys.config.store.revoke_key_range(&range, self.now());
        self.noted_by_tenant("key.revoke-prefix", format!("keys:{range}"), reason, change)
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
    pub async fn revoke_creator(
        &self,
        user: UserId,
        reason: &str,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let reason = given(reason)?;
        let store = &self.configured()?.config.store;
        let change = store.revoke_creator_keys(user, self.now());
        self.noted_by_tenant("key.revoke-creator", format!("user:{user}"), reason, change)
            .await
    }

    /// Makes a change that spans tenants, and notes it as a whole and with each tenant.
    async fn noted_by_tenant(
        &self,
        action: &'static str,
        target: String,
        reason: &str,
        change: impl Future<Output = Result<Vec<(TenantId, u64)>, StoreError>>,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let whole = self.entry(action, Some(reason)).target(target);
        let revoked = self.engine.noted(whole, None, change).await?;
        for (tenant, count) in &revoked {
            let mut entry = self.entry(action, Some(reason)).tenant(*tenant);
            entry.outcome = Outcome::Allowed;
            let entry = entry.target(format!("keys:{count}"));
            self.engine.inner().audit.record(entry);
        }
        Ok(revoked)
    }
}
