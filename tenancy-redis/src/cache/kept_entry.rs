//! What is kept of the answer about an active member.

use serde::{Deserialize, Serialize};
use tenancy_core::{
    Entry, Membership, MembershipStatus, Project, RoleDefinition, RoleName, TenantId, TenantRecord,
    UserId,
};

use super::Kept;

/// An answer about an active member, as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptEntry {
    tenant: TenantRecord,
    membership: Membership,
    roles: Option<Vec<RoleDefinition>>,
    project: Option<(Project, Option<RoleName>)>,
}

impl KeptEntry {
    /// Whether it is about this user, and an active membership of the tenant that it has.
    pub(super) fn is_about(&self, user: Option<UserId>) -> bool {
        self.membership.tenant == self.tenant.id
            && Some(self.membership.user) == user
            && self.membership.status == MembershipStatus::Active
    }
}

impl Kept for KeptEntry {
    type Answer = Entry;

    fn tenant(&self) -> TenantId {
        self.tenant.id
    }

    fn of(entry: &Entry) -> Option<Self> {
        let membership = entry.membership.clone();
        Some(Self {
            tenant: entry.tenant.clone()?,
            membership: membership.filter(|it| it.status == MembershipStatus::Active)?,
            roles: entry.roles.clone(),
            project: entry.project.clone(),
        })
    }

    fn answer(self) -> Option<Entry> {
        let mut entry = Entry::default();
        entry.tenant = Some(self.tenant);
        entry.membership = Some(self.membership);
        entry.roles = self.roles;
        entry.project = self.project;
        Some(entry)
    }
}
