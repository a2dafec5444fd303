//! Invitations: written by the logins that write memberships, each change under the lock of its tenant's record.

mod rows;

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, types::Uuid};
use tenancy_core::{
    ChangeRecord, DirectoryError, InvitationId, MemberHoldings, Membership, OperatorId,
    OperatorRight, ServiceId, StoreError, StoreErrorKind, TenantId, Timestamp, UserId,
    invitation::{
        Acceptance, Accepted, Invitation, InvitationBatch, InvitationChange, InvitationFilter,
        InvitationState, InvitationStore, Invited, Inviter, SeatDirectory, SeatLimit, Seated,
    },
    key::KeyState,
};

use self::rows::{By, INVITATION, invitation, projects};
use super::{
    PgDirectory,
    impersonations::has_right,
    keys,
    write::{commit, forget_roles, join, locked_tenant, read_rows, refused},
};

#[async_trait]
impl InvitationStore for PgDirectory {
    async fn add_invitations(
        &self,
        batch: &InvitationBatch,
        seats: Option<SeatLimit>,
    ) -> Result<Vec<Invited>, StoreError> {
        let mut tx = self.write_as(batch.tenant).await?;
        let by: Vec<_> = batch.invitations.iter().map(|one| &one.inviter).collect();
        self.may_still_invite(&mut tx, &by).await?;
        locked_tenant(&mut tx, batch.tenant).await?;
        let mut invited = open_addresses(&mut tx, batch).await?;
        let mut taken = match seats {
            Some(seats) => seats_taken(&mut tx, batch.tenant, seats.at).await?,
            None => 0,
        };
        let outcomes: Vec<_> = (batch.invitations.iter())
            .map(|one| {
                if invited.contains(one.email.as_str()) {
                    return Invited::AlreadyInvited;
                }
                if seats.is_some_and(|seats| seats.room(taken) == 0) {
                    return Invited::NoSeat { taken };
                }
                taken = taken.saturating_add(1);
                invited.insert(one.email.to_string());
                Invited::Added
            })
            .collect();
        let Some(record) = batch.record_of(&outcomes) else {
            return Ok(outcomes);
        };
        let added = batch.invitations.iter().zip(&outcomes);
        let added: Vec<_> = added
            .filter(|(_, outcome)| **outcome == Invited::Added)
            .map(|(one, _)| one)
            .collect();
        sweep(&mut tx, batch.tenant).await?;
        insert(&mut tx, &added).await?;
        commit(tx, &record).await?;
        Ok(outcomes)
    }

    async fn find_invitation(&self, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
        let mut tx = self.list_across().await?;
        let one = format!("SELECT {INVITATION} FROM tenancy.find_invitation($1) AS i");
        let found = sqlx::query(AssertSqlSafe(one))
            .bind(id.as_uuid())
            .fetch_all(&mut *tx)
            .await;
        Ok(read_rows(found, invitation)?.pop())
    }

    async fn change_invitation(
        &self,
        as_read: &Invitation,
        change: &InvitationChange,
        seats: Option<SeatLimit>,
        record: &ChangeRecord,
    ) -> Result<Option<Seated>, StoreError> {
        let mut tx = self.write_as(as_read.tenant).await?;
        let changed = change.of(as_read.clone());
        if changed.inviter != as_read.inviter {
            self.may_still_invite(&mut tx, &[&changed.inviter]).await?;
        }
        locked_tenant(&mut tx, as_read.tenant).await?;
        if !is_open_as_read(&mut tx, as_read).await? {
            return Ok(None);
        }
        if let (InvitationChange::Resend { at, .. }, Some(seats)) = (change, seats)
            && as_read.state_at(*at) == InvitationState::Expired
        {
            let taken = seats_taken(&mut tx, as_read.tenant, seats.at).await?;
            if seats.room(taken) == 0 {
                return Ok(Some(Seated::Full { taken }));
            }
        }
        update(&mut tx, &changed).await?;
        commit(tx, record).await?;
        Ok(Some(Seated::Done))
    }

