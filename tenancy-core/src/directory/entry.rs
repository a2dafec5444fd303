//! What entering a tenant takes: the question, and the answer.

use crate::{
    Membership, Project, ProjectId, RoleDefinition, RoleName, Tenant, TenantId, TenantKey, UserId,
};

/// Who wants to enter which tenant, and what is known already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EntryQuery {
    /// What the request calls the tenant.
    pub tenant: TenantKey,
    /// The user whose membership counts; `None` where none does: a visitor, a service.
    pub user: Option<UserId>,
    /// The project that the request names.
    pub project: Option<ProjectId>,
    /// The id under which the user's membership is looked for where the name is nobody's: no tenant has
    /// it.
    pub nobody: TenantId,
    /// The tenant whose roles need not be told again.
    pub known_roles: Option<TenantId>,
}

impl EntryQuery {
    /// A question about a tenant by a user, or by nobody who is one.
    #[must_use]
    pub const fn new(tenant: TenantKey, user: Option<UserId>, nobody: TenantId) -> Self {
        Self {
            tenant,
            user,
            project: None,
            nobody,
            known_roles: None,
        }
    }

    /// The same, about a project in it as well.
    #[must_use]
    pub const fn in_project(mut self, project: Option<ProjectId>) -> Self {
        self.project = project;
        self
    }

    /// The same, without the roles of this tenant.
    #[must_use]
    pub const fn without_roles_of(mut self, known: Option<TenantId>) -> Self {
        self.known_roles = known;
        self
    }
}

/// The answer to an [`EntryQuery`]: what [`find_tenant`](crate::TenantDirectory::find_tenant) and its
/// like would have told one by one.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Entry {
    /// The tenant, if the name is one's.
    pub tenant: Option<Tenant>,
    /// The user's membership of it, whatever its status.
    pub membership: Option<Membership>,
    /// The tenant's own roles; `None` for whoever is no active member, and where they are known.
    pub roles: Option<Vec<RoleDefinition>>,
    /// The project, and the user's role in it; of a tenant's active members, or where nobody's membership
    /// counts.
    pub project: Option<(Project, Option<RoleName>)>,
}
