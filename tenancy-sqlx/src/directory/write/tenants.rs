//! Tenants: added, changed and listed.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgQueryResult};
use tenancy_core::{
    ChangeRecord, Settings, Slug, StoreError, TenantFilter, TenantId, TenantRecord, TenantStatus,
    TenantStore,
};

use super::{Writing, commit, locked_tenant, read_rows, refused, refused_for, unknown};
use crate::directory::{PgDirectory, rows};

#[async_trait]
impl TenantStore for PgDirectory {
    async fn create_tenant(
        &self,
        tenant: &TenantRecord,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant.id).await?;
        insert(&mut tx, tenant).await?;
        commit(tx, with).await
    }

    async fn set_status(
        &self,
        tenant: TenantId,
        to: TenantStatus,
        with: &ChangeRecord,
    ) -> Result<TenantRecord, StoreError> {
        let mut tx = self.write().await?;
        let next = locked_tenant(&mut tx, tenant)
            .await?
            .status
            .transition_to(to)?;
        sqlx::query(
            "UPDATE tenancy.tenants SET status = $2, status_changed_at = now() WHERE id = $1",
        )
        .bind(tenant.as_uuid())
        .bind(next.as_str())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        let changed = locked_tenant(&mut tx, tenant).await?;
        commit(tx, with).await?;
        Ok(changed)
    }

    async fn set_settings(
        &self,
        tenant: TenantId,
        settings: &Settings,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let update = sqlx::query("UPDATE tenancy.tenants SET settings = $2 WHERE id = $1")
            .bind(tenant.as_uuid())
            .bind(settings.as_json());
        let done = update.execute(&mut *tx).await.map_err(refused)?;
        commit_of(tenant, &done, tx, with).await
    }

    async fn set_plan(
        &self,
        tenant: TenantId,
        plan: Option<&str>,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let update = sqlx::query("UPDATE tenancy.tenants SET plan = $2 WHERE id = $1")
            .bind(tenant.as_uuid())
            .bind(plan);
        let done = update.execute(&mut *tx).await.map_err(refused)?;
        commit_of(tenant, &done, tx, with).await
    }

    async fn replace_plan(
        &self,
        tenant: TenantId,
        from: Option<&str>,
        plan: Option<&str>,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        // The row is locked before its plan is read: what another transaction does meanwhile is seen.
        let known: Option<Option<String>> =
            sqlx::query_scalar("SELECT plan FROM tenancy.tenants WHERE id = $1 FOR NO KEY UPDATE")
                .bind(tenant.as_uuid())
                .fetch_optional(&mut *tx)
                .await
                .map_err(refused)?;
        match known {
            Some(known) if known.as_deref() != from => return Err(StoreError::other_plan()),
            Some(_) => {}
            None => return Err(unknown(tenant)),
        }
        let update = sqlx::query("UPDATE tenancy.tenants SET plan = $2 WHERE id = $1")
            .bind(tenant.as_uuid())
            .bind(plan);
        let done = update.execute(&mut *tx).await.map_err(refused)?;
        commit_of(tenant, &done, tx, with).await
    }

    async fn rename(
        &self,
        tenant: TenantId,
        name: &str,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let update = sqlx::query("UPDATE tenancy.tenants SET name = $2 WHERE id = $1")
            .bind(tenant.as_uuid())
            .bind(name);
        let done = update.execute(&mut *tx).await.map_err(refused)?;
        commit_of(tenant, &done, tx, with).await
    }

    /// A slug is a key that a row could refer to. So this waits for open transactions that have written a row
    /// of the tenant, as long as locks are waited for; nothing that stops the tenant waits for this.
    async fn set_slug(
        &self,
        tenant: TenantId,
        slug: &Slug,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let update = sqlx::query("UPDATE tenancy.tenants SET slug = $2 WHERE id = $1")
            .bind(tenant.as_uuid())
            .bind(slug.as_str());
        let done = update.execute(&mut *tx).await;
        let done = done.map_err(|error| refused_for(error, format_args!("the slug `{slug}`")))?;
        commit_of(tenant, &done, tx, with).await
    }

    async fn list_tenants(
        &self,
        filter: &TenantFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRecord>, StoreError> {
        let mut tx = self.list_all().await?;
        let page = format!(
            "SELECT {} FROM tenancy.tenants AS t
             WHERE ($1::uuid IS NULL OR t.id > $1) AND ($2::text IS NULL OR t.status = $2)
                 AND ($3::text IS NULL OR t.plan = $3) AND ($4::text IS NULL OR starts_with(t.slug, $4))
             ORDER BY t.id LIMIT $5",
            rows::TENANT
        );
        let rows = sqlx::query(AssertSqlSafe(page))
            .bind(after.map(|after| after.as_uuid()))
            .bind(filter.status.map(TenantStatus::as_str))
            .bind(&filter.plan)
            .bind(&filter.slug_prefix)
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await;
        read_rows(rows, rows::tenant)
    }
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    tenant: &TenantRecord,
) -> Result<(), StoreError> {
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
    .execute(connection)
    .await
    .map_err(|error| {
        let (id, slug) = (tenant.id, &tenant.slug);
        refused_for(error, format_args!("the id `{id}` or the slug `{slug}`"))
    })?;
    Ok(())
}

/// Commits a change of one tenant's record, if there is one.
async fn commit_of(
    tenant: TenantId,
    done: &PgQueryResult,
    tx: Writing,
    with: &ChangeRecord,
) -> Result<(), StoreError> {
    if done.rows_affected() == 0 {
        return Err(unknown(tenant));
    }
    commit(tx, with).await
}