    async fn accept_invitation(
        &self,
        acceptance: &Acceptance,
        record: &ChangeRecord,
    ) -> Result<Accepted, StoreError> {
        let (read, user) = (&acceptance.invitation, acceptance.user);
        let tenant = read.tenant;
        let mut tx = self.write_as(tenant).await?;
        // In the order of all changes: a member first, and then the tenant. Who removes the inviter at this moment would
        // otherwise wait for this, and this for them.
        let vouched = match &acceptance.inviter {
            Some(inviter) => holds_still(&mut tx, inviter).await?,
            None => true,
        };
        if !locked_tenant(&mut tx, tenant).await?.status.is_served() {
            return Ok(Accepted::NotServed);
        }
        if !is_open_as_read(&mut tx, read).await? || read.expires_at <= acceptance.at {
            return Ok(Accepted::Gone);
        }
        if is_member(&mut tx, tenant, user).await? {
            return Ok(Accepted::AlreadyMember);
        }
        if !vouched || !is_key_usable(&mut tx, acceptance).await? {
            return Ok(Accepted::InviterChanged);
        }
        // Past the lock nobody else changes it. The state is asked for all the same: a row is spent once. Of clocks that
        // differ the earliest end counts, that of this server as well.
        let spent = sqlx::query(
            "UPDATE tenancy.invitations SET state = 'accepted', accepted_by = $3
             WHERE tenant_id = $1 AND id = $2 AND state = 'pending' AND digest = $4
                 AND expires_at > statement_timestamp()",
        );
        let spent = spent
            .bind(tenant.as_uuid())
            .bind(read.id.as_uuid())
            .bind(user.as_uuid())
            .bind(read.digest.as_bytes().as_slice());
        let spent = spent.execute(&mut *tx).await.map_err(refused)?;
        if spent.rows_affected() == 0 {
            return Ok(Accepted::Gone);
        }
        // A membership may have been added past the lock, by a change that counts no seats.
        let member = Membership::new(tenant, user, read.role.clone());
        forget_roles(&mut tx, tenant, user).await?;
        give_projects(&mut tx, read, user).await?;
        if !join(&mut tx, &member).await? {
            return Ok(Accepted::AlreadyMember);
        }
        commit(tx, record).await?;
        Ok(Accepted::Done)
    }

    async fn list_invitations(
        &self,
        tenant: TenantId,
        filter: &InvitationFilter,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        let all = format!(
            "SELECT {INVITATION} FROM tenancy.invitations AS i
             WHERE i.tenant_id = $1 AND ($2::uuid IS NULL OR i.id > $2)
                 AND ($3::uuid IS NULL OR i.inviter = $3)
                 AND ($4::text IS NULL OR $4 = CASE WHEN i.state = 'pending'
                     AND i.expires_at <= to_timestamp($5::float8 / 1000000) THEN 'expired' ELSE i.state END)
             ORDER BY i.id LIMIT $6"
        );
        let rows = sqlx::query(AssertSqlSafe(all))
            .bind(tenant.as_uuid())
            .bind(after.map(|after| after.as_uuid()))
            .bind(filter.inviter.map(|user| user.as_uuid()))
            .bind(filter.state.map(|(state, _)| state.as_str()))
            .bind(filter.state.map(|(_, at)| at.as_unix_micros()))
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await;
        read_rows(rows, invitation)
    }
}

