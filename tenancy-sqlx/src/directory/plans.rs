//! Versions of plans: found through a function by the login of the service, added and listed by operators.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tenancy_core::{
    ChangeRecord, DirectoryError, PlanDirectory, PlanStore, PlanVersion, StoreError,
    StoreErrorKind, Timestamp,
};

use super::{
    PgDirectory,
    rows::{column, text},
    write::{commit, read_rows, refused},
};

#[async_trait]
impl PlanDirectory for PgDirectory {
    async fn find_plan_version(
        &self,
        plan: &str,
        version: Option<u32>,
    ) -> Result<Option<PlanVersion>, DirectoryError> {
        // What no column can hold, nobody has stored.
        let number = version.map(i32::try_from).transpose();
        let (Ok(number), false) = (number, plan.contains('\0')) else {
            return Ok(None);
        };
        let mut reading = self.read_as_nobody(&self.app).await?;
        let found = sqlx::query(
            "SELECT plan, version, definition, created_at FROM tenancy.find_plan_version($1, $2)",
        )
        .bind(plan)
        .bind(number)
        .fetch_optional(&mut *reading)
        .await;
        found
            .map_err(DirectoryError::new)?
            .as_ref()
            .map(plan_version)
            .transpose()
    }
}

#[async_trait]
impl PlanStore for PgDirectory {
    async fn add_plan_version(
        &self,
        version: &PlanVersion,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        // Of two that add the same number at once, one waits for the other, and finds the number taken.
        let done = sqlx::query(
            "INSERT INTO tenancy.plan_versions (plan, version, definition, created_at)
             SELECT $1, $2, $3, to_timestamp($4::float8 / 1000000)
             WHERE $2 = 1 + (SELECT coalesce(max(version), 0) FROM tenancy.plan_versions WHERE plan = $1)
             ON CONFLICT DO NOTHING",
        )
        .bind(version.definition.name())
        .bind(i64::from(version.version))
        .bind(version.definition.as_json())
        .bind(version.created_at.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::new(
                StoreErrorKind::Conflict,
                "the plan has another newest version by now; look at it and try again",
            ));
        }
        commit(tx, with).await
    }

    async fn list_plan_versions(
        &self,
        plan: Option<&str>,
        after: Option<(&str, u32)>,
        limit: u32,
    ) -> Result<Vec<PlanVersion>, StoreError> {
        let mut tx = self.list_all().await?;
        let rows = sqlx::query(
            "SELECT plan, version, definition, (extract(epoch FROM created_at) * 1000000)::bigint AS created_at
             FROM tenancy.plan_versions
             WHERE ($1::text IS NULL OR plan = $1) AND ($2::text IS NULL OR (plan, version) > ($2, $3))
             ORDER BY plan, version LIMIT $4",
        )
        .bind(plan)
        .bind(after.map(|(plan, _)| plan))
        .bind(after.map(|(_, version)| i64::from(version)))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, plan_version)
    }
}

fn plan_version(row: &PgRow) -> Result<PlanVersion, DirectoryError> {
    let version: i32 = column(row, "version")?;
    let created_at = Timestamp::from_unix_micros(column(row, "created_at")?);
    let version = u32::try_from(version).map_err(DirectoryError::new)?;
    let definition = column(row, "definition")?;
    Ok(PlanVersion::from_stored(
        text(row, "plan")?,
        version,
        definition,
        created_at,
    ))
}
