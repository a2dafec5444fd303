//! Memberships: written, removed and listed.

use async_trait::async_trait;
use sqlx::PgConnection;
use tenancy_core::{
    ChangeRecord, KeyHandover, MemberFilter, MemberHoldings, Membership, MembershipChange,
    MembershipRemoval, MembershipStatus, MembershipStore, RoleName, RoleSeen, StoreError, TenantId,
    TenantMembership, Timestamp, UserId,
    invitation::{SeatLimit, Seated},
};

use super::{Writing, commit, locked_tenant, read_rows, refused};
use crate::directory::{
    PgDirectory, impersonations,
    invitations::{self, is_member, seats_taken},
    keys::{self, Many},
    ownership::open_offer,
    rows,
};

#[async_trait]
impl MembershipStore for PgDirectory {
    async fn put_membership(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(membership.tenant).await?;
        let found = locked(&mut tx, membership.tenant, membership.user).await?;
        seen.check(found.as_ref().map(|found| &found.role))?;
        put(&mut tx, membership, found.as_ref(), seen).await?;
        commit(tx, with).await
    }

    async fn put_membership_within(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        seats: SeatLimit,
        with: &ChangeRecord,
    ) -> Result<Seated, StoreError> {
        let (tenant, user) = (membership.tenant, membership.user);
        let mut tx = self.write_as(tenant).await?;
        // In the order of all changes: a member first, and then the tenant.
        let found = locked(&mut tx, tenant, user).await?;
        seen.check(found.as_ref().map(|found| &found.role))?;
        locked_tenant(&mut tx, tenant).await?;
        if !is_member(&mut tx, tenant, user).await? {
            let taken = seats_taken(&mut tx, tenant, seats.at).await?;
            if seats.room(taken) == 0 {
                return Ok(Seated::Full { taken });
            }
        }
        put(&mut tx, membership, found.as_ref(), seen).await?;
        commit(tx, with).await?;
        Ok(Seated::Done)
    }

    async fn change_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        change: &MembershipChange,
        seen: &RoleSeen,
        with: &ChangeRecord,
    ) -> Result<Membership, StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let found = locked(&mut tx, tenant, user).await?;
        seen.check(found.as_ref().map(|found| &found.role))?;
        let mut member = found.ok_or_else(|| StoreError::no_membership(tenant, user))?;
        change.apply(&mut member)?;
        update(&mut tx, &member).await?;
        commit(tx, with).await?;
        Ok(member)
    }

    async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        removal: &MembershipRemoval,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        // From here on no key of the user can be added: whoever adds one holds the membership. It comes before the
        // tenant, because rows of the application may refer to it, and what stops the tenant does not wait for those.
        let heir = removal.handover.as_ref().map(|handover| handover.to);
        let members = locked_for_removal(&mut tx, tenant, user, heir).await?;
        let found = members.iter().find(|member| member.user == user);
        removal.seen.check(found.map(|member| &member.role))?;
        // The tenant before its keys, as where a key is rotated.
        locked_tenant(&mut tx, tenant).await?;
        // Keys are locked before anything takes the lock of the tenant's generation.
        let of_user = Many::Member(tenant, user);
        of_user.lock_all(&mut tx).await?;
        lock_what_goes(&mut tx, tenant, user).await?;
        if let Some(handover) = &removal.handover {
            let is_heir = |member: &Membership| {
                member.user == handover.to && member.status == MembershipStatus::Active
            };
            if handover.to == user || !members.iter().any(is_heir) {
                return Err(StoreError::no_key_holder());
            }
            hand_over(&mut tx, (tenant, user), handover).await?;
        }
        of_user.revoke(&mut tx, removal.at).await?;
        invitations::revoke_of(&mut tx, (tenant, user)).await?;
        impersonations::end_of(&mut tx, (tenant, user), removal.at).await?;
        forget_roles(&mut tx, tenant, user).await?;
        sqlx::query("DELETE FROM tenancy.memberships WHERE tenant_id = $1 AND user_id = $2")
            .bind(tenant.as_uuid())
            .bind(user.as_uuid())
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        commit(tx, with).await
    }

    async fn find_holdings(
        &self,
        tenant: TenantId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<MemberHoldings>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let found = sqlx::query(
            "SELECT m.tenant_id, m.user_id, m.role, m.status,
                 EXISTS (SELECT FROM tenancy.memberships AS o WHERE o.tenant_id = m.tenant_id
                     AND o.user_id <> m.user_id AND o.role = 'owner' AND o.status = 'active') AS others_own
             FROM tenancy.memberships AS m WHERE m.tenant_id = $1 AND m.user_id = $2",
        )
        .bind(tenant.as_uuid())
        .bind(user.as_uuid())
        .fetch_optional(&mut *tx)
        .await
        .map_err(refused)?;
        let Some(row) = found else { return Ok(None) };
        let member = rows::membership(&row).map_err(StoreError::unavailable)?;
        let keys = keys::live_of(&mut tx, (tenant, user), at).await?;
        let invited = invitations::open_of(&mut tx, (tenant, user), at).await?;
        let mut holdings = MemberHoldings::new(member)
            .with_keys(keys)
            .with_invitations(invited);
        holdings.others_own = rows::column(&row, "others_own").map_err(StoreError::unavailable)?;
        let roles = sqlx::query(
            "SELECT tenant_id, project_id, user_id, role FROM tenancy.project_memberships
             WHERE tenant_id = $1 AND user_id = $2 ORDER BY project_id",
        )
        .bind(tenant.as_uuid())
        .bind(user.as_uuid())
        .fetch_all(&mut *tx)
        .await;
        holdings.project_roles = read_rows(roles, rows::project_membership)?;
        let offer = open_offer(&mut tx, tenant, at).await?;
        holdings.ownership_offer = offer.filter(|offer| [offer.from, offer.to].contains(&user));
        Ok(Some(holdings))
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

/// Writes a membership where this one was found, and is locked. Who was no member starts afresh.
async fn put(
    tx: &mut PgConnection,
    membership: &Membership,
    found: Option<&Membership>,
    seen: &RoleSeen,
) -> Result<(), StoreError> {
    let (tenant, user) = (membership.tenant, membership.user);
    if found.is_none() {
        lock_roles(tx, tenant, user).await?;
        if join(tx, membership).await? {
            return forget_roles(tx, tenant, user).await;
        }
        // Somebody else has added one meanwhile, which nobody has looked at.
        seen.check(Some(&membership.role))?;
    }
    if update(tx, membership).await? {
        return Ok(());
    }
    // And it is gone again.
    RoleSeen::Role(membership.role.clone()).check(None)
}

/// Changes a membership; `false` if there is none.
async fn update(tx: &mut PgConnection, member: &Membership) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE tenancy.memberships SET role = $3, status = $4
         WHERE tenant_id = $1 AND user_id = $2",
    )
    .bind(member.tenant.as_uuid())
    .bind(member.user.as_uuid())
    .bind(member.role.as_str())
    .bind(member.status.as_str())
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(done.rows_affected() > 0)
}

