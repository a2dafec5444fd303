//! Writing the registry: each call is one transaction, of the registry login as the tenant that it
//! concerns, or of the system login. Triggers advance the tenant's generation in it.

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres,
    postgres::{PgArguments, PgQueryResult},
    query::Query,
};
use tenancy_core::{
    DirectoryStore, DomainName, Epoch, Membership, Project, ProjectMembership, RoleDefinition,
    RoleTable, Settings, StoreError, StoreErrorKind, Tenant, TenantId, TenantStatus, TokensOf,
    UserId,
};

use super::{PgDirectory, read::scope, rows};
use crate::{
    options::{Timeouts, TxOptions},
    session::{self, Open},
};

impl PgDirectory {
    /// Begins a transaction that writes one tenant's part of the registry.
    pub(super) async fn write_as(&self, tenant: TenantId) -> Result<Open, StoreError> {
        let Some(registry) = &self.registry else {
            return self.write().await;
        };
        let batch = scope(tenant).begin_batch(None, &TxOptions::new(), &Timeouts::CHANGE);
        session::begin(registry, batch)
            .await
            .map_err(StoreError::unavailable)
    }

    /// Begins a transaction that writes what is the operators'.
    pub(super) async fn write(&self) -> Result<Open, StoreError> {
        let Some(system) = &self.system else {
            let message = if self.registry.is_some() {
                "this is the operators': the registry login can't change a tenant's status or plan, \
                 nor what concerns several tenants; give the directory the system login with \
                 `PgDirectory::with_system`, in a process of operators"
            } else {
                "this directory reads only: the login of the service can't change tenants; give it \
                 the registry login with `PgDirectory::with_registry`, or the system login with \
                 `PgDirectory::with_system`"
            };
            return Err(StoreError::new(StoreErrorKind::ReadOnly, message));
        };
        session::begin(system, session::nobodys_batch("BEGIN", &Timeouts::CHANGE))
            .await
            .map_err(StoreError::unavailable)
    }
}

/// Sorts what the database says. Values may be a tenant's own, so that the message names none.
pub(super) fn refused(error: sqlx::Error) -> StoreError {
    let error = match error {
        sqlx::Error::Database(said) => said,
        other => return StoreError::unavailable(other),
    };
    let (kind, message) = match error.code().as_deref() {
        Some("23505") => (StoreErrorKind::Conflict, "an id or a name is taken"),
        Some("23503") => (
            StoreErrorKind::NotFound,
            "there is no such tenant or project",
        ),
        Some("42501") => (StoreErrorKind::ReadOnly, "the login may not change tenants"),
        Some("22P02" | "22001" | "22008" | "22021" | "22P05" | "23514" | "23502") => {
            (StoreErrorKind::Invalid, "the value can't be stored")
        }
        _ => return StoreError::unavailable(sqlx::Error::Database(error)),
    };
    // What the server says names tables and may hold values: for the log, and not for an answer.
    tracing::debug!(
        error = error.message(),
        code = error.code().as_deref(),
        "{message}"
    );
    StoreError::new(kind, message)
}

pub(super) async fn commit(tx: Open) -> Result<(), StoreError> {
    tx.commit().await.map_err(refused)
}

/// Commits a change of one tenant's record, if there is one.
async fn commit_of(tenant: TenantId, done: &PgQueryResult, tx: Open) -> Result<(), StoreError> {
    if done.rows_affected() == 0 {
        return Err(unknown(tenant));
    }
    commit(tx).await
}

fn unknown(tenant: TenantId) -> StoreError {
    StoreError::new(
        StoreErrorKind::NotFound,
        format!("there is no tenant `{tenant}`"),
    )
}

