//! Projects and their members: written, removed and listed.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection};
use tenancy_core::{
    ChangeRecord, Project, ProjectFilter, ProjectId, ProjectMembership, ProjectStore, RoleSeen,
    StoreError, StoreErrorKind, TenantId, Timestamp, UserId,
};

use super::{
    commit, commit_removal, locked_tenant, members::hold, read_rows, refused, refused_for,
};
use crate::directory::{PgDirectory, rows};

#[async_trait]
impl ProjectStore for PgDirectory {
    async fn put_project(&self, project: &Project, with: &ChangeRecord) -> Result<(), StoreError> {
        let mut tx = self.write_as(project.tenant).await?;
        // A project that keeps its slug keeps its keys. `DO UPDATE SET slug` would lock it as for a
        // change of a key, and wait for every open transaction that refers to it.
        let same_slug = sqlx::query(
            "UPDATE tenancy.projects SET name = $4, archived = $5, access = $6
             WHERE tenant_id = $1 AND id = $2 AND slug = $3",
        )
        .bind(project.tenant.as_uuid())
        .bind(project.id.as_uuid())
        .bind(project.slug.as_str())
        .bind(&project.name)
        .bind(project.archived)
        .bind(project.access.as_str())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        if same_slug.rows_affected() > 0 {
            return commit(tx, with).await;
        }
        sqlx::query(
            "INSERT INTO tenancy.projects (tenant_id, id, slug, name, archived, access)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (tenant_id, id) DO UPDATE
                 SET slug = EXCLUDED.slug, name = EXCLUDED.name, archived = EXCLUDED.archived,
                     access = EXCLUDED.access",
        )
        .bind(project.tenant.as_uuid())
        .bind(project.id.as_uuid())
        .bind(project.slug.as_str())
        .bind(&project.name)
        .bind(project.archived)
        .bind(project.access.as_str())
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            let (id, slug) = (project.id, &project.slug);
            refused_for(error, format_args!("the id `{id}` or the slug `{slug}`"))
        })?;
        commit(tx, with).await
    }

    async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
        seen: &RoleSeen,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let (tenant, user) = (membership.tenant, membership.user);
        let mut tx = self.write_as(tenant).await?;
        // Whoever ends the membership comes before this or after it: no role waits for somebody who has left.
        if !hold(&mut tx, tenant, user).await? {
            return Err(StoreError::no_membership(tenant, user));
        }
        check_role(&mut tx, (tenant, membership.project, user), seen).await?;
        let add = "INSERT INTO tenancy.project_memberships (tenant_id, project_id, user_id, role)
             VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, project_id, user_id)";
        let then = match seen {
            // Somebody else may give one meanwhile, which nobody has looked at.
            RoleSeen::None => "DO NOTHING",
            RoleSeen::Any | RoleSeen::Role(_) => "DO UPDATE SET role = EXCLUDED.role",
        };
        let done = sqlx::query(AssertSqlSafe(format!("{add} {then}")))
            .bind(tenant.as_uuid())
            .bind(membership.project.as_uuid())
            .bind(user.as_uuid())
            .bind(membership.role.as_str())
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        if done.rows_affected() == 0 {
            seen.check(Some(&membership.role))?;
        }
        commit(tx, with).await
    }

    async fn remove_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        // The tenant before its keys, as where a key is rotated. What stops the tenant waits for this lock, and
        // so this waits for the application's only a moment.
        locked_tenant(&mut tx, tenant).await?;
        sqlx::query("SET LOCAL lock_timeout = 500")
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        // From here on no key, role or row that is confined to the project can be added.
        let there =
            sqlx::query("SELECT FROM tenancy.projects WHERE tenant_id = $1 AND id = $2 FOR UPDATE")
                .bind(tenant.as_uuid())
                .bind(project.as_uuid())
                .fetch_optional(&mut *tx)
                .await
                .map_err(in_use)?;
        if there.is_none() {
            return commit(tx, with).await;
        }
        end_keys(&mut tx, tenant, project, at).await?;
        for delete in [
            "DELETE FROM tenancy.project_memberships WHERE tenant_id = $1 AND project_id = $2",
            "DELETE FROM tenancy.projects WHERE tenant_id = $1 AND id = $2",
        ] {
            sqlx::query(delete)
                .bind(tenant.as_uuid())
                .bind(project.as_uuid())
                .execute(&mut *tx)
                .await
                .map_err(in_use)?;
        }
        commit(tx, with).await
    }

    async fn remove_project_membership(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
        seen: &RoleSeen,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        check_role(&mut tx, (tenant, project, user), seen).await?;
        let done = sqlx::query(
            "DELETE FROM tenancy.project_memberships
             WHERE tenant_id = $1 AND project_id = $2 AND user_id = $3",
        )
        .bind(tenant.as_uuid())
        .bind(project.as_uuid())
        .bind(user.as_uuid())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit_removal(tenant, &done, tx, with).await
    }

    async fn list_projects(
        &self,
        tenant: TenantId,
        filter: &ProjectFilter,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let rows = sqlx::query(
            "SELECT p.tenant_id, p.id, p.slug, p.name, p.archived, p.access FROM tenancy.projects AS p
             WHERE p.tenant_id = $1 AND ($2::uuid IS NULL OR p.id > $2)
                 AND ($4::boolean IS NULL OR p.archived = $4)
                 AND ($5::uuid IS NULL OR p.access = 'members' OR EXISTS (
                     SELECT FROM tenancy.project_memberships AS pm WHERE pm.tenant_id = p.tenant_id
                         AND pm.project_id = p.id AND pm.user_id = $5))
             ORDER BY p.id LIMIT $3",
        )
        .bind(tenant.as_uuid())
        .bind(after.map(|after| after.as_uuid()))
        .bind(i64::from(limit))
        .bind(filter.archived)
        .bind(filter.open_to.map(|user| user.as_uuid()))
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, rows::project)
    }

    async fn list_project_members(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ProjectMembership>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let rows = sqlx::query(
            "SELECT tenant_id, project_id, user_id, role FROM tenancy.project_memberships
             WHERE tenant_id = $1 AND project_id = $2 AND ($3::uuid IS NULL OR user_id > $3)
             ORDER BY user_id LIMIT $4",
        )
        .bind(tenant.as_uuid())
        .bind(project.as_uuid())
        .bind(after.map(|after| after.as_uuid()))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, rows::project_membership)
    }
}

