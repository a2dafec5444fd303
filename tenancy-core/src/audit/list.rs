//! Reading the audit trail, in pages.

use std::borrow::Cow;

use async_trait::async_trait;
use uuid::Uuid;

use super::{AuditEntry, AuditTarget, Outcome};
use crate::{Actor, ProjectId, StoreError, TenantId, Timestamp, cut::cut};

/// Which entries of the trail a listing tells; all of them by default. What is set has to hold together.
///
/// ```
/// use tenancy_core::{AuditFilter, Outcome};
///
/// let refused_invitations = AuditFilter::new().action("membership.put").outcome(Outcome::Refused);
/// assert_eq!(refused_invitations.actor, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AuditFilter {
    /// Only entries of this action, such as `membership.put`.
    pub action: Option<Cow<'static, str>>,
    /// Only what this actor did, or was refused.
    pub actor: Option<Actor>,
    /// Only what was done to this, or refused.
    pub target: Option<AuditTarget>,
    /// Only what concerns this project.
    pub project: Option<ProjectId>,
    /// Only what ended so.
    pub outcome: Option<Outcome>,
    /// Only what happened at this moment or later.
    pub from: Option<Timestamp>,
    /// Only what happened before this moment.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// All entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only entries of this action, such as `membership.put`. That of a change is
    /// [`ChangeAction::as_str`](crate::ChangeAction::as_str).
    #[must_use]
    pub fn action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Only what this actor did, or was refused.
    #[must_use]
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Only what was done to this, or refused. A kind is told as it is in the entry, such as `user`.
    ///
    /// ```
    /// use tenancy_core::{AuditFilter, AuditTarget, UserId};
    ///
    /// let about_ann = AuditFilter::new().target(AuditTarget::new("user", UserId::new()));
    /// assert!(about_ann.target.is_some());
    /// ```
    #[must_use]
    pub fn target(mut self, target: AuditTarget) -> Self {
        self.target = Some(target);
        self
    }

    /// Only what concerns this project.
    #[must_use]
    pub const fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// Only what ended so.
    #[must_use]
    pub const fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Only what happened at this moment or later.
    #[must_use]
    pub const fn from(mut self, moment: Timestamp) -> Self {
        self.from = Some(moment);
        self
    }

    /// Only what happened before this moment.
    #[must_use]
    pub const fn until(mut self, moment: Timestamp) -> Self {
        self.until = Some(moment);
        self
    }

    /// What is set, as an entry about a reading tells it.
    pub(crate) fn told(&self) -> serde_json::Value {
        let mut told = serde_json::Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                // A caller may have chosen it.
                told.insert(name.to_owned(), cut(value, 256).into());
            }
        };
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
        put("action", self.action.as_ref().map(ToString::to_string));
        put("actor", self.actor.as_ref().map(ToString::to_string));
        let target = self.target.as_ref();
        put("target", target.map(|to| format!("{}:{}", to.kind, to.id)));
        put("project", self.project.map(|project| project.to_string()));
        put("outcome", self.outcome.map(|is| is.as_str().to_owned()));
        put("from", moment(self.from));
        put("until", moment(self.until));
        serde_json::Value::Object(told)
    }

    /// Whether a listing tells this entry.
    #[must_use]
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        (self.action.as_ref()).is_none_or(|action| entry.action == *action)
            && (self.actor.is_none() || entry.actor == self.actor)
            && (self.target.as_ref()).is_none_or(|target| entry.typed_targets().contains(target))
            && (self.project.is_none() || entry.project == self.project)
            && self.outcome.is_none_or(|outcome| entry.outcome == outcome)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// Lists the audit trail: what was changed, and what sinks of the same place were told.
///
/// `conformance::audit` (feature `testing`) checks this, together with the
/// [`AuditSink`](super::AuditSink) that writes into the same trail.
#[async_trait]
pub trait AuditDirectory: Send + Sync {
    /// A tenant's entries, or without a tenant those of all tenants and of none, the newest first: in the
    /// opposite order of their ids. A page holds at most `limit` and goes on behind the entry `after`; the
    /// one that is empty is the last.
    ///
    /// What an entry was done to is in its [`targets`](AuditEntry::targets), also where it was recorded as a
    /// text: see [`AuditEntry::typed_targets`].
    ///
    /// # Security
    /// A tenant's listing has no entry of another tenant, and none without one.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_entries(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;
}
