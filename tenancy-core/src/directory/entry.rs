//! What entering a tenant takes: the question, and the answer.

use crate::{
    Membership, Project, ProjectId, RoleDefinition, RoleName, TenantId, TenantKey, TenantRecord,
    UserId,
};

/// Who wants to enter which tenant, and what is known already.
///
/// ```
/// use tenancy_core::{
///     EntryDirectory as _, EntryQuery, MemoryDirectory, TenantId, TenantKey, UserId,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let acme = TenantKey::Slug("acme".parse()?);
/// let query = EntryQuery::new(acme, Some(UserId::new()), TenantId::new());
/// let entry = MemoryDirectory::new().find_entry(&query).await?;
/// assert!(entry.tenant.is_none() && entry.membership.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EntryQuery {
    /// What the request calls the tenant.
    pub tenant: TenantKey,
    /// The user whose membership counts; `None` where none does: a visitor, a service.
    pub user: Option<UserId>,
    /// The project that the request names.
    pub project: Option<ProjectId>,
    /// The id under which the user's membership is looked for where no tenant has the name: no tenant has
    /// it.
    pub nobody: TenantId,
    /// The tenant whose roles need not be told again.
    pub known_roles: Option<TenantId>,
    /// The one tenant that the caller's credential reaches, if it is confined to one. Of another, neither
    /// membership nor roles nor project are told: otherwise an issuer of such credentials could find out whose
    /// users belong elsewhere.
    pub confined_to: Option<TenantKey>,
    /// Whether a caller who is no member may enter all the same. Otherwise the record is told to members alone.
    pub for_visitors: bool,
}

impl EntryQuery {
    /// A question about a tenant, by a user or by a caller who is no user.
    #[must_use]
    pub const fn new(tenant: TenantKey, user: Option<UserId>, nobody: TenantId) -> Self {
        Self {
            tenant,
            user,
            project: None,
            nobody,
            known_roles: None,
            confined_to: None,
            for_visitors: false,
        }
    }

    /// The same, about a project in it as well.
    #[must_use]
    pub const fn in_project(mut self, project: Option<ProjectId>) -> Self {
        self.project = project;
        self
    }

    /// The same, by a credential that reaches this tenant alone.
    #[must_use]
    pub fn confined_to(mut self, tenant: Option<TenantKey>) -> Self {
        self.confined_to = tenant;
        self
    }

    /// The same, for a route that takes callers who are no members as visitors.
    #[must_use]
    pub const fn for_visitors(mut self, is_open: bool) -> Self {
        self.for_visitors = is_open;
        self
    }

    /// Whether the caller's credential reaches this tenant.
    #[must_use]
    pub fn reaches(&self, tenant: &TenantRecord) -> bool {
        // Where the record does not tell, both have to say the same.
        let own = self.confined_to.as_ref();
        own.is_none_or(|key| key.names(tenant).unwrap_or(*key == self.tenant))
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
    /// The tenant that has the name, if there is one. A directory that can do so leaves name, plan and settings out for a caller
    /// who is no active member, unless the question is [for visitors](EntryQuery::for_visitors): how long they are must not
    /// show in how long the answer takes.
    pub tenant: Option<TenantRecord>,
    /// The user's membership of it, whatever its status.
    pub membership: Option<Membership>,
    /// The tenant's own roles; `None` for a caller who is no active member, and where they are known.
    pub roles: Option<Vec<RoleDefinition>>,
    /// The project, and the user's role in it; of a tenant's active members whom the project
    /// [admits](Project::admits). A visitor and a service ask for it once it is known that they may enter.
    pub project: Option<(Project, Option<RoleName>)>,
}
