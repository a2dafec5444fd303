//! The tenants among which a caller may choose.

use crate::{
    AllowedTenants, MemberFilter, MembershipStatus, Principal, StoreError, StoreErrorKind,
    TenantId, TenantKey, TenantMembership, TenantStatus, UserId, engine::Tenancy,
};

/// How many tenants a page holds at most.
const MAX_PAGE: u32 = 1_000;

/// The tenants that a user is an active member of, as far as the credential reaches.
pub(super) async fn tenants_of(
    engine: &Tenancy,
    principal: &Principal,
    after: Option<TenantId>,
    limit: u32,
) -> Result<Vec<TenantMembership>, StoreError> {
    let Some(user) = principal.user() else {
        let message = "only users are members of tenants; this credential is none of a user";
        return Err(StoreError::new(StoreErrorKind::Forbidden, message));
    };
    let limit = limit.min(MAX_PAGE);
    match &principal.allowed_tenants {
        AllowedTenants::Memberships => {
            let active = MemberFilter::new().status(MembershipStatus::Active);
            let store = engine.inner().stores.membership_store()?;
            store.list_tenants_of(user, &active, after, limit).await
        }
        AllowedTenants::Bound(tenant) => among(engine, user, [tenant], after, limit).await,
        AllowedTenants::Set { tenants, .. } => among(engine, user, tenants, after, limit).await,
    }
}

/// The same of the tenants that a credential names: each is asked for, so that it tells of no other.
async fn among<'a>(
    engine: &Tenancy,
    user: UserId,
    named: impl IntoIterator<Item = &'a TenantKey> + Send,
    after: Option<TenantId>,
    limit: u32,
) -> Result<Vec<TenantMembership>, StoreError> {
    let directory = &engine.inner().directory;
    let mut found: Vec<TenantMembership> = Vec::new();
    for key in named {
        let tenant = directory.find_tenant(key).await;
        let tenant = tenant.map_err(StoreError::unavailable)?;
        let Some(tenant) = tenant.filter(|it| it.status != TenantStatus::Deleted) else {
            continue;
        };
        if found.iter().any(|it| it.record.id == tenant.id) {
            continue;
        }
        let membership = directory.find_membership(tenant.id, user).await;
        let membership = membership.map_err(StoreError::unavailable)?;
        if let Some(active) = membership.filter(|it| it.status == MembershipStatus::Active) {
            found.push(TenantMembership::new(tenant, active));
        }
    }
    found.retain(|it| after.is_none_or(|after| it.record.id > after));
    found.sort_by_key(|it| it.record.id);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}