/// Whether a user's role in a project is what was seen. It is locked until the transaction ends.
async fn check_role(
    tx: &mut PgConnection,
    (tenant, project, user): (TenantId, ProjectId, UserId),
    seen: &RoleSeen,
) -> Result<(), StoreError> {
    if *seen == RoleSeen::Any {
        return Ok(());
    }
    let found = sqlx::query(
        "SELECT role FROM tenancy.project_memberships
         WHERE tenant_id = $1 AND project_id = $2 AND user_id = $3 FOR UPDATE",
    )
    .bind(tenant.as_uuid())
    .bind(project.as_uuid())
    .bind(user.as_uuid())
    .fetch_optional(tx)
    .await
    .map_err(refused)?;
    let found = found.as_ref().map(rows::role).transpose();
    seen.check(found.map_err(StoreError::unavailable)?.as_ref())
}

/// Revokes the keys that are confined to a project, which is locked, and lets go of it.
///
/// They are locked in the order in which uses are noted, and before the update takes the lock of the tenant's
/// generation, as a change of a key does.
async fn end_keys(
    connection: &mut PgConnection,
    tenant: TenantId,
    project: ProjectId,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "SELECT FROM tenancy.api_keys WHERE tenant_id = $1 AND project_id = $2
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(tenant.as_uuid())
    .bind(project.as_uuid())
    .execute(&mut *connection)
    .await
    .map_err(refused)?;
    sqlx::query(
        "UPDATE tenancy.api_keys SET project_id = NULL, revoked_at = coalesce(revoked_at,
             timestamptz 'epoch' + $3 * interval '1 microsecond')
         WHERE tenant_id = $1 AND project_id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(project.as_uuid())
    .bind(at.as_unix_micros())
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Sorts why a project could not be removed.
fn in_use(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|said| said.code());
    let message = match code.as_deref() {
        Some("23503") => {
            "rows of the application refer to the project; remove them first, or archive the project"
        }
        Some("55P03") => {
            "the project is being written to; archive it, so that nobody enters it any more, and try \
             again"
        }
        _ => return refused(error),
    };
    StoreError::new(StoreErrorKind::Conflict, message)
}
