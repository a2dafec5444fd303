//! The audit trail in PostgreSQL.

mod queue;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use queue::Lane;
use serde_json::{Value, json};
use sqlx::{postgres::PgConnectOptions, types::Json};
use tenancy_core::{Actor, AuditEntry, AuditError, AuditSink, Outcome};

use crate::{
    StartError,
    connections::{Connections, Whose},
    danger::SystemPool,
    options::Timeouts,
    outbox::credential,
    purpose, session,
};

/// Stores audit entries in `tenancy.audit_entries`, beside those that stores write with their changes. An entry that
/// is there already stays as it is, so that a change is one entry.
///
/// [`record`](AuditSink::record) queues and returns; a task writes what is queued, many entries at a time.
/// [`record_durably`](AuditSink::record_durably) returns when the entry is committed. Call
/// [`flush`](AuditSink::flush) before the process ends: what is queued then is lost, counted and logged.
///
/// Refusals, of which a caller chooses how many there are, wait in a lane of their own: they can't
/// push out what was done.
///
/// Written through a login of its own, because a refusal concerns no tenant, or not the caller's: the
/// audit login adds entries and reads nothing. The system login may be used as well, where a process
/// has it.
///
/// ```no_run
/// use tenancy_sqlx::PgAuditSink;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let audit = PgAuditSink::connect("postgres://tenancy_audit@localhost/notes").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PgAuditSink {
    pool: Connections,
    refusals: Lane,
    actions: Lane,
    dropped: Arc<AtomicU64>,
}

impl PgAuditSink {
    /// Connects with the audit login (by default `tenancy_audit`), and checks it.
    ///
    /// # Errors
    /// A [`StartError`] if the database is out of reach, the schema is not installed, or the login is
    /// another or may do more.
    pub async fn connect(url: &str) -> Result<Self, StartError> {
        Self::connect_with(url.parse().map_err(StartError::bad_url)?).await
    }

    /// Connects with the audit login; 3 connections at most.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(options: PgConnectOptions) -> Result<Self, StartError> {
        let pool = purpose::open(Whose::Audit, options, 3).await?;
        purpose::check(&pool, purpose::AUDIT).await?;
        Ok(Self::over(pool))
    }

    /// A sink over the system login. Must be called inside a tokio runtime, whose task it spawns.
    #[must_use]
    pub fn new(system: &SystemPool) -> Self {
        Self::over(system.raw().clone())
    }

    fn over(pool: Connections) -> Self {
        let dropped = Arc::new(AtomicU64::new(0));
        Self {
            refusals: Lane::new(&pool, &dropped),
            actions: Lane::new(&pool, &dropped),
            pool,
            dropped,
        }
    }

    /// How many entries were dropped: the database could not keep up, or would not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl AuditSink for PgAuditSink {
    fn record(&self, entry: AuditEntry) {
        let lane = match entry.outcome {
            Outcome::Refused => &self.refusals,
            _ => &self.actions,
        };
        lane.push(entry, &self.dropped);
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        insert(&self.pool, &[entry]).await.map_err(AuditError::new)
    }

    async fn flush(&self) -> Result<(), AuditError> {
        self.actions.flush().await?;
        self.refusals.flush().await
    }

    fn dropped(&self) -> u64 {
        Self::dropped(self)
    }
}

/// PostgreSQL's text has no place for NUL, and a caller may have sent one.
pub(crate) fn storable(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

/// The kind of an actor that is not known.
pub(crate) const UNKNOWN: &str = "unknown";

/// The same of each text within.
fn storable_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => values.into_iter().map(storable_json).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields =
                fields.map(|(name, value)| (name.replace('\0', "\u{fffd}"), storable_json(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// The targets as they are stored.
pub(crate) fn targets(entry: &AuditEntry) -> Value {
    let targets = entry.typed_targets();
    let targets = targets.iter().map(
        |target| json!({ "type": storable(Some(&target.kind)), "id": storable(Some(&target.id)) }),
    );
    targets.collect()
}

/// Inserting twice is inserting once: a retry may follow an answer that got lost.
async fn insert(pool: &Connections, entries: &[AuditEntry]) -> Result<(), sqlx::Error> {
    fn each<T>(entries: &[AuditEntry], part: impl Fn(&AuditEntry) -> T) -> Vec<T> {
        entries.iter().map(part).collect()
    }
    let mut tx = session::begin(pool, session::nobodys_batch("BEGIN", &Timeouts::LOOK_UP)).await?;
    sqlx::query(
        "SELECT tenancy.append_entry(e.id, to_timestamp(e.at::float8 / 1000000), e.tenant, e.actor_kind,
             e.actor_id, e.on_behalf_of, e.credential, e.action, e.outcome, e.reason, e.targets, e.details,
             e.ip::inet, e.agent, e.request_id, e.suppressed)
         FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::text[],
             $8::text[], $9::text[], $10::text[], $11::jsonb[], $12::jsonb[], $13::text[], $14::text[],
             $15::text[], $16::bigint[]) WITH ORDINALITY
             AS e (id, at, tenant, actor_kind, actor_id, on_behalf_of, credential, action, outcome, reason,
             targets, details, ip, agent, request_id, suppressed, place)
         ORDER BY e.place",
    )
    .bind(each(entries, |entry| entry.id))
    .bind(each(entries, |entry| entry.at.as_unix_micros()))
    .bind(each(entries, |entry| entry.tenant.map(|tenant| tenant.as_uuid())))
    .bind(each(entries, |entry| entry.actor.as_ref().map_or(UNKNOWN, Actor::kind)))
    .bind(each(entries, |entry| entry.actor.as_ref().and_then(Actor::id)))
    .bind(each(entries, |entry| entry.on_behalf_of.map(|user| user.as_uuid())))
    .bind(each(entries, |entry| storable(credential(entry).as_deref())))
    .bind(each(entries, |entry| storable(Some(&entry.action))))
    .bind(each(entries, |entry| entry.outcome.as_str()))
    .bind(each(entries, |entry| storable(entry.reason.as_deref())))
    .bind(each(entries, |entry| Json(targets(entry))))
    .bind(each(entries, |entry| entry.details.clone().map(storable_json).map(Json)))
    .bind(each(entries, |entry| entry.ip.map(|ip| ip.to_string())))
    .bind(each(entries, |entry| storable(entry.user_agent.as_deref())))
    .bind(each(entries, |entry| storable(entry.request_id.as_deref())))
    .bind(each(entries, |entry| i64::try_from(entry.suppressed).unwrap_or(i64::MAX)))
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