impl PgDirectory {
    /// Refuses operators who may invite nobody any more. Whoever takes the right away waits until the transaction ends, and
    /// takes back what it has written. The registry login reads no operators: for it, what the engine has read counts.
    async fn may_still_invite(
        &self,
        tx: &mut PgConnection,
        by: &[&Inviter],
    ) -> Result<(), StoreError> {
        let mut operators: Vec<_> = by
            .iter()
            .filter_map(|by| match by {
                Inviter::Operator(operator) => Some(*operator),
                _ => None,
            })
            .collect();
        if self.registry.is_some() {
            return Ok(());
        }
        operators.sort_unstable();
        operators.dedup();
        for operator in operators {
            let row = sqlx::query(
                "SELECT roles, disabled FROM tenancy.operators WHERE id = $1 FOR SHARE",
            );
            let row = row.bind(operator.as_uuid()).fetch_optional(&mut *tx).await;
            // One who is kept elsewhere is for that store to know.
            if let Some(row) = row.map_err(refused)? {
                has_right(Some(&row), operator, OperatorRight::ChangeAccess)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SeatDirectory for PgDirectory {
    async fn count_seats(&self, tenant: TenantId, at: Timestamp) -> Result<u64, DirectoryError> {
        let mut reading = self.read_as(tenant).await?;
        let taken: i64 =
            sqlx::query_scalar("SELECT tenancy.seats_taken(to_timestamp($1::float8 / 1000000))")
                .bind(at.as_unix_micros())
                .fetch_one(&mut *reading)
                .await
                .map_err(DirectoryError::new)?;
        Ok(u64::try_from(taken).unwrap_or(0))
    }
}

/// The seats of a tenant that are taken, in a transaction that has locked its record.
pub(super) async fn seats_taken(
    tx: &mut PgConnection,
    tenant: TenantId,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let taken: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM tenancy.memberships WHERE tenant_id = $1)
             + (SELECT count(*) FROM tenancy.invitations WHERE tenant_id = $1 AND state = 'pending'
                 AND expires_at > to_timestamp($2::float8 / 1000000))",
    )
    .bind(tenant.as_uuid())
    .bind(at.as_unix_micros())
    .fetch_one(tx)
    .await
    .map_err(refused)?;
    Ok(u64::try_from(taken).unwrap_or(0))
}

/// Whether a user is a member, of whatever status.
pub(super) async fn is_member(
    tx: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<bool, StoreError> {
    let found =
        sqlx::query("SELECT FROM tenancy.memberships WHERE tenant_id = $1 AND user_id = $2")
            .bind(tenant.as_uuid())
            .bind(user.as_uuid())
            .fetch_optional(tx)
            .await
            .map_err(refused)?;
    Ok(found.is_some())
}

/// Whether a membership is still what was read; if so, it stays so until the transaction ends.
async fn holds_still(tx: &mut PgConnection, read: &Membership) -> Result<bool, StoreError> {
    let same = sqlx::query(
        "SELECT FROM tenancy.memberships
         WHERE tenant_id = $1 AND user_id = $2 AND role = $3 AND status = $4 FOR SHARE",
    );
    let same = same
        .bind(read.tenant.as_uuid())
        .bind(read.user.as_uuid())
        .bind(read.role.as_str())
        .bind(read.status.as_str());
    let same = same.fetch_optional(tx).await.map_err(refused)?;
    Ok(same.is_some())
}

/// The open invitations that a member answers for, by id: as many as are listed, and one more.
pub(super) async fn open_of(
    tx: &mut PgConnection,
    (tenant, inviter): (TenantId, UserId),
    at: Timestamp,
) -> Result<Vec<Invitation>, StoreError> {
    let open = format!(
        "SELECT {INVITATION} FROM tenancy.invitations AS i
         WHERE i.tenant_id = $1 AND i.inviter = $2 AND i.state = 'pending'
             AND i.expires_at > timestamptz 'epoch' + $3 * interval '1 microsecond'
         ORDER BY i.id LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(open))
        .bind(tenant.as_uuid())
        .bind(inviter.as_uuid())
        .bind(at.as_unix_micros())
        .bind(i64::from(MemberHoldings::MAX_INVITATIONS) + 1)
        .fetch_all(tx)
        .await;
    read_rows(rows, invitation)
}

/// Takes back the open invitations that a member answers for.
pub(super) async fn revoke_of(
    tx: &mut PgConnection,
    (tenant, inviter): (TenantId, UserId),
) -> Result<(), StoreError> {
    let revoke = sqlx::query(
        "UPDATE tenancy.invitations SET state = 'revoked'
         WHERE tenant_id = $1 AND inviter = $2 AND state = 'pending'",
    );
    let revoke = revoke.bind(tenant.as_uuid()).bind(inviter.as_uuid());
    revoke.execute(tx).await.map_err(refused)?;
    Ok(())
}

/// Takes back the open invitations that an operator answers for, in whichever tenant.
pub(super) async fn revoke_of_operator(
    tx: &mut PgConnection,
    operator: OperatorId,
) -> Result<(), StoreError> {
    let revoke = sqlx::query(
        "UPDATE tenancy.invitations SET state = 'revoked' WHERE inviter_operator = $1 AND state = 'pending'
             AND inviter IS NULL AND inviter_account IS NULL",
    );
    let revoke = revoke.bind(operator.as_uuid());
    revoke.execute(tx).await.map_err(refused)?;
    Ok(())
}

/// Takes back the open invitations that a service account answers for, in whichever tenant.
pub(super) async fn revoke_of_account(
    tx: &mut PgConnection,
    account: ServiceId,
) -> Result<(), StoreError> {
    let revoke = sqlx::query(
        "UPDATE tenancy.invitations SET state = 'revoked' WHERE inviter_account = $1 AND state = 'pending'",
    );
    let revoke = revoke.bind(account.as_uuid());
    revoke.execute(tx).await.map_err(refused)?;
    Ok(())
}

/// Whether the key by which somebody was invited, if it was one, can be used; it stays so until the transaction ends.
async fn is_key_usable(tx: &mut PgConnection, of: &Acceptance) -> Result<bool, StoreError> {
    let Some(key) = of.key else { return Ok(true) };
    let inviter = of.inviter.as_ref().map(|inviter| inviter.user);
    match keys::locked(tx, of.invitation.tenant, key).await {
        Ok(key) => Ok(key.state_at(of.at) == KeyState::Active && Some(key.creator) == inviter),
        Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes some of a tenant's invitations that have been over for long, by this server's clock.
async fn sweep(tx: &mut PgConnection, tenant: TenantId) -> Result<(), StoreError> {
    let sweep = sqlx::query(
        "DELETE FROM tenancy.invitations WHERE tenant_id = $1 AND id IN (
             SELECT o.id FROM tenancy.invitations AS o
             WHERE o.tenant_id = $1 AND o.expires_at < statement_timestamp() - make_interval(secs => $2)
             ORDER BY o.expires_at LIMIT 100)",
    );
    let sweep = sweep
        .bind(tenant.as_uuid())
        .bind(Invitation::KEPT_FOR.as_secs_f64());
    sweep.execute(tx).await.map_err(refused)?;
    Ok(())
}

/// The addresses of a batch that have an open invitation. Those that have expired make room.
async fn open_addresses(
    tx: &mut PgConnection,
    batch: &InvitationBatch,
) -> Result<HashSet<String>, StoreError> {
    let emails: Vec<_> = (batch.invitations.iter())
        .map(|one| one.email.to_string())
        .collect();
    let expire = sqlx::query(
        "UPDATE tenancy.invitations SET state = 'expired'
         WHERE tenant_id = $1 AND state = 'pending' AND email = ANY ($2)
             AND expires_at <= to_timestamp($3::float8 / 1000000)",
    );
    expire
        .bind(batch.tenant.as_uuid())
        .bind(&emails)
        .bind(batch.at.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
    let open = sqlx::query(
        "SELECT email FROM tenancy.invitations
         WHERE tenant_id = $1 AND state = 'pending' AND email = ANY ($2)",
    );
    let open = open
        .bind(batch.tenant.as_uuid())
        .bind(&emails)
        .fetch_all(&mut *tx)
        .await
        .map_err(refused)?;
    let each = open.iter().map(|row| row.try_get("email"));
    each.collect::<Result<_, _>>().map_err(refused)
}

/// Adds all of them by one statement.
async fn insert(tx: &mut PgConnection, added: &[&Invitation]) -> Result<(), StoreError> {
    let micros = |of: fn(&Invitation) -> Timestamp| -> Vec<i64> {
        added.iter().map(|one| of(one).as_unix_micros()).collect()
    };
    let texts = |of: fn(&Invitation) -> String| -> Vec<String> {
        added.iter().map(|one| of(one)).collect()
    };
    let by = added.iter().map(|one| rows::inviter(one));
    let by = by.collect::<Result<Vec<_>, _>>()?;
    let uuids = |of: fn(&By<'_>) -> Option<Uuid>| by.iter().map(of).collect::<Vec<_>>();
    let permissions: Vec<_> = by.iter().map(|one| one.permission).collect();
    let digests: Vec<Vec<u8>> = (added.iter())
        .map(|one| one.digest.as_bytes().to_vec())
        .collect();
    let versions: Vec<i64> = (added.iter())
        .map(|one| one.digest.version().into())
        .collect();
    let tenants: Vec<Uuid> = added.iter().map(|one| one.tenant.as_uuid()).collect();
    let ids: Vec<Uuid> = added.iter().map(|one| one.id.as_uuid()).collect();
    let projects: Vec<serde_json::Value> = added.iter().map(|one| projects(one)).collect();
    sqlx::query(
        "INSERT INTO tenancy.invitations (tenant_id, id, email, role, projects, inviter, permission, state,
             created_at, sent_at, expires_at, rotation, digest, digest_version, inviter_key, inviter_account,
             inviter_operator)
         SELECT n.tenant_id, n.id, n.email, n.role, n.projects, n.inviter, n.permission, 'pending',
             to_timestamp(n.created_at::float8 / 1000000), to_timestamp(n.created_at::float8 / 1000000),
             to_timestamp(n.expires_at::float8 / 1000000), 0, n.digest, n.digest_version, n.inviter_key,
             n.inviter_account, n.inviter_operator
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::uuid[], $7::text[],
             $8::bigint[], $9::bigint[], $10::bytea[], $11::bigint[], $12::uuid[], $13::uuid[], $14::uuid[])
             AS n (tenant_id, id, email, role, projects, inviter, permission, created_at, expires_at, digest,
                 digest_version, inviter_key, inviter_account, inviter_operator)",
    )
    .bind(tenants)
    .bind(ids)
    .bind(texts(|one| one.email.to_string()))
    .bind(texts(|one| one.role.to_string()))
    .bind(projects)
    .bind(uuids(|one| one.user))
    .bind(permissions)
    .bind(micros(|one| one.created_at))
    .bind(micros(|one| one.expires_at))
    .bind(digests)
    .bind(versions)
    .bind(uuids(|one| one.key))
    .bind(uuids(|one| one.account))
    .bind(uuids(|one| one.operator))
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Whether an invitation is open, and as it was read.
async fn is_open_as_read(tx: &mut PgConnection, as_read: &Invitation) -> Result<bool, StoreError> {
    let one = format!(
        "SELECT {INVITATION} FROM tenancy.invitations AS i
         WHERE i.tenant_id = $1 AND i.id = $2 AND i.state = 'pending' FOR NO KEY UPDATE"
    );
    let found = sqlx::query(AssertSqlSafe(one))
        .bind(as_read.tenant.as_uuid())
        .bind(as_read.id.as_uuid())
        .fetch_all(tx)
        .await;
    Ok(read_rows(found, invitation)?.pop().as_ref() == Some(as_read))
}

async fn update(tx: &mut PgConnection, to: &Invitation) -> Result<(), StoreError> {
    let by = rows::inviter(to)?;
    sqlx::query(
        "UPDATE tenancy.invitations SET role = $3, projects = $4, inviter = $5, permission = $6, state = $7,
             sent_at = to_timestamp($8::float8 / 1000000), expires_at = to_timestamp($9::float8 / 1000000),
             rotation = $10, digest = $11, digest_version = $12, inviter_key = $13, inviter_account = $14,
             inviter_operator = $15
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(to.tenant.as_uuid())
    .bind(to.id.as_uuid())
    .bind(to.role.as_str())
    .bind(projects(to))
    .bind(by.user)
    .bind(by.permission)
    .bind(to.state.as_str())
    .bind(to.sent_at.as_unix_micros())
    .bind(to.expires_at.as_unix_micros())
    .bind(i64::from(to.rotation))
    .bind(to.digest.as_bytes().as_slice())
    .bind(i64::from(to.digest.version()))
    .bind(by.key)
    .bind(by.account)
    .bind(by.operator)
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Gives the roles in projects that are still there.
async fn give_projects(
    tx: &mut PgConnection,
    of: &Invitation,
    user: UserId,
) -> Result<(), StoreError> {
    if of.projects.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO tenancy.project_memberships (tenant_id, project_id, user_id, role)
         SELECT p.tenant_id, p.id, $2, n.role
         FROM jsonb_to_recordset($3) AS n (project uuid, role text)
             JOIN tenancy.projects AS p ON p.tenant_id = $1 AND p.id = n.project
         ON CONFLICT (tenant_id, project_id, user_id) DO UPDATE SET role = EXCLUDED.role",
    )
    .bind(of.tenant.as_uuid())
    .bind(user.as_uuid())
    .bind(projects(of))
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(())
}
