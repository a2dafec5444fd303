//! One entry of the audit trail.

use std::{borrow::Cow, net::IpAddr};

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{Actor, ProjectId, TenantId, Timestamp, TraceId, UserId};

/// How an audited action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was done, or begun where the entry is written first.
    Allowed,
    /// It was refused.
    Refused,
    /// It was tried and failed.
    Failed,
}

impl Outcome {
    /// The outcome of a name under which one is stored; `None` for any other.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Allowed, Self::Refused, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }

    /// The name under which the outcome is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What an audited action was done to: a kind of thing, and which one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct AuditTarget {
    /// The kind of thing, such as `note`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// Which one.
    pub id: String,
}

impl AuditTarget {
    /// A target of this kind.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, id: impl ToString) -> Self {
        Self {
            kind: kind.into(),
            id: id.to_string(),
        }
    }
}

/// What an audited action has changed: a field, with its value before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditChange {
    /// The name of the field, such as `role`.
    pub field: Cow<'static, str>,
    /// The value before; null where there was none.
    pub before: serde_json::Value,
    /// The value after; null where there is none any more.
    pub after: serde_json::Value,
}

impl AuditChange {
    /// A field that has changed.
    ///
    /// ```
    /// use tenancy_core::AuditChange;
    ///
    /// let change = AuditChange::new("role", "viewer", "editor");
    /// assert_eq!(change.before, "viewer");
    /// ```
    #[must_use]
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        before: impl Into<serde_json::Value>,
        after: impl Into<serde_json::Value>,
    ) -> Self {
        Self {
            field: field.into(),
            before: before.into(),
            after: after.into(),
        }
    }
}

/// One entry of the audit trail. Never holds a credential.
///
/// [`VERSION`](Self::VERSION) is the version of its fields; `docs/audit.md` has them as a table.
///
/// ```
/// use tenancy_core::{AuditEntry, AuditTarget, Clock as _, Outcome, SystemClock, TenantId};
///
/// let entry = AuditEntry::new(SystemClock.now(), "note.share", Outcome::Allowed)
///     .tenant(TenantId::new())
///     .about("note", 4711)
///     .change("visibility", "private", "shared")
///     .reason("asked for by telephone");
/// assert_eq!(entry.targets, [AuditTarget::new("note", 4711)]);
/// assert_eq!(entry.outcome.as_str(), "allowed");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Unique; later entries sort later.
    pub id: Uuid,
    /// When it happened.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// The tenant it concerns, where one is known.
    pub tenant: Option<TenantId>,
    /// The project it concerns; `None` where it concerns the tenant as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// Who did it, where that is known.
    #[serde(serialize_with = "as_optional_text")]
    pub actor: Option<Actor>,
    /// The user with whose rights it was done, where the actor is no user itself.
    #[serde(serialize_with = "as_optional_text")]
    pub on_behalf_of: Option<UserId>,
    /// Which credential it was, such as the issuer of a token. Never the credential.
    pub credential: Option<String>,
    /// What was done, such as `request.admit` or `tenant.suspend`.
    pub action: Cow<'static, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, as a fixed name or as the reason somebody gave.
    pub reason: Option<Cow<'static, str>>,
    /// What it was done to, such as `host:acme`.
    pub target: Option<String>,
    /// What it was done to, as typed ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<AuditTarget>,
    /// What it has changed, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AuditChange>,
    /// What else there is to say, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
    /// The caller's address.
    pub ip: Option<IpAddr>,
    /// The caller's user agent, cut to 256 bytes.
    pub user_agent: Option<String>,
    /// The id that the service gave the request.
    pub request_id: Option<String>,
    /// The trace that the request is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// How many like it were counted and not recorded one by one since the last entry of the kind.
    pub suppressed: u64,
}

impl AuditEntry {
    /// The version of the fields and of their meaning. A field that is added later raises it.
    pub const VERSION: u32 = 1;

    /// An entry about an action of now.
    #[must_use]
    pub fn new(at: Timestamp, action: impl Into<Cow<'static, str>>, outcome: Outcome) -> Self {
        Self {
            id: Uuid::now_v7(),
            at,
            tenant: None,
            project: None,
            actor: None,
            on_behalf_of: None,
            credential: None,
            action: action.into(),
            outcome,
            reason: None,
            target: None,
            targets: Vec::new(),
            changes: Vec::new(),
            details: None,
            ip: None,
            user_agent: None,
            request_id: None,
            trace_id: None,
            suppressed: 0,
        }
    }

    /// What it was done to, as typed ids. Where there are none, the text of [`target`](Self::target) is one: its
    /// kind stands before the first colon, and is `text` where there is no colon.
    #[must_use]
    pub fn typed_targets(&self) -> Cow<'_, [AuditTarget]> {
        match &self.target {
            Some(target) if self.targets.is_empty() => {
                let (kind, id) = target.split_once(':').unwrap_or(("text", target));
                Cow::Owned(vec![AuditTarget::new(kind.to_owned(), id)])
            }
            _ => Cow::Borrowed(&self.targets),
        }
    }

    /// The same entry about this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// The same entry with its actor.
    #[must_use]
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The same entry with a reason.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The same entry with what it was done to.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The same entry with one more thing that it was done to, such as `note` and its id.
    #[must_use]
    pub fn about(mut self, kind: impl Into<Cow<'static, str>>, id: impl ToString) -> Self {
        self.targets.push(AuditTarget::new(kind, id));
        self
    }

    /// The same entry about this project of its tenant.
    #[must_use]
    pub fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// The same entry with one more field that was changed.
    #[must_use]
    pub fn change(
        mut self,
        field: impl Into<Cow<'static, str>>,
        before: impl Into<serde_json::Value>,
        after: impl Into<serde_json::Value>,
    ) -> Self {
        self.changes.push(AuditChange::new(field, before, after));
        self
    }

    /// The same entry with details, 64 KiB of JSON at most.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }
}

fn as_text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn as_optional_text<T: ToString, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.serialize_some(&value.to_string()),
        None => serializer.serialize_none(),
    }
}
