//! A project as one user sees it.

use std::{mem::size_of, sync::Arc};

use super::{CachedFact, Caches};
use crate::{
    Actor, DirectoryError, Principal, Project, ProjectAccess, ProjectId, RoleName, TenantId,
    UserId, cache::Lookup, engine::Tenancy,
};

/// A user asks for it, or a caller who is no user.
pub(in crate::engine) struct ProjectOf;

/// A project, and the user's role in it.
#[derive(Debug)]
pub(crate) struct ProjectForUser {
    pub(crate) project: Project,
    pub(crate) role: Option<RoleName>,
}

impl ProjectForUser {
    /// Whether the project admits this principal, on whose behalf the user was asked for, who has this role in the
    /// tenant.
    pub(in crate::engine) fn lets_in(
        &self,
        principal: &Principal,
        in_tenant: Option<&RoleName>,
    ) -> bool {
        let is_closed =
            principal.open_projects_only && self.project.access != ProjectAccess::Members;
        !is_closed && self.admits(&principal.actor, in_tenant)
    }

    /// The same of an actor that is kept out of nothing but by its roles.
    pub(in crate::engine) fn admits(&self, actor: &Actor, in_tenant: Option<&RoleName>) -> bool {
        match actor {
            // They are no members, and have no roles: what they may do is said by their credential, or is everything.
            Actor::Service(_) | Actor::System | Actor::Job(_) => true,
            Actor::User(_) | Actor::Key(_) | Actor::Operator(_) | Actor::Anonymous => {
                self.project.admits(in_tenant, self.role.as_ref())
            }
        }
    }
}

impl CachedFact for ProjectOf {
    type Key = (TenantId, ProjectId, Option<UserId>);
    type Found = Arc<ProjectForUser>;

    fn cache(caches: &Caches) -> &Lookup<Self::Key, Arc<ProjectForUser>> {
        &caches.projects
    }

    fn tenant_of_key((tenant, _, _): &Self::Key) -> Option<TenantId> {
        Some(*tenant)
    }

    fn heap(found: &Arc<ProjectForUser>) -> usize {
        let role = found.role.as_ref().map_or(0, |role| role.as_str().len());
        let project = &found.project;
        size_of::<ProjectForUser>() + project.slug.as_str().len() + project.name.len() + role
    }

    async fn read(
        engine: Tenancy,
        (tenant, project, user): Self::Key,
    ) -> Result<Option<Arc<ProjectForUser>>, DirectoryError> {
        let directory = &engine.inner().directory;
        let found = directory.find_project(tenant, project).await?;
        // Asked also where there is no such project: one that is not open to the user must take as long.
        let role = match user {
            Some(user) => directory.find_project_role(tenant, project, user).await?,
            None => None,
        };
        Ok(found.map(|project| Arc::new(ProjectForUser { project, role })))
    }
}
