//! What an invitation is made of.

use std::time::Duration;

use super::ProjectRole;
use crate::{EmailAddress, ProjectId, RoleName, StoreError, StoreErrorKind, TenantId};

/// An invitation that is about to be made.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{TenantId, invitation::NewInvitation};
///
/// let day = Duration::from_secs(24 * 60 * 60);
/// let ann = NewInvitation::new(TenantId::new(), "ann@example.org".parse()?, "member".parse()?).lasts(3 * day);
/// assert_eq!(ann.lifetime(), 3 * day);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct NewInvitation {
    pub(crate) tenant: TenantId,
    pub(crate) email: EmailAddress,
    pub(crate) role: RoleName,
    pub(crate) projects: Vec<ProjectRole>,
    pub(crate) lifetime: Duration,
}

impl NewInvitation {
    /// How long an invitation lasts unless it is told otherwise: 7 days.
    pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// How long one lasts at most: 30 days.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// In how many projects one may give a role: 100.
    pub const MAX_PROJECTS: usize = 100;

    /// Invites whoever reads an address to be a member in this role.
    pub const fn new(tenant: TenantId, email: EmailAddress, role: RoleName) -> Self {
        Self {
            tenant,
            email,
            role,
            projects: Vec::new(),
            lifetime: Self::LIFETIME,
        }
    }

    /// The same, with a role in a project of the tenant besides.
    pub fn in_project(mut self, project: ProjectId, role: RoleName) -> Self {
        self.projects.retain(|one| one.project != project);
        self.projects.push(ProjectRole { project, role });
        self
    }

    /// The same, for this time. Default: [`LIFETIME`](Self::LIFETIME).
    pub const fn lasts(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How long it lasts.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether it can be made.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let invalid = |message: String| Err(StoreError::new(StoreErrorKind::Invalid, message));
        if self.lifetime < Duration::from_secs(60) || self.lifetime > Self::MAX_LIFETIME {
            return invalid(
                "an invitation lasts for a minute at least and for 30 days at most".to_owned(),
            );
        }
        if self.projects.len() > Self::MAX_PROJECTS {
            return invalid(format!(
                "an invitation gives roles in {} projects at most",
                Self::MAX_PROJECTS
            ));
        }
        Ok(())
    }
}