/// Whether a name is the tenant's now, or was before. One that is another tenant's stays untouched,
/// and its row is not seen.
async fn is_bound(
    connection: &mut PgConnection,
    insert: Query<'_, Postgres, PgArguments>,
    own: Query<'_, Postgres, PgArguments>,
) -> Result<bool, StoreError> {
    let done = insert.execute(&mut *connection).await.map_err(refused)?;
    if done.rows_affected() > 0 {
        return Ok(true);
    }
    let found = own.fetch_optional(connection).await.map_err(refused)?;
    Ok(found.is_some())
}

/// A tenant's record, locked until the transaction ends.
///
/// No stronger than a change of the record needs: `FOR UPDATE` would wait for every open
/// transaction that has written a row of the tenant, since the foreign key of that row holds the
/// record's key.
pub(super) async fn record(
    connection: &mut PgConnection,
    id: TenantId,
) -> Result<Tenant, StoreError> {
    let one = format!(
        "SELECT {} FROM tenancy.tenants AS t WHERE t.id = $1 FOR NO KEY UPDATE",
        rows::TENANT
    );
    let row = sqlx::query(AssertSqlSafe(one))
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await
        .map_err(refused)?;
    let row = row.ok_or_else(|| unknown(id))?;
    rows::tenant(&row).map_err(StoreError::unavailable)
}

