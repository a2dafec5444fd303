//! Operators: read and written with the system login alone.

use async_trait::async_trait;
use sqlx::{postgres::PgRow, types::Uuid};
use tenancy_core::{
    ChangeRecord, DirectoryError, Operator, OperatorId, OperatorRight, OperatorRole, OperatorStore,
    StoreError, Timestamp, UserId,
};

use super::{
    PgDirectory,
    invitations::revoke_of_operator,
    rows::{column, text},
    write::{commit, read_rows, refused, refused_for},
};

#[async_trait]
impl OperatorStore for PgDirectory {
    async fn find_operator(
        &self,
        issuer: &str,
        subject: UserId,
    ) -> Result<Option<Operator>, DirectoryError> {
        // PostgreSQL's text has no place for NUL, so that nobody has such a name.
        if issuer.contains('\0') {
            return Ok(None);
        }
        let mut reading = self.list_all().await.map_err(DirectoryError::new)?;
        let found = sqlx::query(
            "SELECT id, issuer, subject, name, roles, user_id, disabled FROM tenancy.operators
             WHERE issuer = $1 AND subject = $2",
        )
        .bind(issuer)
        .bind(subject.as_uuid())
        .fetch_optional(&mut *reading)
        .await;
        let found = found.map_err(DirectoryError::new)?;
        found.as_ref().map(operator).transpose()
    }

    async fn is_operator(&self, user: UserId) -> Result<bool, DirectoryError> {
        let mut reading = self.list_all().await.map_err(DirectoryError::new)?;
        let found =
            sqlx::query("SELECT FROM tenancy.operators WHERE subject = $1 OR user_id = $1 LIMIT 1")
                .bind(user.as_uuid())
                .fetch_optional(&mut *reading)
                .await;
        Ok(found.map_err(DirectoryError::new)?.is_some())
    }

    async fn put_operator(
        &self,
        operator: &Operator,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        operator.check()?;
        let roles: Vec<_> = operator.roles.iter().map(|role| role.as_str()).collect();
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO tenancy.operators (id, issuer, subject, name, roles, user_id, disabled)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE SET issuer = EXCLUDED.issuer, subject = EXCLUDED.subject,
                 name = EXCLUDED.name, roles = EXCLUDED.roles, user_id = EXCLUDED.user_id,
                 disabled = EXCLUDED.disabled",
        )
        .bind(operator.id.as_uuid())
        .bind(&operator.issuer)
        .bind(operator.subject.as_uuid())
        .bind(&operator.name)
        .bind(roles)
        .bind(operator.user.map(|user| user.as_uuid()))
        .bind(operator.disabled)
        .execute(&mut *tx)
        .await
        .map_err(|error| refused_for(error, "the subject"))?;
        // Before any lock of a tenant's generation: whoever accepts one has the invitation first.
        if !operator.may(OperatorRight::ChangeAccess) {
            revoke_of_operator(&mut tx, operator.id).await?;
        }
        if !operator.may(OperatorRight::Impersonate) {
            // In the order of the tenants, so that two who end several don't wait for each other in a circle.
            let tenants: Vec<Uuid> = sqlx::query_scalar(
                "SELECT DISTINCT tenant_id FROM tenancy.impersonations
                 WHERE operator_id = $1 AND ended_at IS NULL AND ends_at > statement_timestamp()
                 ORDER BY tenant_id",
            )
            .bind(operator.id.as_uuid())
            .fetch_all(&mut *tx)
            .await
            .map_err(refused)?;
            for tenant in tenants {
                sqlx::query(
                    "UPDATE tenancy.impersonations SET ended_at = to_timestamp($3::float8 / 1000000)
                     WHERE tenant_id = $1 AND operator_id = $2 AND ended_at IS NULL",
                )
                .bind(tenant)
                .bind(operator.id.as_uuid())
                .bind(Timestamp::as_unix_micros(with.entry.at))
                .execute(&mut *tx)
                .await
                .map_err(refused)?;
            }
        }
        commit(tx, with).await
    }

    async fn list_operators(
        &self,
        after: Option<OperatorId>,
        limit: u32,
    ) -> Result<Vec<Operator>, StoreError> {
        let mut tx = self.list_all().await?;
        let rows = sqlx::query(
            "SELECT id, issuer, subject, name, roles, user_id, disabled FROM tenancy.operators
             WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after.map(|after| after.as_uuid()))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, operator)
    }
}

fn operator(row: &PgRow) -> Result<Operator, DirectoryError> {
    // A role that a newer program has stored gives no right in this one.
    let roles: Vec<String> = column(row, "roles")?;
    let roles = roles
        .iter()
        .filter_map(|role| OperatorRole::from_stored(role));
    let subject = UserId::from_uuid(column(row, "subject")?);
    let mut operator = Operator::new(text(row, "issuer")?, subject, text(row, "name")?, roles);
    operator.id = OperatorId::from_uuid(column(row, "id")?);
    operator.user = column::<Option<Uuid>>(row, "user_id")?.map(UserId::from_uuid);
    operator.disabled = column(row, "disabled")?;
    Ok(operator)
}
