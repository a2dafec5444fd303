//! Roles that tenants define for themselves: written, removed and listed.

use async_trait::async_trait;
use tenancy_core::{
    ChangeRecord, RoleDefinition, RoleName, RoleStore, RoleTable, StoreError, StoreErrorKind,
    TenantId,
};

use super::{commit, commit_removal, locked_tenant, read_rows, refused};
use crate::directory::{PgDirectory, read::definition};

#[async_trait]
impl RoleStore for PgDirectory {
    async fn put_role(
        &self,
        tenant: TenantId,
        role: &RoleDefinition,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let definition = serde_json::to_value(role)
            .map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
        let mut tx = self.write_as(tenant).await?;
        // Two at a time would each count the roles without the other's.
        locked_tenant(&mut tx, tenant).await?;
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
        commit(tx, with).await
    }

    async fn remove_role(
        &self,
        tenant: TenantId,
        role: &RoleName,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let delete = sqlx::query("DELETE FROM tenancy.roles WHERE tenant_id = $1 AND name = $2")
            .bind(tenant.as_uuid())
            .bind(role.as_str());
        let done = delete.execute(&mut *tx).await.map_err(refused)?;
        commit_removal(tenant, &done, tx, with).await
    }

    async fn list_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let rows = sqlx::query(
            r#"SELECT name, definition FROM tenancy.roles WHERE tenant_id = $1
               ORDER BY name COLLATE "C""#,
        )
        .bind(tenant.as_uuid())
        .fetch_all(&mut *tx)
        .await;
        let roles = read_rows(rows, |row| definition(tenant, row))?;
        Ok(roles.into_iter().flatten().collect())
    }
}
