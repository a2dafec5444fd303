//! Projects: subdivisions of a tenant with members of their own.

use serde::{Deserialize, Serialize};

use crate::{ProjectId, RoleName, Slug, SystemRole, TenantId, UserId};

/// A project of one tenant.
///
/// ```
/// use tenancy_core::{Project, TenantId};
///
/// let roadmap = Project::new(TenantId::new(), "roadmap".parse()?, "Roadmap");
/// assert!(!roadmap.archived);
/// # Ok::<(), tenancy_core::InvalidSlug>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Project {
    /// Unique within its tenant.
    pub id: ProjectId,
    /// The tenant it belongs to; never changes.
    pub tenant: TenantId,
    /// Unique within its tenant.
    pub slug: Slug,
    /// For people to read.
    pub name: String,
    /// An archived project is refused like an unknown one.
    pub archived: bool,
    /// Who may enter it. Where nothing is said, all members of the tenant.
    #[serde(default)]
    pub access: ProjectAccess,
}

impl Project {
    /// A new project with a new id.
    #[must_use]
    pub fn new(tenant: TenantId, slug: Slug, name: impl Into<String>) -> Self {
        Self {
            id: ProjectId::new(),
            tenant,
            slug,
            name: name.into(),
            archived: false,
            access: ProjectAccess::Members,
        }
    }

    /// The same, for these callers.
    #[must_use]
    pub fn with_access(mut self, access: ProjectAccess) -> Self {
        self.access = access;
        self
    }

    /// Whether somebody may enter it who has these roles: one in the tenant, and one in the project.
    ///
    /// It does not say whether the project is archived.
    ///
    /// ```
    /// use tenancy_core::{Project, ProjectAccess, SystemRole, TenantId};
    ///
    /// let payroll = Project::new(TenantId::new(), "payroll".parse()?, "Payroll")
    ///     .with_access(ProjectAccess::RoleOnly);
    /// let (admin, owner) = (SystemRole::Admin.name(), SystemRole::Owner.name());
    /// assert!(!payroll.admits(Some(&admin), None));
    /// assert!(payroll.admits(Some(&admin), Some(&SystemRole::Viewer.name())));
    /// assert!(payroll.admits(Some(&owner), None));
    /// # Ok::<(), tenancy_core::InvalidSlug>(())
    /// ```
    #[must_use]
    pub fn admits(&self, in_tenant: Option<&RoleName>, in_project: Option<&RoleName>) -> bool {
        let is_owner = |role: &RoleName| SystemRole::from_name(role) == Some(SystemRole::Owner);
        match self.access {
            ProjectAccess::Members => true,
            ProjectAccess::RoleOnly => in_project.is_some() || in_tenant.is_some_and(is_owner),
        }
    }
}

/// Who may enter a project, and so see that there is one.
///
/// | caller | `Members` | `RoleOnly` |
/// |---|---|---|
/// | a member with a role in the project | yes | yes |
/// | a member without | yes, by the role in the tenant | no: as if there were no such project |
/// | an owner of the tenant | yes | yes |
/// | an API key | as its creator | as its creator |
/// | a service account, which is no member | yes, with what its credential permits | the same |
/// | the service itself, a job, an operator | yes | yes |
/// | a caller without a credential, on a route for such | yes | no |
///
/// A role in the project admits also if it allows nothing. Owners are always admitted: they decide about every role
/// of the tenant, so a project could not be kept from them, only made to look as if it were.
///
/// Serialized as `members` and `role-only`.
///
/// ```
/// # use tenancy_core::{Project, ProjectAccess, StoreError, Tenancy, TenantContext};
/// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
/// let payroll = Project::new(context.tenant_id(), "payroll".parse()?, "Payroll")
///     .with_access(ProjectAccess::RoleOnly);
/// let admin = tenancy.admin(context.authority("projects:manage")?);
/// admin.put_project(&payroll).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProjectAccess {
    /// Every member of the tenant.
    #[default]
    Members,
    /// Who has a role in the project, and owners of the tenant.
    RoleOnly,
}

impl ProjectAccess {
    /// The name under which it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::RoleOnly => "role-only",
        }
    }

    /// Reads a stored name.
    ///
    /// ```
    /// use tenancy_core::ProjectAccess;
    ///
    /// assert_eq!(ProjectAccess::from_stored("role-only"), Some(ProjectAccess::RoleOnly));
    /// assert_eq!(ProjectAccess::from_stored("everybody"), None);
    /// ```
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Members, Self::RoleOnly]
            .into_iter()
            .find(|access| access.as_str() == text)
    }
}

/// A user's role in one project, in addition to the role in its tenant.
///
/// ```
/// use tenancy_core::{Project, ProjectMembership, StoreError, SystemRole, Tenancy, UserId, danger};
///
/// async fn let_edit(tenancy: &Tenancy, project: &Project, alice: UserId) -> Result<(), StoreError> {
///     let editor = ProjectMembership::new(project.tenant, project.id, alice, SystemRole::Member.name());
///     let admin = tenancy.admin(danger::service("alice joins the project")?);
///     admin.put_project_membership(&editor).await
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProjectMembership {
    /// The tenant the project belongs to.
    pub tenant: TenantId,
    /// The project.
    pub project: ProjectId,
    /// The user.
    pub user: UserId,
    /// What the user may do there beyond the role in the tenant.
    pub role: RoleName,
}

impl ProjectMembership {
    /// A user's role in a project.
    #[must_use]
    pub fn new(tenant: TenantId, project: ProjectId, user: UserId, role: RoleName) -> Self {
        Self {
            tenant,
            project,
            user,
            role,
        }
    }
}
