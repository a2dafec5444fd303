//! Further names of tenants: bound, unbound and listed.

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query};
use tenancy_core::{
    ChangeRecord, DomainName, NameStore, StoreError, StoreErrorKind, TenantId, TenantKey,
};

use super::{commit, commit_removal, read_rows, refused};
use crate::directory::{PgDirectory, read::Name, rows};

#[async_trait]
impl NameStore for PgDirectory {
    async fn bind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        bind_domain(&mut tx, tenant, domain).await?;
        commit(tx, with).await
    }

    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        bind_external(&mut tx, tenant, provider, id).await?;
        commit(tx, with).await
    }

    async fn unbind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let delete =
            sqlx::query("DELETE FROM tenancy.domains WHERE tenant_id = $1 AND domain = $2")
                .bind(tenant.as_uuid())
                .bind(domain.as_str());
        let done = delete.execute(&mut *tx).await.map_err(refused)?;
        commit_removal(tenant, &done, tx, with).await
    }

    async fn unbind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let delete = sqlx::query(
            "DELETE FROM tenancy.external_ids
             WHERE tenant_id = $1 AND provider = $2 AND external_id = $3",
        );
        let delete = delete.bind(tenant.as_uuid()).bind(provider).bind(id);
        let done = delete.execute(&mut *tx).await.map_err(refused)?;
        commit_removal(tenant, &done, tx, with).await
    }

    async fn list_names(
        &self,
        tenant: TenantId,
        after: Option<&TenantKey>,
        limit: u32,
    ) -> Result<Vec<TenantKey>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let after = after.and_then(Name::of).filter(|name| name.kind != "slug");
        let rows = sqlx::query(
            r#"SELECT kind, provider, name FROM (
                 SELECT 'domain' AS kind, '' AS provider, domain AS name
                 FROM tenancy.domains WHERE tenant_id = $1
                 UNION ALL
                 SELECT 'external', provider, external_id
                 FROM tenancy.external_ids WHERE tenant_id = $1
             ) AS n
             WHERE $2::text IS NULL
                 OR (kind COLLATE "C", provider COLLATE "C", name COLLATE "C") > ($2, $3, $4)
             ORDER BY kind COLLATE "C", provider COLLATE "C", name COLLATE "C" LIMIT $5"#,
        )
        .bind(tenant.as_uuid())
        .bind(after.map(|after| after.kind))
        .bind(after.map(|after| after.provider))
        .bind(after.map(|after| after.name))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, rows::name)
    }
}

/// Makes a name that a new tenant begins with its own; a slug is in its record.
pub(super) async fn bind(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &TenantKey,
) -> Result<(), StoreError> {
    match name {
        TenantKey::Domain(domain) => bind_domain(connection, tenant, domain).await,
        TenantKey::External { provider, id } => {
            bind_external(connection, tenant, provider, id).await
        }
        _ => Ok(()),
    }
}

async fn bind_domain(
    connection: &mut PgConnection,
    tenant: TenantId,
    domain: &DomainName,
) -> Result<(), StoreError> {
    let insert = sqlx::query(
        "INSERT INTO tenancy.domains (domain, tenant_id) VALUES ($1, $2) ON CONFLICT (domain) DO NOTHING",
    );
    let own =
        sqlx::query("SELECT FROM tenancy.domains AS d WHERE d.domain = $1 AND d.tenant_id = $2");
    let [insert, own] =
        [insert, own].map(|query| query.bind(domain.as_str()).bind(tenant.as_uuid()));
    if is_bound(connection, insert, own).await? {
        return Ok(());
    }
    let taken = format!("the domain `{domain}` is taken");
    Err(StoreError::new(StoreErrorKind::Conflict, taken))
}

async fn bind_external(
    connection: &mut PgConnection,
    tenant: TenantId,
    provider: &str,
    id: &str,
) -> Result<(), StoreError> {
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
    if is_bound(connection, insert, own).await? {
        return Ok(());
    }
    let taken = format!("the id `{provider}:{id}` is taken");
    Err(StoreError::new(StoreErrorKind::Conflict, taken))
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
