//! What listings of the directory are narrowed to.

use crate::{Membership, MembershipStatus, RoleName, TenantRecord, TenantStatus};

/// Which tenants a listing tells; all of them by default. What is set has to hold together.
///
/// ```
/// use tenancy_core::{TenantFilter, TenantStatus};
///
/// let trials_that_stopped = TenantFilter::new().status(TenantStatus::Suspended).plan("trial");
/// assert_eq!(trials_that_stopped.slug_prefix, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantFilter {
    /// Only tenants in this status.
    pub status: Option<TenantStatus>,
    /// Only tenants on this plan.
    pub plan: Option<String>,
    /// Only tenants whose slug begins so.
    pub slug_prefix: Option<String>,
}

impl TenantFilter {
    /// All tenants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only tenants in this status.
    #[must_use]
    pub const fn status(mut self, status: TenantStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only tenants on this plan.
    #[must_use]
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Only tenants whose slug begins so.
    #[must_use]
    pub fn slug_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.slug_prefix = Some(prefix.into());
        self
    }

    /// Whether a listing tells this tenant.
    #[must_use]
    pub fn matches(&self, tenant: &TenantRecord) -> bool {
        let prefix = self.slug_prefix.as_deref().unwrap_or_default();
        self.status.is_none_or(|status| tenant.status == status)
            && (self.plan.is_none() || tenant.plan == self.plan)
            && tenant.slug.as_str().starts_with(prefix)
    }
}

/// Which members of a tenant a listing tells; all of them by default. What is set has to hold together.
///
/// ```
/// use tenancy_core::{MemberFilter, MembershipStatus};
///
/// let open_invitations = MemberFilter::new().status(MembershipStatus::Invited);
/// assert_eq!(open_invitations.role, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberFilter {
    /// Only memberships in this state.
    pub status: Option<MembershipStatus>,
    /// Only memberships with this role.
    pub role: Option<RoleName>,
}

impl MemberFilter {
    /// All members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only memberships in this state.
    #[must_use]
    pub const fn status(mut self, status: MembershipStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only memberships with this role.
    #[must_use]
    pub fn role(mut self, role: impl Into<RoleName>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Whether a listing tells this membership.
    #[must_use]
    pub fn matches(&self, membership: &Membership) -> bool {
        self.status.is_none_or(|status| membership.status == status)
            && (self.role.as_ref()).is_none_or(|role| membership.role == *role)
    }
}
