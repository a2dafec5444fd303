//! The audit trail, listed: a tenant's with the login of the service, under row security, and everybody's
//! with the system login.

use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{
    Postgres, QueryBuilder,
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
        let mut listing = listing(tenant, filter, after, limit);
        // How many entries of all tenants have a target decides about the plan, so that one is made for each target.
        let plan_is_kept = tenant.is_some() || filter.target.is_none();
        let rows = (listing.build().persistent(plan_is_kept))
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

/// The same where a target is looked for in all tenants: then the index of targets finds them.
const OF_TARGET: &str = "LEFT JOIN tenancy.audit_particulars AS p
    ON p.entry = e.id AND p.tenant_id IS NOT DISTINCT FROM e.tenant_id";

/// The listing: what is in the chain, and what was recorded before there was one. Each part ends at the page's length by
/// its own index.
///
/// It has a condition only for what is asked, and the length of the page as a number: PostgreSQL keeps one plan for each
/// listing, and a plan that has to serve any question and any length reads all that a tenant has.
fn listing(
    tenant: Option<TenantId>,
    filter: &AuditFilter,
    after: Option<Uuid>,
    limit: u32,
) -> QueryBuilder<Postgres> {
    let particulars = match (tenant, &filter.target) {
        (None, Some(_)) => OF_TARGET,
        _ => PARTICULARS,
    };
    let mut sql = QueryBuilder::new(format!(
        "SELECT l.* FROM (
             (SELECT {LINKED}, NULL::text AS targets FROM tenancy.audit_records AS e {particulars} WHERE true"
    ));
    conditions(&mut sql, tenant, filter, after);
    if let Some(project) = filter.project {
        sql.push(" AND e.project_id = ")
            .push_bind(project.as_uuid());
    }
    if let Some(target) = &filter.target {
        of_target(&mut sql, tenant, filter, kept(target), after, limit);
    }
    sql.push(format!(" ORDER BY e.id DESC LIMIT {limit})"));
    // Nothing older has a project.
    if filter.project.is_none() {
        sql.push(
            " UNION ALL
             (SELECT e.id, (extract(epoch FROM e.at) * 1000000)::bigint, e.tenant_id, NULL, e.actor_kind, e.actor_id,
                 e.on_behalf_of, e.credential, e.action, e.outcome, e.reason, NULL, e.details::text, NULL, host(e.ip),
                 e.user_agent, e.request_id, NULL, e.suppressed, e.targets::text
             FROM tenancy.audit_before AS e WHERE true",
        );
        conditions(&mut sql, tenant, filter, after);
        if let Some(target) = &filter.target {
            sql.push(" AND e.targets @> ").push_bind(Json([target]));
        }
        sql.push(format!(" ORDER BY e.id DESC LIMIT {limit})"));
    }
    sql.push(format!(") AS l ORDER BY id DESC LIMIT {limit}"));
    sql
}

/// The entries `e` with a target, by the index of targets. Of one tenant a function looks it up: under row security
/// PostgreSQL uses that index for nobody but the owner.
fn of_target(
    sql: &mut QueryBuilder<Postgres>,
    tenant: Option<TenantId>,
    filter: &AuditFilter,
    target: String,
    after: Option<Uuid>,
    limit: u32,
) {
    if tenant.is_none() {
        sql.push(" AND p.target_keys @> ARRAY[tenancy.target_key(NULL, ")
            .push_bind(target.clone())
            .push(")] AND p.targets @> ")
            .push_bind(vec![target]);
        return;
    }
    // Where more is asked, any of them may be on the page.
    let mut also_asks = filter.clone();
    also_asks.target = None;
    let most = (also_asks == AuditFilter::new()).then_some(i64::from(limit));
    sql.push(" AND e.id IN (SELECT tenancy.find_entries_of(")
        .push_bind(target)
        .push(", ")
        .push_bind(after)
        .push("::uuid, ")
        .push_bind(most)
        .push("::bigint))");
}

/// What is asked of an entry `e` of either part.
fn conditions(
    sql: &mut QueryBuilder<Postgres>,
    tenant: Option<TenantId>,
    filter: &AuditFilter,
    after: Option<Uuid>,
) {
    if let Some(tenant) = tenant {
        sql.push(" AND e.tenant_id = ").push_bind(tenant.as_uuid());
    }
    if let Some(after) = after {
        sql.push(" AND e.id < ").push_bind(after);
    }
    if let Some(action) = filter.action.as_deref() {
        sql.push(" AND e.action = ").push_bind(action.to_owned());
    }
    if let Some(actor) = &filter.actor {
        sql.push(" AND e.actor_kind = ").push_bind(actor.kind());
        match actor.id() {
            Some(id) => sql.push(" AND e.actor_id = ").push_bind(id),
            None => sql.push(" AND e.actor_id IS NULL"),
        };
    }
    if let Some(job) = job_of(filter) {
        sql.push(" AND e.credential = ").push_bind(job);
    }
    if let Some(outcome) = filter.outcome {
        sql.push(" AND e.outcome = ").push_bind(outcome.as_str());
    }
    for (compared, moment) in [(">=", filter.from), ("<", filter.until)] {
        if let Some(moment) = moment {
            sql.push(format!(" AND e.at {compared} to_timestamp("))
                .push_bind(moment.as_unix_micros())
                .push("::float8 / 1000000)");
        }
    }
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
