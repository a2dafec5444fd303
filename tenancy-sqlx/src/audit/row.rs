//! An entry of the trail as its rows have it.

use std::borrow::Cow;

use serde_json::{Value, json};
use sqlx::types::Uuid;
use tenancy_core::{Actor, AuditEntry, AuditTarget};

/// The kind of an actor that is not known.
const UNKNOWN: &str = "unknown";

/// How many bytes are kept of a target.
const MAX_TARGET_LEN: usize = 512;

/// What is stored of an entry, column by column. PostgreSQL's text has no place for NUL, and a caller may have sent one.
pub(crate) struct Row<'e> {
    pub(crate) entry: &'e AuditEntry,
    pub(crate) actor_kind: &'e str,
    pub(crate) actor_id: Option<Uuid>,
    /// A job has no credential and no id, and stands there by its name.
    pub(crate) credential: Option<Cow<'e, str>>,
    /// Each as its kind, a colon and its id. A colon in a kind is kept as `_`.
    pub(crate) targets: Vec<String>,
    pub(crate) details: Option<Value>,
    pub(crate) changes: Option<Value>,
}

impl<'e> Row<'e> {
    pub(crate) fn of(entry: &'e AuditEntry) -> Self {
        let actor = entry.actor.as_ref();
        let targets = entry.typed_targets();
        let changes = (!entry.changes.is_empty()).then(|| json!(entry.changes));
        Self {
            entry,
            actor_kind: actor.map_or(UNKNOWN, Actor::kind),
            actor_id: actor.and_then(Actor::id),
            credential: match actor {
                Some(job @ Actor::Job(_)) => Some(job.to_string().into()),
                _ => entry.credential.as_deref().map(storable),
            },
            targets: targets.iter().map(kept).collect(),
            details: entry.details.clone().map(storable_json),
            changes: changes.map(storable_json),
        }
    }

    pub(crate) fn reason(&self) -> Option<Cow<'_, str>> {
        self.entry.reason.as_deref().map(storable)
    }

    pub(crate) fn user_agent(&self) -> Option<Cow<'_, str>> {
        self.entry.user_agent.as_deref().map(storable)
    }

    pub(crate) fn request_id(&self) -> Option<Cow<'_, str>> {
        self.entry.request_id.as_deref().map(storable)
    }

    pub(crate) fn trace_id(&self) -> Option<String> {
        self.entry.trace_id.map(|trace| trace.to_string())
    }

    pub(crate) fn suppressed(&self) -> i64 {
        i64::try_from(self.entry.suppressed).unwrap_or(i64::MAX)
    }
}

/// The entry for `tenancy.append_records`.
pub(crate) fn as_json(entry: &AuditEntry) -> Value {
    let row = Row::of(entry);
    let targets: Vec<_> = targets_of(&row.targets).collect();
    json!({
        "id": entry.id,
        "at": entry.at.as_unix_micros(),
        "version": AuditEntry::VERSION,
        "tenant_id": entry.tenant,
        "project_id": entry.project,
        "actor_kind": row.actor_kind,
        "actor_id": row.actor_id,
        "on_behalf_of": entry.on_behalf_of,
        "credential": row.credential,
        "action": storable(&entry.action),
        "outcome": entry.outcome.as_str(),
        "request_id": row.request_id(),
        "trace_id": row.trace_id(),
        "suppressed": row.suppressed(),
        "reason": row.reason(),
        "targets": targets,
        "details": row.details,
        "changes": row.changes,
        "ip": entry.ip,
        "user_agent": row.user_agent(),
    })
}

/// A target as it is kept: its kind, a colon and its id.
pub(crate) fn kept(target: &AuditTarget) -> String {
    let kind = target.kind.replace(':', "_");
    let mut kept = storable(&format!("{kind}:{}", target.id)).into_owned();
    // An index has no place for a long one.
    let end = (0..=MAX_TARGET_LEN)
        .rev()
        .find(|end| kept.is_char_boundary(*end));
    kept.truncate(end.unwrap_or(0));
    kept
}

/// Targets that are kept as their kind, a colon and their id.
pub(crate) fn targets_of(kept: &[String]) -> impl Iterator<Item = AuditTarget> + '_ {
    kept.iter().map(|target| {
        let (kind, id) = target.split_once(':').unwrap_or(("text", target));
        AuditTarget::new(kind.to_owned(), id)
    })
}

fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The same of each text within.
fn storable_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(storable(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(storable_json).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields =
                fields.map(|(name, value)| (storable(&name).into_owned(), storable_json(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}
