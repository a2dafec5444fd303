//! Rules by which people join by their address's domain: written by the logins that write memberships.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tenancy_core::{
    ChangeRecord, DirectoryError, DomainName, Membership, StoreError, TenantId, UserId,
    domain_join::{DomainJoin, DomainJoinStore, DomainJoined, JoinMode},
    invitation::SeatLimit,
};

use super::{
    PgDirectory,
    invitations::{is_member, seats_taken},
    rows::{column, role, text},
    write::{commit, commit_removal, forget_roles, join, locked_tenant, read_rows, refused},
};

#[async_trait]
impl DomainJoinStore for PgDirectory {
    async fn put_domain_join(
        &self,
        rule: &DomainJoin,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(rule.tenant).await?;
        locked_tenant(&mut tx, rule.tenant).await?;
        sqlx::query(
            "INSERT INTO tenancy.domain_joins AS j (tenant_id, domain, mode, role) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, domain) DO UPDATE SET mode = EXCLUDED.mode, role = EXCLUDED.role,
                 created_at = CASE j.mode WHEN EXCLUDED.mode THEN j.created_at ELSE clock_timestamp() END",
        )
        .bind(rule.tenant.as_uuid())
        .bind(rule.domain.as_str())
        .bind(rule.mode.as_str())
        .bind(rule.role.as_str())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx, record).await
    }

    async fn remove_domain_join(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let delete = "DELETE FROM tenancy.domain_joins WHERE tenant_id = $1 AND domain = $2";
        let done = sqlx::query(delete)
            .bind(tenant.as_uuid())
            .bind(domain.as_str())
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        commit_removal(tenant, &done, tx, record).await
    }

    async fn list_domain_joins(&self, tenant: TenantId) -> Result<Vec<DomainJoin>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let rows = sqlx::query(
            "SELECT tenant_id, domain, mode, role FROM tenancy.domain_joins
             WHERE tenant_id = $1 ORDER BY domain LIMIT 1000",
        )
        .bind(tenant.as_uuid())
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, domain_join)
    }

    async fn find_domain_joins(&self, domain: &str) -> Result<Vec<DomainJoin>, StoreError> {
        let mut tx = self.list_across().await?;
        let rows =
            sqlx::query("SELECT tenant_id, domain, mode, role FROM tenancy.find_domain_joins($1)")
                .bind(domain)
                .fetch_all(&mut *tx)
                .await;
        read_rows(rows, domain_join)
    }

    async fn find_domain_join(
        &self,
        tenant: TenantId,
        domain: &str,
    ) -> Result<Option<DomainJoin>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let rows = sqlx::query(
            "SELECT tenant_id, domain, mode, role FROM tenancy.domain_joins
             WHERE tenant_id = $1 AND domain = $2",
        )
        .bind(tenant.as_uuid())
        .bind(domain)
        .fetch_all(&mut *tx)
        .await;
        Ok(read_rows(rows, domain_join)?.pop())
    }

    async fn join_by_domain(
        &self,
        rule: &DomainJoin,
        user: UserId,
        seats: Option<SeatLimit>,
        record: &ChangeRecord,
    ) -> Result<DomainJoined, StoreError> {
        let tenant = rule.tenant;
        let mut tx = self.write_as(tenant).await?;
        if !locked_tenant(&mut tx, tenant).await?.status.is_served() {
            return Ok(DomainJoined::NotServed);
        }
        // Rules are changed under the same lock.
        let same = sqlx::query(
            "SELECT FROM tenancy.domain_joins
             WHERE tenant_id = $1 AND domain = $2 AND mode = $3 AND role = $4 FOR SHARE",
        );
        let same = same
            .bind(tenant.as_uuid())
            .bind(rule.domain.as_str())
            .bind(rule.mode.as_str())
            .bind(rule.role.as_str());
        let same = same.fetch_optional(&mut *tx).await.map_err(refused)?;
        if same.is_none() {
            return Ok(DomainJoined::Gone);
        }
        if is_member(&mut tx, tenant, user).await? {
            return Ok(DomainJoined::AlreadyMember);
        }
        if let Some(seats) = seats {
            let taken = seats_taken(&mut tx, tenant, seats.at).await?;
            if seats.room(taken) == 0 {
                return Ok(DomainJoined::Full { taken });
            }
        }
        let member = Membership::new(tenant, user, rule.role.clone());
        forget_roles(&mut tx, tenant, user).await?;
        if !join(&mut tx, &member).await? {
            return Ok(DomainJoined::AlreadyMember);
        }
        commit(tx, record).await?;
        Ok(DomainJoined::Done)
    }
}

fn domain_join(row: &PgRow) -> Result<DomainJoin, DirectoryError> {
    let mode = text(row, "mode")?;
    let mode = JoinMode::from_stored(&mode)
        .ok_or_else(|| DirectoryError::new(format!("`{mode}` is not a way to join")))?;
    let domain: DomainName = text(row, "domain")?.parse().map_err(DirectoryError::new)?;
    let tenant = TenantId::from_uuid(column(row, "tenant_id")?);
    Ok(DomainJoin::from_stored(tenant, domain, mode, role(row)?))
}
