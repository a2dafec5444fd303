//! The audit trail, listed: a tenant's with the login of the service, under row security, and everybody's
//! with the system login.

use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe,
    postgres::PgRow,
    types::{Json, Uuid},
};
use tenancy_core::{
    Actor, AuditChange, AuditDirectory, AuditEntry, AuditFilter, AuditTarget, DirectoryError,
    Outcome, ProjectId, StoreError, TenantId, Timestamp, TraceId, UserId,
};

use super::{
    PgDirectory,
    rows::{column, text},
    write::read_rows,
};
use crate::audit::{kept, targets_of};

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
        let rows = sqlx::query(AssertSqlSafe(listing(tenant, filter)))
            .bind(tenant.map(|tenant| tenant.as_uuid()))
            .bind(after)
            .bind(filter.action.as_deref())
            .bind(filter.actor.as_ref().map(Actor::kind))
            .bind(filter.actor.as_ref().and_then(Actor::id))
            .bind(filter.outcome.map(Outcome::as_str))
            .bind(filter.from.map(Timestamp::as_unix_micros))
            .bind(filter.until.map(Timestamp::as_unix_micros))
            .bind(i64::from(limit))
            .bind(job_of(filter))
            .bind(filter.project.map(|project| project.as_uuid()))
            .bind(filter.target.as_ref().map(|target| vec![kept(target)]))
            .bind(filter.target.as_ref().map(|target| Json([target])))
            .fetch_all(&mut *reading)
            .await;
        read_rows(rows, entry)
    }
}

/// The columns that [`entry`] reads, of a record `e` and its particulars `p`.
pub(super) const LINKED: &str = "e.id, (extract(epoch FROM e.at) * 1000000)::bigint AS at, e.tenant_id, e.project_id,
    e.actor_kind, e.actor_id, e.on_behalf_of, e.credential, e.action, e.outcome, p.reason,
    coalesce(p.targets, '{}') AS kept, p.details::text AS details, p.changes::text AS changes, host(p.ip) AS ip, p.user_agent, e.request_id, e.trace_id,
    e.suppressed";

/// Joins the particulars of a record `e`, of the same tenant, each by its id: without `OFFSET 0` all that there are would be
/// read for a page.
pub(super) const PARTICULARS: &str =
    "LEFT JOIN LATERAL (SELECT x.* FROM tenancy.audit_particulars AS x
    WHERE x.entry = e.id AND x.tenant_id IS NOT DISTINCT FROM e.tenant_id OFFSET 0) AS p ON true";

/// The same where a target is looked for: then the index of targets finds them.
const OF_TARGET: &str = "LEFT JOIN tenancy.audit_particulars AS p
    ON p.entry = e.id AND p.tenant_id IS NOT DISTINCT FROM e.tenant_id";

/// The listing: what is in the chain, and what was recorded before there was one. Each part ends at the page's length by
/// its own index.
fn listing(tenant: Option<TenantId>, filter: &AuditFilter) -> String {
    let particulars = match filter.target {
        Some(_) => OF_TARGET,
        None => PARTICULARS,
    };
    let whose = match tenant {
        Some(_) => "e.tenant_id = $1",
        None => "$1::uuid IS NULL",
    };
    let common = format!(
        "{whose} AND ($2::uuid IS NULL OR e.id < $2) AND ($3::text IS NULL OR e.action = $3)
             AND ($4::text IS NULL OR (e.actor_kind = $4 AND e.actor_id IS NOT DISTINCT FROM $5))
             AND ($10::text IS NULL OR e.credential = $10)
             AND ($6::text IS NULL OR e.outcome = $6)
             AND ($7::bigint IS NULL OR e.at >= to_timestamp($7::float8 / 1000000))
             AND ($8::bigint IS NULL OR e.at < to_timestamp($8::float8 / 1000000))"
    );
    format!(
        "SELECT l.*
         FROM (
             (SELECT {LINKED}, NULL::text AS targets
             FROM tenancy.audit_records AS e {particulars}
             WHERE {common} AND ($11::uuid IS NULL OR e.project_id = $11)
                 AND ($12::text[] IS NULL OR p.targets @> $12)
             ORDER BY e.id DESC LIMIT $9)
             UNION ALL
             (SELECT e.id, (extract(epoch FROM e.at) * 1000000)::bigint, e.tenant_id, NULL, e.actor_kind, e.actor_id,
                 e.on_behalf_of, e.credential, e.action, e.outcome, e.reason, NULL, e.details::text, NULL, host(e.ip),
                 e.user_agent, e.request_id, NULL, e.suppressed, e.targets::text
             FROM tenancy.audit_before AS e
             WHERE {common} AND $11::uuid IS NULL AND ($13::jsonb IS NULL OR e.targets @> $13)
             ORDER BY e.id DESC LIMIT $9)) AS l
         ORDER BY id DESC LIMIT $9"
    )
}

