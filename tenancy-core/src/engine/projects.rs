//! The projects that admit a caller.

use uuid::Uuid;

use super::{
    Tenancy, TenantContext,
    decide::subject,
    load::{MembershipOf, ProjectOf, load},
};
use crate::{
    Actor, DirectoryError, Project, ProjectFilter, ProjectId, RoleName, StoreError, StoreErrorKind,
    SystemRole, UserId,
};

/// How many projects a page holds at most.
const MAX_PAGE: u32 = 1_000;

/// The projects that a caller may choose from.
pub(super) async fn projects_of(
    engine: &Tenancy,
    caller: &TenantContext,
    after: Option<ProjectId>,
    limit: u32,
) -> Result<Vec<Project>, StoreError> {
    if !engine.is(caller.tenancy()) {
        let message = "the context is of another engine; ask the one that has admitted it";
        return Err(StoreError::new(StoreErrorKind::Forbidden, message));
    }
    let filter = that_admit(engine, caller).await?.archived(false);
    let tenant = caller.tenant_id();
    let limit = limit.min(MAX_PAGE);
    if let Some(own) = caller.principal().project {
        return only(engine, caller, own, after, limit).await;
    }
    let store = engine.inner().stores.project_store()?;
    store.list_projects(tenant, &filter, after, limit).await
}

/// The one to which the caller's credential is confined, if it is on the page.
async fn only(
    engine: &Tenancy,
    caller: &TenantContext,
    own: ProjectId,
    after: Option<ProjectId>,
    limit: u32,
) -> Result<Vec<Project>, StoreError> {
    if limit == 0 || after.is_some_and(|after| own <= after) {
        return Ok(Vec::new());
    }
    let found = admitting(engine, caller, own).await;
    let found = found.map_err(StoreError::unavailable)?;
    Ok(found.into_iter().filter(|own| !own.archived).collect())
}

/// What a listing is narrowed to, so that it tells a caller of no project that does not admit the caller.
pub(super) async fn that_admit(
    engine: &Tenancy,
    caller: &TenantContext,
) -> Result<ProjectFilter, StoreError> {
    let filter = ProjectFilter::new();
    if caller.principal().actor == Actor::Anonymous {
        let message = "projects are told to callers with a credential alone";
        return Err(StoreError::new(StoreErrorKind::Forbidden, message));
    }
    let Some(user) = subject(caller.principal()) else {
        return Ok(filter);
    };
    if caller.principal().open_projects_only {
        // As for somebody without a role anywhere.
        return Ok(filter.open_to(UserId::from_uuid(Uuid::nil())));
    }
    let role = role_of(engine, caller).await;
    let role = role.map_err(StoreError::unavailable)?;
    let is_owner = role.is_some_and(|role| SystemRole::from_name(&role) == Some(SystemRole::Owner));
    Ok(if is_owner {
        filter
    } else {
        filter.open_to(user)
    })
}

/// The project, archived or not, if it admits the caller.
pub(super) async fn admitting(
    engine: &Tenancy,
    caller: &TenantContext,
    project: ProjectId,
) -> Result<Option<Project>, DirectoryError> {
    let principal = caller.principal();
    let key = (caller.tenant_id(), project, subject(principal));
    let Some(found) = load::<ProjectOf>(engine, &key).await? else {
        return Ok(None);
    };
    let role = role_of(engine, caller).await?;
    let is_its = found.project.tenant == key.0 && found.project.id == project;
    let admits = is_its && found.lets_in(principal, role.as_ref());
    Ok(admits.then(|| found.project.clone()))
}

/// The role in the tenant of the user whose membership counts.
async fn role_of(
    engine: &Tenancy,
    caller: &TenantContext,
) -> Result<Option<RoleName>, DirectoryError> {
    let Some(user) = subject(caller.principal()) else {
        return Ok(None);
    };
    let member = load::<MembershipOf>(engine, &(caller.tenant_id(), user)).await?;
    Ok(member.map(|member| member.role.clone()))
}
