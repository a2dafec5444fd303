//! What a tenant has in the place of limits of its plan.

use std::mem::size_of_val;

use super::{CachedFact, Caches};
use crate::{
    DirectoryError, TenantId,
    cache::Lookup,
    engine::Tenancy,
    quota::{OfTenant, Rule},
};

pub(in crate::engine) struct OverridesOf;

impl CachedFact for OverridesOf {
    type Key = TenantId;
    type Found = OfTenant;

    fn cache(caches: &Caches) -> &Lookup<TenantId, OfTenant> {
        &caches.overrides
    }

    fn tenant_of_key(tenant: &TenantId) -> Option<TenantId> {
        Some(*tenant)
    }

    fn heap(found: &OfTenant) -> usize {
        size_of_val(&**found) + found.len() * Rule::HEAP
    }

    /// A tenant without any has an empty list, which is kept like every other.
    async fn read(engine: Tenancy, tenant: TenantId) -> Result<Option<OfTenant>, DirectoryError> {
        let inner = engine.inner();
        let (Some(store), Some(quotas)) = (&inner.stored_overrides, &inner.quotas) else {
            return Ok(None);
        };
        let stored = store.find_limit_overrides(tenant).await?;
        Ok(Some(quotas.overrides_of(tenant, &stored)))
    }
}
