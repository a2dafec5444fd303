//! The audit trail, listed: a tenant's with the login of the service, under row security, and everybody's
//! with the system login.

use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{AssertSqlSafe, postgres::PgRow, types::Uuid};
use tenancy_core::{
    Actor, AuditDirectory, AuditEntry, AuditFilter, AuditTarget, DirectoryError, Outcome,
    StoreError, TenantId, Timestamp, UserId,
};

use super::{
    PgDirectory,
    rows::{column, text},
    write::read_rows,
};

#[async_trait]
impl AuditDirectory for PgDirectory {
    async fn list_entries(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut reading = match tenant {
            Some(tenant) => self
                .read_as(tenant)
                .await
                .map_err(StoreError::unavailable)?,
            None => self.list_all().await?,
        };
        let whose = match tenant {
            Some(_) => "tenant_id = $1",
            None => "$1::uuid IS NULL",
        };
        let list = format!(
            "SELECT id, (extract(epoch FROM at) * 1000000)::bigint AS at, tenant_id, actor_kind, actor_id,
                 on_behalf_of, credential, action, outcome, reason, targets, details, host(ip) AS ip,
                 user_agent, request_id, suppressed
             FROM tenancy.audit_trail
             WHERE {whose} AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR action = $3)
                 AND ($4::text IS NULL OR (actor_kind = $4 AND actor_id IS NOT DISTINCT FROM $5))
                 AND ($10::text IS NULL OR credential = $10)
                 AND ($6::text IS NULL OR outcome = $6)
                 AND ($7::bigint IS NULL OR at >= to_timestamp($7::float8 / 1000000))
                 AND ($8::bigint IS NULL OR at < to_timestamp($8::float8 / 1000000))
             ORDER BY id DESC LIMIT $9"
        );
        // A job has a name and no id.
        let job = match &filter.actor {
            Some(job @ Actor::Job(_)) => Some(job.to_string()),
            _ => None,
        };
        let rows = sqlx::query(AssertSqlSafe(list))
            .bind(tenant.map(|tenant| tenant.as_uuid()))
            .bind(after)
            .bind(filter.action.as_deref())
            .bind(filter.actor.as_ref().map(Actor::kind))
            .bind(filter.actor.as_ref().and_then(Actor::id))
            .bind(filter.outcome.map(Outcome::as_str))
            .bind(filter.from.map(Timestamp::as_unix_micros))
            .bind(filter.until.map(Timestamp::as_unix_micros))
            .bind(i64::from(limit))
            .bind(job)
            .fetch_all(&mut *reading)
            .await;
        read_rows(rows, entry)
    }
}

/// Targets as they are stored. Other JSON may have been written by the application in its own SQL, and is told
/// as a text.
fn targets(stored: &Value) -> Vec<AuditTarget> {
    let stored = stored.as_array().into_iter().flatten();
    let target = |one: &Value| {
        let part = |name| one.get(name).and_then(Value::as_str).map(str::to_owned);
        match (part("type"), part("id")) {
            (Some(kind), Some(id)) => AuditTarget::new(kind, id),
            _ => AuditTarget::new("text", one),
        }
    };
    stored.map(target).collect()
}

fn entry(row: &PgRow) -> Result<AuditEntry, DirectoryError> {
    let stored = text(row, "outcome")?;
    let outcome = Outcome::from_stored(&stored)
        .ok_or_else(|| DirectoryError::new(format!("`{stored}` is not an outcome")))?;
    let at = Timestamp::from_unix_micros(column(row, "at")?);
    let mut entry = AuditEntry::new(at, text(row, "action")?, outcome);
    entry.id = column(row, "id")?;
    entry.tenant = column::<Option<Uuid>>(row, "tenant_id")?.map(TenantId::from_uuid);
    entry.on_behalf_of = column::<Option<Uuid>>(row, "on_behalf_of")?.map(UserId::from_uuid);
    entry.credential = column(row, "credential")?;
    let kind = text(row, "actor_kind")?;
    entry.actor = match (&*kind, &entry.credential) {
        // A job has a name and no id.
        ("job", Some(credential)) => {
            let name = credential.strip_prefix("job:").unwrap_or_default();
            name.parse().ok().map(Actor::Job)
        }
        _ => Actor::from_stored(&kind, column(row, "actor_id")?),
    };
    entry.reason = column::<Option<String>>(row, "reason")?.map(Into::into);
    entry.targets = targets(&column::<Value>(row, "targets")?);
    entry.details = column(row, "details")?;
    let ip = column::<Option<String>>(row, "ip")?.map(|ip| ip.parse::<IpAddr>());
    entry.ip = ip.transpose().map_err(DirectoryError::new)?;
    entry.user_agent = column(row, "user_agent")?;
    entry.request_id = column(row, "request_id")?;
    entry.suppressed = u64::try_from(column::<i64>(row, "suppressed")?).unwrap_or(0);
    Ok(entry)
}