/// Locks what else goes with a membership, before anything takes the lock of the tenant's generation: who changes one of
/// these rows alone locks it first, and the generation afterwards.
async fn lock_what_goes(
    tx: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<(), StoreError> {
    lock_roles(tx, tenant, user).await?;
    let lock = sqlx::query(
        "SELECT FROM tenancy.impersonations WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL
         ORDER BY id FOR NO KEY UPDATE",
    );
    let lock = lock.bind(tenant.as_uuid()).bind(user.as_uuid());
    lock.execute(tx).await.map_err(refused)?;
    Ok(())
}

/// The same of the user's roles in projects.
async fn lock_roles(
    tx: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<(), StoreError> {
    let lock = sqlx::query(
        "SELECT FROM tenancy.project_memberships WHERE tenant_id = $1 AND user_id = $2
         ORDER BY project_id FOR UPDATE",
    );
    let lock = lock.bind(tenant.as_uuid()).bind(user.as_uuid());
    lock.execute(tx).await.map_err(refused)?;
    Ok(())
}

/// Forgets a user's roles in projects: who leaves has none left, and who joins starts afresh.
pub(in crate::directory) async fn forget_roles(
    tx: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<(), StoreError> {
    let forget = "DELETE FROM tenancy.project_memberships WHERE tenant_id = $1 AND user_id = $2";
    let forget = sqlx::query(forget)
        .bind(tenant.as_uuid())
        .bind(user.as_uuid());
    forget.execute(tx).await.map_err(refused)?;
    Ok(())
}

/// Holds a membership until the transaction ends, so that nobody takes it away; `false` if there is none.
pub(super) async fn hold(
    tx: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<bool, StoreError> {
    let there = sqlx::query(
        "SELECT FROM tenancy.memberships WHERE tenant_id = $1 AND user_id = $2 FOR KEY SHARE",
    );
    let there = there.bind(tenant.as_uuid()).bind(user.as_uuid());
    let there = there.fetch_optional(tx).await.map_err(refused)?;
    Ok(there.is_some())
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

/// A membership, locked until the transaction ends, so that nobody else changes it.
async fn locked(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<Membership>, StoreError> {
    let row = sqlx::query(
        "SELECT tenant_id, user_id, role, status FROM tenancy.memberships
         WHERE tenant_id = $1 AND user_id = $2 FOR NO KEY UPDATE",
    )
    .bind(tenant.as_uuid())
    .bind(user.as_uuid())
    .fetch_optional(connection)
    .await
    .map_err(refused)?;
    let read = row.as_ref().map(rows::membership).transpose();
    read.map_err(StoreError::unavailable)
}

/// A membership that is to go, and that of whoever gets its user's keys: whoever adds a key of theirs has ended, or
/// waits. In one order, so that two members who go and are each other's heirs do not wait in a circle.
async fn locked_for_removal(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    heir: Option<UserId>,
) -> Result<Vec<Membership>, StoreError> {
    let rows = sqlx::query(
        "SELECT tenant_id, user_id, role, status FROM tenancy.memberships
         WHERE tenant_id = $1 AND user_id IN ($2, $3) ORDER BY user_id FOR UPDATE",
    )
    .bind(tenant.as_uuid())
    .bind(user.as_uuid())
    .bind(heir.unwrap_or(user).as_uuid())
    .fetch_all(connection)
    .await;
    read_rows(rows, rows::membership)
}

/// Gives keys of a user, which are locked, to a new holder.
async fn hand_over(
    tx: &mut Writing,
    (tenant, user): (TenantId, UserId),
    handover: &KeyHandover,
) -> Result<(), StoreError> {
    for one in &handover.keys {
        let mut key = keys::locked(tx, tenant, one.key).await?;
        if key.creator != user || key.scopes != one.had {
            return Err(StoreError::handed_key_changed());
        }
        if key.revoked_at.is_none() {
            key.hand_over(handover.to, &one.gets);
            keys::hand_over(tx, &key).await?;
        }
    }
    Ok(())
}
