//! A project as one user sees it.

use std::{mem::size_of, sync::Arc};

use super::{CachedFact, Caches};
use crate::{
    DirectoryError, Project, ProjectId, RoleName, TenantId, UserId, cache::Lookup, engine::Tenancy,
};

/// A user asks for it, or a caller who is no user.
pub(in crate::engine) struct ProjectOf;

/// A project, and the user's role in it.
#[derive(Debug)]
pub(crate) struct ProjectAccess {
    pub(crate) project: Project,
    pub(crate) role: Option<RoleName>,
}

impl CachedFact for ProjectOf {
    type Key = (TenantId, ProjectId, Option<UserId>);
    type Found = Arc<ProjectAccess>;

    fn cache(caches: &Caches) -> &Lookup<Self::Key, Arc<ProjectAccess>> {
        &caches.projects
    }

    fn tenant_of_key((tenant, _, _): &Self::Key) -> Option<TenantId> {
        Some(*tenant)
    }

    fn heap(found: &Arc<ProjectAccess>) -> usize {
        let role = found.role.as_ref().map_or(0, |role| role.as_str().len());
        let project = &found.project;
        size_of::<ProjectAccess>() + project.slug.as_str().len() + project.name.len() + role
    }

    async fn read(
        engine: Tenancy,
        (tenant, project, user): Self::Key,
    ) -> Result<Option<Arc<ProjectAccess>>, DirectoryError> {
        let directory = &engine.inner().directory;
        let Some(project) = directory.find_project(tenant, project).await? else {
            return Ok(None);
        };
        let role = match user {
            Some(user) => {
                directory
                    .find_project_role(tenant, project.id, user)
                    .await?
            }
            None => None,
        };
        Ok(Some(Arc::new(ProjectAccess { project, role })))
    }
}
