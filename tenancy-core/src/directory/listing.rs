//! What listings of the directory are narrowed to.

use crate::{
    Membership, MembershipStatus, Project, ProjectAccess, RoleName, TenantRecord, TenantStatus,
    UserId,
};

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

/// Which projects of a tenant a listing tells; all of them by default. What is set has to hold together.
///
/// ```
/// use tenancy_core::{ProjectFilter, UserId};
///
/// let to_choose_from = ProjectFilter::new().open_to(UserId::new()).archived(false);
/// assert_eq!(to_choose_from.archived, Some(false));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectFilter {
    /// Only projects that a member who is no owner of the tenant may enter: those that are open to members, and those
    /// in which this user has a role.
    pub open_to: Option<UserId>,
    /// Only projects that are archived, or only those that are not.
    pub archived: Option<bool>,
}

impl ProjectFilter {
    /// All projects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only projects that a member who is no owner of the tenant may enter.
    #[must_use]
    pub const fn open_to(mut self, user: UserId) -> Self {
        self.open_to = Some(user);
        self
    }

    /// Only projects that are archived, or only those that are not.
    #[must_use]
    pub const fn archived(mut self, archived: bool) -> Self {
        self.archived = Some(archived);
        self
    }

    /// Whether a listing tells this project; `has_role` says whether a user has a role in it.
    #[must_use]
    pub fn matches(&self, project: &Project, has_role: impl FnOnce(UserId) -> bool) -> bool {
        let is_open = |user| project.access == ProjectAccess::Members || has_role(user);
        self.archived
            .is_none_or(|archived| project.archived == archived)
            && self.open_to.is_none_or(is_open)
    }
}
