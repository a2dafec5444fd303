//! Managing keys: whoever does it, each change is audited and ends what is cached.

use std::ops::Deref;

use super::Keys;
use crate::{
    Authority, ChangeRecord, KeyId, ProjectId, StoreError, StoreErrorKind, Tenancy, TenantContext,
    TenantId, Timestamp,
    change::{Change, ChangeAction},
    engine::author::Author,
    key::ApiKey,
};

/// How many keys a page lists at most.
const MAX_PAGE: u32 = 1000;

/// The API keys of a service; made by [`Tenancy::keys`]. Make it once, at start.
///
/// The names of a tenant's first 50 keys:
///
/// ```
///
/// use tenancy_core::{KeyService, StoreError, TenantContext};
///
/// async fn names(keys: &KeyService, context: &TenantContext) -> Result<Vec<String>, StoreError> {
///     let page = keys.list(context.tenant_id(), None, 50).await?;
///     Ok(page.into_iter().map(|key| key.name).collect())
/// }
/// ```
///
/// # Security
/// Nothing here asks who is calling: guard the routes that lead here, and take the tenant from the
/// caller's context. A tenant's methods find no other tenant's key.
#[derive(Debug, Clone)]
#[must_use]
pub struct KeyService {
    pub(in crate::engine) engine: Tenancy,
}

/// Changes API keys on somebody's [authority](Authority); made by [`KeyService::by`].
///
/// Each change is one transaction of the store, with its entry in the audit trail and its events in the
/// [outbox](crate::outbox), without the text of any key. It ends what this process has cached about the tenant.
/// Other processes follow within [`Tenancy::max_staleness`].
///
/// # Errors
/// Besides what each method names: [`StoreErrorKind::Forbidden`] if the authority is not good for the change,
/// which is recorded as refused.
///
/// # Security
/// A key acts with its creator's rights, so every reader of its text has those rights. On a caller's authority, a key is
/// made, rotated and given more scopes by its creator alone, who gives no more than it holds. Others who may manage keys
/// take scopes away, switch keys off and revoke them.
#[derive(Debug, Clone)]
#[must_use]
pub struct KeyAdmin {
    service: KeyService,
    pub(super) author: Author,
}

/// What changes nothing.
impl Deref for KeyAdmin {
    type Target = KeyService;

    fn deref(&self) -> &KeyService {
        &self.service
    }
}

impl KeyService {
    /// Changes keys on this authority.
    pub fn by(&self, authority: Authority) -> KeyAdmin {
        KeyAdmin {
            service: self.clone(),
            author: Author {
                engine: self.engine.clone(),
                authority,
            },
        }
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
        let store = configured(&self.engine)?.config.store()?;
        store.list_keys(tenant, after, limit.min(MAX_PAGE)).await
    }

    /// A tenant's key, whatever its state; `None` if the tenant has no such key.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn find(&self, tenant: TenantId, key: KeyId) -> Result<Option<ApiKey>, StoreError> {
        let keys = configured(&self.engine)?;
        let found = keys.config.directory.find_key(key).await;
        let found = found.map_err(StoreError::unavailable)?;
        Ok(found.filter(|found| found.id == key && found.tenant == tenant))
    }

    /// Writes when keys were last used. Happens once a minute under traffic; [`Tenancy::shutdown`] writes them too.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer; what was not written waits for the next time.
    pub async fn flush_last_used(&self) -> Result<(), StoreError> {
        configured(&self.engine)?.write_uses().await
    }
}

impl KeyAdmin {
    /// Makes a change of one key.
    pub(super) async fn make<T>(
        &self,
        action: ChangeAction,
        tenant: TenantId,
        (key, project): (KeyId, Option<ProjectId>),
        store: impl AsyncFnOnce(ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.make_as(action, tenant, (key, project), async |_, with| {
            store(with).await
        })
        .await
    }

    /// The same, where it depends on the caller what may be changed.
    pub(super) async fn make_as<T>(
        &self,
        action: ChangeAction,
        tenant: TenantId,
        (key, project): (KeyId, Option<ProjectId>),
        store: impl AsyncFnOnce(Option<TenantContext>, ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let change = Change::new(action, tenant).within(project).to("key", key);
        self.author.make_as(change, Some(tenant), store).await
    }

    /// A tenant's key with the project that it is confined to: what changes the key stays in that project.
    pub(super) async fn placed(
        &self,
        tenant: TenantId,
        key: KeyId,
    ) -> Result<(KeyId, Option<ProjectId>), StoreError> {
        let found = self.find(tenant, key).await?;
        Ok((key, found.and_then(|found| found.project)))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.engine.inner().clock.now()
    }

    pub(super) fn configured(&self) -> Result<&Keys, StoreError> {
        configured(&self.engine)
    }
}

pub(in crate::engine) fn configured(engine: &Tenancy) -> Result<&Keys, StoreError> {
    engine.inner().keys.as_ref().ok_or_else(|| {
        StoreError::new(StoreErrorKind::ReadOnly, "there are no API keys configured")
    })
}
