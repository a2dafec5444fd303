//! An API key's record, and whether a secret is that of an imported one.

#[cfg(feature = "argon2")]
use std::convert::Infallible;
use std::sync::Arc;

use super::{CachedFact, Caches};
#[cfg(feature = "argon2")]
use super::{Fact, LoadContext};
use crate::{
    DirectoryError, TenantId, cache::Lookup, engine::Tenancy, engine::keys::CachedKey, key::KeyName,
};
#[cfg(feature = "argon2")]
use crate::{Timestamp, engine::keys::Proof, key::SecretHash};

pub(in crate::engine) struct KeyRecord;

impl CachedFact for KeyRecord {
    type Key = KeyName;
    type Found = Arc<CachedKey>;

    fn cache(caches: &Caches) -> &Lookup<KeyName, Arc<CachedKey>> {
        &caches.keys
    }

    fn tenant_of(found: &Arc<CachedKey>) -> Option<TenantId> {
        Some(found.record.tenant)
    }

    fn heap(found: &Arc<CachedKey>) -> usize {
        found.weight()
    }

    async fn read(
        engine: Tenancy,
        name: KeyName,
    ) -> Result<Option<Arc<CachedKey>>, DirectoryError> {
        let inner = engine.inner();
        let Some(keys) = &inner.keys else {
            return Ok(None);
        };
        let directory = &keys.config.directory;
        let found = match &name {
            KeyName::Id(id) => directory.find_key(*id).await?,
            #[cfg(feature = "argon2")]
            KeyName::Handle(handle) => {
                let environment = keys.config.format.environment();
                directory.find_imported_key(environment, handle).await?
            }
        };
        // A store that answers with another key must not open anything.
        let found = found.filter(|record| name.names(record));
        Ok(found.map(|record| {
            Arc::new(CachedKey::new(
                record,
                &inner.permissions,
                inner.quotas.as_ref(),
            ))
        }))
    }
}

/// Whether the secret that was sent is that of the key that was found, or of none.
#[cfg(feature = "argon2")]
pub(in crate::engine) struct SecretProof;

/// The key that was found, and from where it is used. One hash is one question.
#[cfg(feature = "argon2")]
#[derive(Debug, Clone)]
pub(in crate::engine) struct SecretOf {
    pub(in crate::engine) known: Option<Arc<CachedKey>>,
    pub(in crate::engine) ip: Option<std::net::IpAddr>,
}

#[cfg(feature = "argon2")]
impl SecretOf {
    fn hash(&self) -> Option<&SecretHash> {
        self.known.as_deref().and_then(CachedKey::hash)
    }
}

#[cfg(feature = "argon2")]
impl PartialEq for SecretOf {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

#[cfg(feature = "argon2")]
impl Eq for SecretOf {}

#[cfg(feature = "argon2")]
impl Fact for SecretProof {
    type Key = SecretOf;
    type Value = Proof;
    type Error = Infallible;

    async fn load(
        context: LoadContext<'_>,
        of: &SecretOf,
    ) -> Result<(Timestamp, Proof), Infallible> {
        let LoadContext {
            engine,
            credential,
            now,
        } = context;
        let known = of.known.clone();
        let proof = match &engine.inner().keys {
            Some(keys) => keys.prove(engine, credential, known, of.ip, now).await,
            None => Proof::Wrong,
        };
        Ok((now, proof))
    }
}
