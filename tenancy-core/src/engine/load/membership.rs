//! A user's membership of a tenant.

use std::{mem::size_of, sync::Arc};

use super::{CachedFact, Caches};
use crate::{DirectoryError, Membership, TenantId, UserId, cache::Lookup, engine::Tenancy};

pub(in crate::engine) struct MembershipOf;

impl CachedFact for MembershipOf {
    type Key = (TenantId, UserId);
    type Found = Arc<Membership>;

    fn cache(caches: &Caches) -> &Lookup<Self::Key, Arc<Membership>> {
        &caches.memberships
    }

    fn tenant_of_key((tenant, _): &Self::Key) -> Option<TenantId> {
        Some(*tenant)
    }

    fn heap(found: &Arc<Membership>) -> usize {
        size_of::<Membership>() + found.role.as_str().len()
    }

    async fn read(
        engine: Tenancy,
        (tenant, user): Self::Key,
    ) -> Result<Option<Arc<Membership>>, DirectoryError> {
        let found = engine
            .inner()
            .directory
            .find_membership(tenant, user)
            .await?;
        Ok(found.map(Arc::new))
    }
}