/// A job has a name and no id.
fn job_of(filter: &AuditFilter) -> Option<String> {
    match &filter.actor {
        Some(job @ Actor::Job(_)) => Some(job.to_string()),
        _ => None,
    }
}

/// JSON as it is stored. PostgreSQL takes numbers that no `f64` holds, and deeper nesting than is read here: an application
/// that writes them in its own SQL gets them back as a text, beside what is wrong with them, and no page fails for one
/// entry.
fn json(stored: String) -> Value {
    match serde_json::from_str(&stored) {
        Ok(read) => read,
        Err(error) => json!({ "unreadable": error.to_string(), "text": stored }),
    }
}

/// Targets as they are stored. Other JSON may have been written by the application in its own SQL, and is told
/// as a text.
fn targets(stored: &Value) -> Vec<AuditTarget> {
    let stored = match stored.as_array() {
        Some(all) => all.as_slice(),
        None => std::slice::from_ref(stored),
    };
    let target = |one: &Value| {
        let part = |name| one.get(name).and_then(Value::as_str).map(str::to_owned);
        match (part("type"), part("id")) {
            (Some(kind), Some(id)) => AuditTarget::new(kind, id),
            _ => AuditTarget::new("text", one),
        }
    };
    stored.iter().map(target).collect()
}

/// Fields that were changed, as they are stored. Other JSON may have been written by the application in its own SQL, and is
/// left out; what can't be read is told as the new value of a field `unreadable`.
fn changes(stored: Option<String>) -> Vec<AuditChange> {
    let Some(stored) = stored else {
        return Vec::new();
    };
    let Ok(read) = serde_json::from_str::<Value>(&stored) else {
        return vec![AuditChange::new("unreadable", Value::Null, stored)];
    };
    let stored = read.as_array();
    let change = |one: &Value| {
        let field = one.get("field")?.as_str()?.to_owned();
        let (before, after) = (one.get("before")?.clone(), one.get("after")?.clone());
        Some(AuditChange::new(field, before, after))
    };
    stored.into_iter().flatten().filter_map(change).collect()
}

pub(super) fn entry(row: &PgRow) -> Result<AuditEntry, DirectoryError> {
    let stored = text(row, "outcome")?;
    let outcome = Outcome::from_stored(&stored)
        .ok_or_else(|| DirectoryError::new(format!("`{stored}` is not an outcome")))?;
    let at = Timestamp::from_unix_micros(column(row, "at")?);
    let mut entry = AuditEntry::new(at, text(row, "action")?, outcome);
    entry.id = column(row, "id")?;
    entry.tenant = column::<Option<Uuid>>(row, "tenant_id")?.map(TenantId::from_uuid);
    entry.project = column::<Option<Uuid>>(row, "project_id")?.map(ProjectId::from_uuid);
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
    entry.targets = match column::<Option<Vec<String>>>(row, "kept")? {
        Some(kept) => targets_of(&kept).collect(),
        None => targets(&json(text(row, "targets")?)),
    };
    entry.details = column::<Option<String>>(row, "details")?.map(json);
    entry.changes = changes(column(row, "changes")?);
    let ip = column::<Option<String>>(row, "ip")?.map(|ip| ip.parse::<IpAddr>());
    entry.ip = ip.transpose().map_err(DirectoryError::new)?;
    entry.user_agent = column(row, "user_agent")?;
    entry.request_id = column(row, "request_id")?;
    let trace = column::<Option<String>>(row, "trace_id")?;
    entry.trace_id = trace.as_deref().and_then(TraceId::from_stored);
    entry.suppressed = u64::try_from(column::<i64>(row, "suppressed")?).unwrap_or(0);
    Ok(entry)
}
