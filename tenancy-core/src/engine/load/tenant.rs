//! The tenant that a name stands for.

use std::{mem::size_of, sync::Arc};

use super::{CachedFact, Caches};
use crate::{DirectoryError, TenantId, TenantKey, TenantRecord, cache::Lookup, engine::Tenancy};

pub(in crate::engine) struct TenantNamed;

impl CachedFact for TenantNamed {
    type Key = TenantKey;
    type Found = Arc<TenantRecord>;

    fn cache(caches: &Caches) -> &Lookup<TenantKey, Arc<TenantRecord>> {
        &caches.tenants
    }

    fn tenant_of(found: &Arc<TenantRecord>) -> Option<TenantId> {
        Some(found.id)
    }

    fn heap_of_key(key: &TenantKey) -> usize {
        key.heap()
    }

    fn heap(found: &Arc<TenantRecord>) -> usize {
        size_of::<TenantRecord>() + found.heap()
    }

    async fn read(
        engine: Tenancy,
        key: TenantKey,
    ) -> Result<Option<Arc<TenantRecord>>, DirectoryError> {
        let found = engine.inner().directory.find_tenant(&key).await?;
        Ok(found.filter(|tenant| is_named(&key, tenant)).map(Arc::new))
    }
}

/// Whether a key can stand for this record: a store that answers with another tenant's must not open
/// anything.
pub(super) fn is_named(key: &TenantKey, tenant: &TenantRecord) -> bool {
    key.names(tenant) != Some(false)
}
