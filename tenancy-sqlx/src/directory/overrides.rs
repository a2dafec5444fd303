//! Limits of single tenants: found through a function by the login of the service, written by operators.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tenancy_core::{
    ChangeRecord, DirectoryError, StoreError, StoreErrorKind, TenantId, Timestamp,
    quota::{LimitOverride, LimitOverrideDirectory, LimitOverrideStore},
};

use super::{
    PgDirectory,
    rows::{column, text},
    write::{commit, commit_removal, refused, unknown},
};

#[async_trait]
impl LimitOverrideDirectory for PgDirectory {
    async fn find_limit_overrides(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<LimitOverride>, DirectoryError> {
        let mut reading = self.read_as(tenant).await?;
        let rows =
            sqlx::query("SELECT meter, definition, ends_at FROM tenancy.find_limit_overrides()")
                .fetch_all(&mut *reading)
                .await
                .map_err(DirectoryError::new)?;
        let found = rows
            .iter()
            .map(limit_override)
            .collect::<Result<Vec<_>, _>>();
        // What a newer program has stored, this one may not understand; the rest counts.
        Ok(found?.into_iter().flatten().collect())
    }
}

#[async_trait]
impl LimitOverrideStore for PgDirectory {
    async fn put_limit_override(
        &self,
        tenant: TenantId,
        with: &LimitOverride,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let invalid = |error: tenancy_core::ConfigError| {
            StoreError::new(StoreErrorKind::Invalid, error.to_string())
        };
        let definition = with.definition().map_err(invalid)?;
        let mut tx = self.write().await?;
        let there = sqlx::query("SELECT FROM tenancy.tenants WHERE id = $1")
            .bind(tenant.as_uuid())
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?;
        if there.is_none() {
            return Err(unknown(tenant));
        }
        sqlx::query(
            "INSERT INTO tenancy.limit_overrides (tenant_id, limit_name, meter, definition, ends_at)
             VALUES ($1, $2, $3, $4, to_timestamp($5::float8 / 1000000))
             ON CONFLICT (tenant_id, limit_name) DO UPDATE
                 SET meter = EXCLUDED.meter, definition = EXCLUDED.definition, ends_at = EXCLUDED.ends_at",
        )
        .bind(tenant.as_uuid())
        .bind(with.limit_name())
        .bind(with.meter())
        .bind(definition)
        .bind(with.ends_at().map(Timestamp::as_unix_micros))
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx, record).await
    }

    async fn remove_limit_override(
        &self,
        tenant: TenantId,
        limit: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM tenancy.limit_overrides WHERE tenant_id = $1 AND limit_name = $2",
        )
        .bind(tenant.as_uuid())
        .bind(limit)
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit_removal(tenant, &done, tx, record).await
    }
}

/// An override; `None` for one that this program can't read.
fn limit_override(row: &PgRow) -> Result<Option<LimitOverride>, DirectoryError> {
    let meter = text(row, "meter")?;
    let definition = column(row, "definition")?;
    let ends_at: Option<i64> = column(row, "ends_at")?;
    let ends_at = ends_at.map(Timestamp::from_unix_micros);
    Ok(
        match LimitOverride::from_stored(&meter, &definition, ends_at) {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::error!(%error, meter, "a stored override can't be read; the plan's own limit counts");
                None
            }
        },
    )
}
