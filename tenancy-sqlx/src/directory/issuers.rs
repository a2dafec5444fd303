//! Issuers that tenants bring along: found through a function by the login of the service, written and listed
//! by those that write.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tenancy_core::{
    ChangeRecord, DirectoryError, IssuerDirectory, IssuerRecord, IssuerStore, StoreError,
    StoreErrorKind, TenantId,
};

use super::{
    PgDirectory,
    rows::{column, text},
    write::{commit, commit_removal, read_rows, refused, unknown},
};

#[async_trait]
impl IssuerDirectory for PgDirectory {
    async fn find_issuer(&self, name: &str) -> Result<Option<IssuerRecord>, DirectoryError> {
        // PostgreSQL's text has no place for NUL, so that nobody has such a name.
        if name.contains('\0') {
            return Ok(None);
        }
        let mut reading = self.read_as_nobody(&self.app).await?;
        let found = sqlx::query("SELECT issuer, tenant_id, config FROM tenancy.find_issuer($1)")
            .bind(name)
            .fetch_optional(&mut *reading)
            .await;
        found
            .map_err(DirectoryError::new)?
            .as_ref()
            .map(issuer)
            .transpose()
    }
}

#[async_trait]
impl IssuerStore for PgDirectory {
    async fn put_issuer(
        &self,
        issuer: &IssuerRecord,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        issuer.check()?;
        let mut tx = self.write_as(issuer.tenant).await?;
        let there = sqlx::query("SELECT FROM tenancy.tenants WHERE id = $1")
            .bind(issuer.tenant.as_uuid())
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?;
        if there.is_none() {
            return Err(unknown(issuer.tenant));
        }
        // A row of another tenant is not seen by its policies, and none is changed by the second statement.
        let insert = sqlx::query(
            "INSERT INTO tenancy.issuers (issuer, tenant_id, config) VALUES ($1, $2, $3)
             ON CONFLICT (issuer) DO NOTHING",
        );
        let update = sqlx::query(
            "UPDATE tenancy.issuers SET config = $3 WHERE issuer = $1 AND tenant_id = $2",
        );
        let mut written = 0;
        for statement in [insert, update] {
            let statement = statement.bind(&issuer.issuer).bind(issuer.tenant.as_uuid());
            let done = statement.bind(&issuer.config).execute(&mut *tx).await;
            written += done.map_err(refused)?.rows_affected();
        }
        if written == 0 {
            let taken = format!("the issuer `{}` is taken", issuer.issuer);
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        commit(tx, with).await
    }

    async fn remove_issuer(
        &self,
        tenant: TenantId,
        issuer: &str,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let done = sqlx::query("DELETE FROM tenancy.issuers WHERE tenant_id = $1 AND issuer = $2")
            .bind(tenant.as_uuid())
            .bind(issuer)
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        commit_removal(tenant, &done, tx, with).await
    }

    async fn list_issuers(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<IssuerRecord>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let rows = sqlx::query(
            "SELECT issuer, tenant_id, config FROM tenancy.issuers
             WHERE tenant_id = $1 AND ($2::text IS NULL OR issuer > $2) ORDER BY issuer LIMIT $3",
        )
        .bind(tenant.as_uuid())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, issuer)
    }
}

fn issuer(row: &PgRow) -> Result<IssuerRecord, DirectoryError> {
    let tenant = TenantId::from_uuid(column(row, "tenant_id")?);
    Ok(IssuerRecord::new(
        text(row, "issuer")?,
        tenant,
        column(row, "config")?,
    ))
}