#[async_trait]
impl DirectoryStore for PgDirectory {
    async fn create_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant.id).await?;
        sqlx::query(
            "INSERT INTO tenancy.tenants (id, slug, name, status, plan, settings, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7::float8 / 1000000))",
        )
        .bind(tenant.id.as_uuid())
        .bind(tenant.slug.as_str())
        .bind(&tenant.name)
        .bind(tenant.status.as_str())
        .bind(&tenant.plan)
        .bind(tenant.settings.as_json())
        .bind(tenant.created_at.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await
    }

    async fn set_status(&self, tenant: TenantId, to: TenantStatus) -> Result<Tenant, StoreError> {
        let mut tx = self.write().await?;
        let next = record(&mut tx, tenant).await?.status.transition_to(to)?;
        sqlx::query(
            "UPDATE tenancy.tenants SET status = $2, status_changed_at = now() WHERE id = $1",
        )
        .bind(tenant.as_uuid())
        .bind(next.as_str())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        let changed = record(&mut tx, tenant).await?;
        commit(tx).await?;
        Ok(changed)
    }

    async fn set_settings(&self, tenant: TenantId, settings: &Settings) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let update = sqlx::query("UPDATE tenancy.tenants SET settings = $2 WHERE id = $1")
            .bind(tenant.as_uuid())
            .bind(settings.as_json());
        let done = update.execute(&mut *tx).await.map_err(refused)?;
        commit_of(tenant, &done, tx).await
    }

    async fn set_plan(&self, tenant: TenantId, plan: Option<&str>) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let update = sqlx::query("UPDATE tenancy.tenants SET plan = $2 WHERE id = $1")
            .bind(tenant.as_uuid())
            .bind(plan);
        let done = update.execute(&mut *tx).await.map_err(refused)?;
        commit_of(tenant, &done, tx).await
    }

    async fn bind_domain(&self, tenant: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let insert = sqlx::query(
            "INSERT INTO tenancy.domains (domain, tenant_id) VALUES ($1, $2) ON CONFLICT (domain) DO NOTHING",
        );
        let own = sqlx::query(
            "SELECT FROM tenancy.domains AS d WHERE d.domain = $1 AND d.tenant_id = $2",
        );
        let [insert, own] =
            [insert, own].map(|query| query.bind(domain.as_str()).bind(tenant.as_uuid()));
        if !is_bound(&mut tx, insert, own).await? {
            let taken = format!("the domain `{domain}` is taken");
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        commit(tx).await
    }

    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let insert = sqlx::query(
            "INSERT INTO tenancy.external_ids (provider, external_id, tenant_id)
             VALUES ($1, $2, $3) ON CONFLICT (provider, external_id) DO NOTHING",
        );
        let own = sqlx::query(
            "SELECT FROM tenancy.external_ids AS e
             WHERE e.provider = $1 AND e.external_id = $2 AND e.tenant_id = $3",
        );
        let [insert, own] =
            [insert, own].map(|query| query.bind(provider).bind(id).bind(tenant.as_uuid()));
        if !is_bound(&mut tx, insert, own).await? {
            let taken = format!("the id `{provider}:{id}` is taken");
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        commit(tx).await
    }

    async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        let mut tx = self.write_as(membership.tenant).await?;
        sqlx::query(
            "INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, user_id)
                 DO UPDATE SET role = EXCLUDED.role, status = EXCLUDED.status",
        )
        .bind(membership.tenant.as_uuid())
        .bind(membership.user.as_uuid())
        .bind(membership.role.as_str())
        .bind(membership.status.as_str())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await
    }

    async fn remove_membership(&self, tenant: TenantId, user: UserId) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        for delete in [
            "DELETE FROM tenancy.project_memberships WHERE tenant_id = $1 AND user_id = $2",
            "DELETE FROM tenancy.memberships WHERE tenant_id = $1 AND user_id = $2",
        ] {
            sqlx::query(delete)
                .bind(tenant.as_uuid())
                .bind(user.as_uuid())
                .execute(&mut *tx)
                .await
                .map_err(refused)?;
        }
        commit(tx).await
    }

    async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        let mut tx = self.write_as(project.tenant).await?;
        // A project that keeps its slug keeps its keys. `DO UPDATE SET slug` would lock it as for a
        // change of a key, and wait for every open transaction that refers to it.
        let same_slug = sqlx::query(
            "UPDATE tenancy.projects SET name = $4, archived = $5
             WHERE tenant_id = $1 AND id = $2 AND slug = $3",
        )
        .bind(project.tenant.as_uuid())
        .bind(project.id.as_uuid())
        .bind(project.slug.as_str())
        .bind(&project.name)
        .bind(project.archived)
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        if same_slug.rows_affected() > 0 {
            return commit(tx).await;
        }
        sqlx::query(
            "INSERT INTO tenancy.projects (tenant_id, id, slug, name, archived)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, id) DO UPDATE
                 SET slug = EXCLUDED.slug, name = EXCLUDED.name, archived = EXCLUDED.archived",
        )
        .bind(project.tenant.as_uuid())
        .bind(project.id.as_uuid())
        .bind(project.slug.as_str())
        .bind(&project.name)
        .bind(project.archived)
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await
    }

    async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(membership.tenant).await?;
        sqlx::query(
            "INSERT INTO tenancy.project_memberships (tenant_id, project_id, user_id, role)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, project_id, user_id) DO UPDATE SET role = EXCLUDED.role",
        )
        .bind(membership.tenant.as_uuid())
        .bind(membership.project.as_uuid())
        .bind(membership.user.as_uuid())
        .bind(membership.role.as_str())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await
    }

    async fn put_role(&self, tenant: TenantId, role: &RoleDefinition) -> Result<(), StoreError> {
        let definition = serde_json::to_value(role)
            .map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
        let mut tx = self.write_as(tenant).await?;
        let stored = sqlx::query(
            "INSERT INTO tenancy.roles (tenant_id, name, definition) SELECT $1, $2, $3
             WHERE (SELECT count(*) FROM tenancy.roles WHERE tenant_id = $1 AND name <> $2) < $4
             ON CONFLICT (tenant_id, name) DO UPDATE SET definition = EXCLUDED.definition",
        )
        .bind(tenant.as_uuid())
        .bind(role.name.as_str())
        .bind(definition)
        .bind(i64::try_from(RoleTable::MAX_ROLES).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        if stored.rows_affected() == 0 {
            return Err(StoreError::too_many_roles());
        }
        commit(tx).await
    }

    async fn raise_epoch(&self, of: &TokensOf, to: Epoch) -> Result<(), StoreError> {
        self.store_epoch(of, to).await
    }

    async fn forget_epochs(&self, before: Epoch) -> Result<u64, StoreError> {
        self.delete_epochs(before).await
    }
}
