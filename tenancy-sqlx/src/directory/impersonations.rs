//! Impersonations and tenants' consent: begun by the system login, found through functions by the login of the service,
//! ended and listed by those that write.

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Uuid};
use tenancy_core::{
    ChangeRecord, DirectoryError, Impersonation, ImpersonationDigest, ImpersonationId,
    ImpersonationLookup, ImpersonationState, ImpersonationStore, MembershipStatus, OperatorId,
    OperatorRight, OperatorRole, StartTerms, StoreError, StoreErrorKind, TenantId, Timestamp,
    UserId,
};

use super::{
    PgDirectory,
    rows::{column, text},
    write::{Writing, commit, commit_removal, read_rows, refused, unknown},
};

/// The columns of an impersonation, with times in microseconds.
const COLUMNS: &str = "id, operator_id, tenant_id, user_id, reason, ticket,
    (extract(epoch FROM started_at) * 1000000)::bigint AS started_at,
    (extract(epoch FROM until) * 1000000)::bigint AS until, needs_approval, approved_by,
    (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_at";

#[async_trait]
impl ImpersonationStore for PgDirectory {
    async fn start_impersonation(
        &self,
        one: &Impersonation,
        digest: &ImpersonationDigest,
        terms: StartTerms,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        require_tenant(&mut tx, one.tenant).await?;
        // Whoever removes the member or takes the consent back has ended, or waits and then ends this one.
        require_member(&mut tx, (one.tenant, one.user)).await?;
        let agreed = match terms.needs_consent {
            true => Some(consent(&mut tx, one).await?),
            false => None,
        };
        // Who begins another one meanwhile waits for this lock, and then counts this one.
        let operator = sqlx::query(
            "SELECT roles, disabled FROM tenancy.operators WHERE id = $1 FOR NO KEY UPDATE",
        )
        .bind(one.operator.as_uuid())
        .fetch_optional(&mut *tx)
        .await
        .map_err(refused)?;
        has_right(operator.as_ref(), one.operator, OperatorRight::Impersonate)?;
        let going_on = sqlx::query(
            "SELECT count(*) AS everywhere,
                 count(*) FILTER (WHERE tenant_id = $2 AND user_id = $3) AS same
             FROM tenancy.impersonations WHERE operator_id = $1 AND ended_at IS NULL
                 AND until > to_timestamp($4::float8 / 1000000)",
        )
        .bind(one.operator.as_uuid())
        .bind(one.tenant.as_uuid())
        .bind(one.user.as_uuid())
        .bind(one.started_at.as_unix_micros())
        .fetch_one(&mut *tx)
        .await
        .map_err(refused)?;
        let count = |name| column::<i64>(&going_on, name).map_err(StoreError::unavailable);
        let conflict = |message| Err(StoreError::new(StoreErrorKind::Conflict, message));
        if count("same")? > 0 {
            return conflict("the operator acts as this user already; end that first");
        }
        if count("everywhere")? >= i64::from(terms.at_once) {
            return conflict("the operator acts as as many users as it may; end one first");
        }
        let length = one.until.since(one.started_at);
        sqlx::query(
            "INSERT INTO tenancy.impersonations (tenant_id, id, operator_id, user_id, digest, reason, ticket,
                 started_at, until, ends_at, needs_approval)
             VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8::float8 / 1000000),
                 to_timestamp($9::float8 / 1000000),
                 least(statement_timestamp() + make_interval(secs => $10),
                     to_timestamp($12::float8 / 1000000)), $11)",
        )
        .bind(one.tenant.as_uuid())
        .bind(one.id.as_uuid())
        .bind(one.operator.as_uuid())
        .bind(one.user.as_uuid())
        .bind(digest.as_bytes().as_slice())
        .bind(&one.reason)
        .bind(&one.ticket)
        .bind(one.started_at.as_unix_micros())
        .bind(one.until.as_unix_micros())
        .bind(length.as_secs_f64())
        .bind(one.needs_approval)
        .bind(agreed.map(Timestamp::as_unix_micros))
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx, with).await
    }

    async fn approve_impersonation(
        &self,
        (tenant, id): (TenantId, ImpersonationId),
        by: OperatorId,
        now: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Impersonation, StoreError> {
        let mut tx = self.write().await?;
        let approver =
            sqlx::query("SELECT roles, disabled FROM tenancy.operators WHERE id = $1 FOR SHARE")
                .bind(by.as_uuid())
                .fetch_optional(&mut *tx)
                .await
                .map_err(refused)?;
        has_right(approver.as_ref(), by, OperatorRight::ApproveImpersonations)?;
        let lock = format!(
            "SELECT {COLUMNS} FROM tenancy.impersonations WHERE tenant_id = $1 AND id = $2
             FOR NO KEY UPDATE"
        );
        let found = sqlx::query(sqlx::AssertSqlSafe(lock))
            .bind(tenant.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?;
        let found = found.as_ref().map(impersonation).transpose();
        let Some(mut found) = found.map_err(StoreError::unavailable)? else {
            return Err(unknown_here(id));
        };
        // As `Operator::is_same_person`: of two records, or of one.
        let is_same: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM tenancy.operators AS a JOIN tenancy.operators AS b ON b.id = $2
                 WHERE a.id = $1 AND (a.subject IN (b.subject, b.user_id) OR a.user_id IN (b.subject, b.user_id)))",
        )
        .bind(by.as_uuid())
        .bind(found.operator.as_uuid())
        .fetch_one(&mut *tx)
        .await
        .map_err(refused)?;
        if is_same || found.operator == by {
            return Err(StoreError::own_approval());
        }
        if found.state(now) != ImpersonationState::Waiting {
            let message = "the impersonation does not wait for anybody";
            return Err(StoreError::new(StoreErrorKind::Conflict, message));
        }
        sqlx::query(
            "UPDATE tenancy.impersonations SET approved_by = $3 WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .bind(by.as_uuid())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        found.approved_by = Some(by);
        commit(tx, with).await?;
        Ok(found)
    }

    async fn end_impersonation(
        &self,
        tenant: TenantId,
        id: ImpersonationId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let done = sqlx::query(
            "UPDATE tenancy.impersonations SET ended_at = to_timestamp($3::float8 / 1000000)
             WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL",
        )
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .bind(at.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        if done.rows_affected() == 0 {
            let there = sqlx::query(
                "SELECT id FROM tenancy.impersonations WHERE tenant_id = $1 AND id = $2",
            )
            .bind(tenant.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?;
            if there.is_none() {
                return Err(unknown_here(id));
            }
        }
        commit(tx, with).await
    }

    async fn find_impersonation(
        &self,
        by: &ImpersonationLookup,
    ) -> Result<Option<Impersonation>, DirectoryError> {
        let (digest, id) = match by {
            ImpersonationLookup::Token(digest) => (Some(digest.as_bytes().as_slice()), None),
            ImpersonationLookup::Id(id) => (None, Some(id.as_uuid())),
        };
        let mut reading = self.read_as_nobody(&self.app).await?;
        let found = sqlx::query("SELECT * FROM tenancy.find_impersonation($1, $2)")
            .bind(digest)
            .bind(id)
            .fetch_optional(&mut *reading)
            .await;
        let found = found.map_err(DirectoryError::new)?;
        found.as_ref().map(impersonation).transpose()
    }

    async fn list_impersonations(
        &self,
        tenant: Option<TenantId>,
        after: Option<ImpersonationId>,
        limit: u32,
    ) -> Result<Vec<Impersonation>, StoreError> {
        let mut tx = match tenant {
            Some(tenant) => self.list_as(tenant).await?,
            None => self.list_all().await?,
        };
        let list = format!(
            "SELECT {COLUMNS} FROM tenancy.impersonations
             WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR id > $2)
             ORDER BY id LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(list))
            .bind(tenant.map(|tenant| tenant.as_uuid()))
            .bind(after.map(|after| after.as_uuid()))
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await;
        read_rows(rows, impersonation)
    }

    async fn grant_support_access(
        &self,
        tenant: TenantId,
        until: Timestamp,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        require_tenant(&mut tx, tenant).await?;
        sqlx::query(
            "INSERT INTO tenancy.support_access (tenant_id, until)
             VALUES ($1, to_timestamp($2::float8 / 1000000))
             ON CONFLICT (tenant_id) DO UPDATE SET until = EXCLUDED.until",
        )
        .bind(tenant.as_uuid())
        .bind(until.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx, with).await
    }

    async fn revoke_support_access(
        &self,
        tenant: TenantId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(tenant).await?;
        // The consent first: whoever begins by it holds it, and is seen by the statement after.
        let done = sqlx::query("DELETE FROM tenancy.support_access WHERE tenant_id = $1")
            .bind(tenant.as_uuid())
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        sqlx::query(
            "UPDATE tenancy.impersonations SET ended_at = to_timestamp($2::float8 / 1000000)
             WHERE tenant_id = $1 AND ended_at IS NULL AND ends_at > statement_timestamp()",
        )
        .bind(tenant.as_uuid())
        .bind(at.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit_removal(tenant, &done, tx, with).await
    }

    async fn find_support_access(
        &self,
        tenant: TenantId,
    ) -> Result<Option<Timestamp>, DirectoryError> {
        let mut reading = self.read_as(tenant).await?;
        let found = sqlx::query("SELECT tenancy.find_support_access() AS until")
            .fetch_one(&mut *reading)
            .await
            .map_err(DirectoryError::new)?;
        let until: Option<i64> = found.try_get("until").map_err(DirectoryError::new)?;
        Ok(until.map(Timestamp::from_unix_micros))
    }
}

async fn require_tenant(tx: &mut Writing, tenant: TenantId) -> Result<(), StoreError> {
    let there = sqlx::query("SELECT FROM tenancy.tenants WHERE id = $1")
        .bind(tenant.as_uuid())
        .fetch_optional(&mut **tx)
        .await
        .map_err(refused)?;
    there.map(|_| ()).ok_or_else(|| unknown(tenant))
}

/// Whether the user is an active member, and stays one until the transaction ends.
async fn require_member(
    tx: &mut Writing,
    (tenant, user): (TenantId, UserId),
) -> Result<(), StoreError> {
    let active = sqlx::query(
        "SELECT FROM tenancy.memberships WHERE tenant_id = $1 AND user_id = $2 AND status = $3 FOR SHARE",
    );
    let active = active
        .bind(tenant.as_uuid())
        .bind(user.as_uuid())
        .bind(MembershipStatus::Active.as_str());
    let active = active.fetch_optional(&mut **tx).await.map_err(refused)?;
    active.map(|_| ()).ok_or_else(StoreError::nobody_to_become)
}

/// Until when the tenant agrees, if that is long enough and not over by this server's clock; it stays so until the
/// transaction ends.
async fn consent(tx: &mut Writing, one: &Impersonation) -> Result<Timestamp, StoreError> {
    let agreed = sqlx::query(
        "SELECT (extract(epoch FROM until) * 1000000)::bigint AS until FROM tenancy.support_access
         WHERE tenant_id = $1 AND until > statement_timestamp() FOR SHARE",
    );
    let agreed = agreed.bind(one.tenant.as_uuid());
    let agreed = agreed.fetch_optional(&mut **tx).await.map_err(refused)?;
    let until = agreed.map(|row| column(&row, "until").map(Timestamp::from_unix_micros));
    let until = until.transpose().map_err(StoreError::unavailable)?;
    let long_enough = until.filter(|until| *until >= one.until);
    long_enough.ok_or_else(StoreError::no_consent)
}

/// Whether the operator of this row has a right.
/// Whether a record of an operator, with its roles and whether it is disabled, has a right.
pub(super) fn has_right(
    row: Option<&PgRow>,
    id: OperatorId,
    right: OperatorRight,
) -> Result<(), StoreError> {
    let row = row.ok_or_else(|| StoreError::no_operator(id))?;
    let roles: Vec<String> = column(row, "roles").map_err(StoreError::unavailable)?;
    let disabled: bool = column(row, "disabled").map_err(StoreError::unavailable)?;
    let mut roles = roles
        .iter()
        .filter_map(|role| OperatorRole::from_stored(role));
    if disabled || !roles.any(|role| role.may(right)) {
        return Err(StoreError::operator_lacks(right));
    }
    Ok(())
}

fn unknown_here(id: ImpersonationId) -> StoreError {
    let message = format!("the tenant has no impersonation `{id}`");
    StoreError::new(StoreErrorKind::NotFound, message)
}

fn impersonation(row: &PgRow) -> Result<Impersonation, DirectoryError> {
    let moment = |name| column(row, name).map(Timestamp::from_unix_micros);
    let whose = (
        TenantId::from_uuid(column(row, "tenant_id")?),
        UserId::from_uuid(column(row, "user_id")?),
    );
    let operator = OperatorId::from_uuid(column(row, "operator_id")?);
    let time = (moment("started_at")?, moment("until")?);
    let mut found = Impersonation::new(operator, whose, text(row, "reason")?, time);
    found.id = ImpersonationId::from_uuid(column(row, "id")?);
    found.ticket = column(row, "ticket")?;
    found.needs_approval = column(row, "needs_approval")?;
    found.approved_by = column::<Option<Uuid>>(row, "approved_by")?.map(OperatorId::from_uuid);
    let ended: Option<i64> = column(row, "ended_at")?;
    found.ended_at = ended.map(Timestamp::from_unix_micros);
    Ok(found)
}

/// Ends what operators do as a user who goes.
pub(super) async fn end_of(
    tx: &mut PgConnection,
    (tenant, user): (TenantId, UserId),
    at: Timestamp,
) -> Result<(), StoreError> {
    let end = sqlx::query(
        "UPDATE tenancy.impersonations SET ended_at = to_timestamp($3::float8 / 1000000)
         WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL AND ends_at > statement_timestamp()",
    );
    let end = end
        .bind(tenant.as_uuid())
        .bind(user.as_uuid())
        .bind(at.as_unix_micros());
    end.execute(tx).await.map_err(refused)?;
    Ok(())
}
