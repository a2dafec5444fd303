//! Managing keys: whoever does it, each change is audited and ends what is cached.

use super::Keys;
use crate::{
    Actor, AuditEntry, ConfigError, KeyId, Outcome, StoreError, StoreErrorKind, Tenancy, TenantId,
    Timestamp, key::ApiKey,
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
///
/// A key acts with its creator's rights, so that whoever is shown its text has them, and whoever
/// widens it hands them out: see [`rotate`](Self::rotate) before people manage each other's keys.
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

    /// A tenant's key, whatever its state; `None` if the tenant has no such key.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn find(&self, tenant: TenantId, key: KeyId) -> Result<Option<ApiKey>, StoreError> {
        let found = self.configured()?.config.store.find_key(key).await;
        let found = found.map_err(StoreError::unavailable)?;
        Ok(found.filter(|found| found.id == key && found.tenant == tenant))
    }

    /// Writes when keys were last used. Happens once a minute under traffic; call it at shut-down.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer; what was not written waits for the next time.
    pub async fn flush_last_used(&self) -> Result<(), StoreError> {
        self.engine.write_uses().await
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
}
