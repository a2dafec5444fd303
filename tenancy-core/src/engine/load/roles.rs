//! The roles of a tenant, compiled.

use std::sync::Arc;

use super::{CachedFact, Caches};
use crate::{
    DirectoryError, RoleDefinition, RoleTable, TenantId,
    cache::Lookup,
    engine::{Inner, Tenancy},
};

pub(in crate::engine) struct RolesOf;

impl CachedFact for RolesOf {
    type Key = TenantId;
    type Found = Arc<RoleTable>;

    fn cache(caches: &Caches) -> &Lookup<TenantId, Arc<RoleTable>> {
        &caches.roles
    }

    fn tenant_of_key(tenant: &TenantId) -> Option<TenantId> {
        Some(*tenant)
    }

    fn heap(found: &Arc<RoleTable>) -> usize {
        found.heap()
    }

    async fn read(
        engine: Tenancy,
        tenant: TenantId,
    ) -> Result<Option<Arc<RoleTable>>, DirectoryError> {
        let own = engine.inner().directory.find_roles(tenant).await?;
        compiled(engine.inner(), tenant, own).map(Some)
    }
}

/// The table of a tenant with these roles of its own. All tenants without any share one.
pub(super) fn compiled(
    inner: &Inner,
    tenant: TenantId,
    mut own: Vec<RoleDefinition>,
) -> Result<Arc<RoleTable>, DirectoryError> {
    if own.is_empty() {
        return Ok(Arc::clone(&inner.base_roles));
    }
    if own.len() > RoleTable::MAX_ROLES {
        // The rest are roles that the tenant does not have, which allow nothing.
        tracing::warn!(tenant.id = %tenant, count = own.len(), "a tenant has too many roles");
        own.sort_by(|one, other| one.name.cmp(&other.name));
        own.truncate(RoleTable::MAX_ROLES);
    }
    let table = RoleTable::compile(&inner.permissions, &own).map_err(DirectoryError::new)?;
    // Whoever makes requests has this read again and again: one line, however many faults there are.
    let faults = table.problems();
    if let Some(worst) = faults.iter().find(|fault| fault.seals()).or(faults.first()) {
        tracing::debug!(
            tenant.id = %tenant,
            faults = faults.len(),
            %worst,
            "a tenant's role definitions have faults; `RoleTable::problems` lists them"
        );
    }
    Ok(Arc::new(table))
}
