//! Rows of the registry as the core's types.

use sqlx::{Row as _, postgres::PgRow, types::Uuid};
use tenancy_core::{
    DirectoryError, Generation, Membership, MembershipStatus, Project, ProjectAccess, ProjectId,
    ProjectMembership, RoleName, Settings, Slug, TenantId, TenantKey, TenantMembership,
    TenantRecord, Timestamp, UserId,
};

/// The columns that [`tenant`] reads; `tenants` is called `t`.
pub(super) const TENANT: &str = "t.id, t.slug, t.name, t.status, t.plan, t.settings, \
    (extract(epoch FROM t.created_at) * 1000000)::bigint AS created_at, \
    (SELECT g.generation FROM tenancy.generations AS g WHERE g.tenant_id = t.id) AS generation";

/// The same where name, plan and settings are told under a condition: large ones are not even read else.
pub(super) fn tenant_if(is_told: &str) -> String {
    format!(
        "t.id, t.slug, t.status, CASE WHEN {is_told} THEN t.name ELSE '' END AS name, \
         CASE WHEN {is_told} THEN t.plan END AS plan, \
         CASE WHEN {is_told} THEN t.settings ELSE '{{}}'::jsonb END AS settings, \
         (extract(epoch FROM t.created_at) * 1000000)::bigint AS created_at, \
         (SELECT g.generation FROM tenancy.generations AS g WHERE g.tenant_id = t.id) AS generation"
    )
}

/// Reads a tenant. A row that this version can't read is an error, never "not found".
pub(super) fn tenant(row: &PgRow) -> Result<TenantRecord, DirectoryError> {
    let slug: Slug = text(row, "slug")?.parse().map_err(DirectoryError::new)?;
    let mut tenant = TenantRecord::new(slug, text(row, "name")?);
    tenant.id = TenantId::from_uuid(column(row, "id")?);
    tenant.status = text(row, "status")?.parse().map_err(DirectoryError::new)?;
    tenant.plan = column(row, "plan")?;
    tenant.settings = Settings::new(column(row, "settings")?);
    tenant.created_at = Timestamp::from_unix_micros(column(row, "created_at")?);
    let generation: Option<i64> = column(row, "generation")?;
    tenant.generation = generation.map_or(Generation::FIRST, Generation::from_i64);
    Ok(tenant)
}

pub(super) fn membership(row: &PgRow) -> Result<Membership, DirectoryError> {
    membership_in(row, "status")
}

fn membership_in(row: &PgRow, status: &str) -> Result<Membership, DirectoryError> {
    let status = text(row, status)?;
    let known = MembershipStatus::from_stored(&status).ok_or_else(|| {
        DirectoryError::new(format!("`{status}` is not the status of a membership"))
    })?;
    let tenant = TenantId::from_uuid(column(row, "tenant_id")?);
    let user = UserId::from_uuid(column(row, "user_id")?);
    Ok(Membership::new(tenant, user, role(row)?).with_status(known))
}

/// A tenant with the membership of one user, whose status has a name of its own.
pub(super) fn tenant_membership(row: &PgRow) -> Result<TenantMembership, DirectoryError> {
    let member = membership_in(row, "membership_status")?;
    Ok(TenantMembership::new(tenant(row)?, member))
}

pub(super) fn project(row: &PgRow) -> Result<Project, DirectoryError> {
    let slug = text(row, "slug")?.parse().map_err(DirectoryError::new)?;
    let tenant = TenantId::from_uuid(column::<Uuid>(row, "tenant_id")?);
    let mut project = Project::new(tenant, slug, text(row, "name")?);
    project.id = ProjectId::from_uuid(column(row, "id")?);
    project.archived = column(row, "archived")?;
    let access = text(row, "access")?;
    project.access = ProjectAccess::from_stored(&access).ok_or_else(|| {
        DirectoryError::new(format!(
            "the project `{}` has the unknown access `{access}`; upgrade this service",
            project.id
        ))
    })?;
    Ok(project)
}

pub(super) fn project_membership(row: &PgRow) -> Result<ProjectMembership, DirectoryError> {
    let tenant = TenantId::from_uuid(column(row, "tenant_id")?);
    let project = ProjectId::from_uuid(column(row, "project_id")?);
    let user = UserId::from_uuid(column(row, "user_id")?);
    Ok(ProjectMembership::new(tenant, project, user, role(row)?))
}

/// A further name of a tenant: of the kind `domain`, or of another system.
pub(super) fn name(row: &PgRow) -> Result<TenantKey, DirectoryError> {
    let name = text(row, "name")?;
    Ok(match text(row, "kind")?.as_str() {
        "domain" => TenantKey::Domain(name.parse().map_err(DirectoryError::new)?),
        _ => TenantKey::External {
            provider: text(row, "provider")?.into(),
            id: name.into(),
        },
    })
}

pub(super) fn role(row: &PgRow) -> Result<RoleName, DirectoryError> {
    text(row, "role")?.parse().map_err(DirectoryError::new)
}

pub(super) fn column<'r, T>(row: &'r PgRow, name: &str) -> Result<T, DirectoryError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(name).map_err(DirectoryError::new)
}

pub(super) fn text(row: &PgRow, name: &str) -> Result<String, DirectoryError> {
    column(row, name)
}
