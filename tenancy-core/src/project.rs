//! Projects: subdivisions of a tenant with members of their own.

use serde::{Deserialize, Serialize};

use crate::{ProjectId, RoleName, Slug, TenantId, UserId};

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
        }
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
