//! Memberships: written, removed and listed.

use async_trait::async_trait;
use sqlx::PgConnection;
use tenancy_core::{
    ChangeRecord, MemberFilter, Membership, MembershipStatus, MembershipStore, RoleName,
    StoreError, TenantId, TenantMembership, UserId,
    invitation::{SeatLimit, Seated},
};

use super::{commit, commit_removal, locked_tenant, read_rows, refused};
use crate::directory::{
    PgDirectory,
    invitations::{is_member, seats_taken},
    rows,
};

#[async_trait]
impl MembershipStore for PgDirectory {
    async fn put_membership(
        &self,
        membership: &Membership,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(membership.tenant).await?;
        put(&mut tx, membership).await?;
        commit(tx, with).await
    }

    async fn put_membership_within(
        &self,
        membership: &Membership,
        seats: SeatLimit,
        with: &ChangeRecord,
    ) -> Result<Seated, StoreError> {
        let (tenant, user) = (membership.tenant, membership.user);
        let mut tx = self.write_as(tenant).await?;
        locked_tenant(&mut tx, tenant).await?;
        if !is_member(&mut tx, tenant, user).await? {
            let taken = seats_taken(&mut tx, tenant, seats.at).await?;
            if seats.room(taken) == 0 {
                return Ok(Seated::Full { taken });
            }
        }
        put(&mut tx, membership).await?;
        commit(tx, with).await?;
        Ok(Seated::Done)
    }

    async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let roles = "DELETE FROM tenancy.project_memberships WHERE tenant_id = $1 AND user_id = $2";
        let membership = "DELETE FROM tenancy.memberships WHERE tenant_id = $1 AND user_id = $2";
        let [roles, membership] = [roles, membership].map(|delete| {
            sqlx::query(delete)
                .bind(tenant.as_uuid())
                .bind(user.as_uuid())
        });
        roles.execute(&mut *tx).await.map_err(refused)?;
        let done = membership.execute(&mut *tx).await.map_err(refused)?;
        commit_removal(tenant, &done, tx, with).await
    }

    async fn list_members(
        &self,
        tenant: TenantId,
        filter: &MemberFilter,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let rows = sqlx::query(
            "SELECT tenant_id, user_id, role, status FROM tenancy.memberships
             WHERE tenant_id = $1 AND ($2::uuid IS NULL OR user_id > $2)
                 AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR role = $4)
             ORDER BY user_id LIMIT $5",
        )
        .bind(tenant.as_uuid())
        .bind(after.map(|after| after.as_uuid()))
        .bind(filter.status.map(MembershipStatus::as_str))
        .bind(filter.role.as_ref().map(RoleName::as_str))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await;
        read_rows(rows, rows::membership)
    }

    async fn list_tenants_of(
        &self,
        user: UserId,
        filter: &MemberFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantMembership>, StoreError> {
        let mut tx = self.list_across().await?;
        let rows = sqlx::query("SELECT * FROM tenancy.tenants_of($1, $2, $3, $4, $5)")
            .bind(user.as_uuid())
            .bind(filter.status.map(MembershipStatus::as_str))
            .bind(filter.role.as_ref().map(RoleName::as_str))
            .bind(after.map(|after| after.as_uuid()))
            .bind(i32::try_from(limit).unwrap_or(i32::MAX))
            .fetch_all(&mut *tx)
            .await;
        read_rows(rows, rows::tenant_membership)
    }
}

async fn put(tx: &mut PgConnection, membership: &Membership) -> Result<(), StoreError> {
    let put = sqlx::query(
        "INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, user_id)
             DO UPDATE SET role = EXCLUDED.role, status = EXCLUDED.status",
    );
    put.bind(membership.tenant.as_uuid())
        .bind(membership.user.as_uuid())
        .bind(membership.role.as_str())
        .bind(membership.status.as_str())
        .execute(tx)
        .await
        .map_err(refused)?;
    Ok(())
}

/// Adds a member who is none yet; `false` if the user is one.
pub(in crate::directory) async fn join(
    tx: &mut PgConnection,
    membership: &Membership,
) -> Result<bool, StoreError> {
    let joined = sqlx::query(
        "INSERT INTO tenancy.memberships (tenant_id, user_id, role, status) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, user_id) DO NOTHING",
    );
    let joined = joined
        .bind(membership.tenant.as_uuid())
        .bind(membership.user.as_uuid())
        .bind(membership.role.as_str())
        .bind(membership.status.as_str());
    let joined = joined.execute(tx).await.map_err(refused)?;
    Ok(joined.rows_affected() > 0)
}
