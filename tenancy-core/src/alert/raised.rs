//! One alert.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::AlertKind;
use crate::{
    Actor, AuditEntry, Outcome, TenantId, Timestamp,
    outbox::{InvalidEvent, NewEvent},
};

/// An alert: of what kind, about whom, and what there is to say.
///
/// The engine raises most by its [rules](super::AlertRules). What verifies the trail raises
/// [`chain_broken`](Self::chain_broken) by [`Tenancy::alert`](crate::Tenancy::alert).
///
/// ```
/// use tenancy_core::{TenantId, alert::{Alert, AlertKind}};
///
/// let alert = Alert::chain_broken(Some(TenantId::new()), 4711);
/// assert_eq!(alert.kind, AlertKind::ChainBroken);
/// assert_eq!(alert.details["first_broken"], "4711");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// The tenant that it concerns; `None` if it concerns none, or several.
    pub tenant: Option<TenantId>,
    /// Whom it concerns, if it is somebody.
    pub actor: Option<Actor>,
    /// What else there is to say: an object, or null.
    pub details: Value,
}

impl Alert {
    /// An alert of this kind, about nobody yet.
    #[must_use]
    pub const fn new(kind: AlertKind) -> Self {
        Self {
            kind,
            tenant: None,
            actor: None,
            details: Value::Null,
        }
    }

    /// The chain of this tenant's trail is broken, or that of what has no tenant: this link is the first that is wrong.
    #[must_use]
    pub fn chain_broken(tenant: Option<TenantId>, first_broken: impl ToString) -> Self {
        Self {
            tenant,
            details: json!({ "first_broken": first_broken.to_string() }),
            ..Self::new(AlertKind::ChainBroken)
        }
    }

    /// The same, which concerns this tenant.
    #[must_use]
    pub const fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// The same, which concerns this actor.
    #[must_use]
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The same with what else there is to say, an object of JSON.
    ///
    /// # Security
    /// It goes to whoever reads events. Put ids into it, and nothing that a caller has sent.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// Whom or what it is about, as a text that is the same for the same subject.
    pub(crate) fn subject(&self) -> String {
        let tenant = self.tenant.map(|tenant| tenant.to_string());
        let actor = self.actor.as_ref().map(ToString::to_string);
        let (tenant, actor) = (tenant.unwrap_or_default(), actor.unwrap_or_default());
        let action = self.details.get("action").and_then(Value::as_str);
        format!("{tenant} {actor} {}", action.unwrap_or_default())
    }

    /// The entry in the audit trail that says that it was raised.
    pub(crate) fn entry(&self, at: Timestamp) -> AuditEntry {
        let mut entry = AuditEntry::new(at, "alert.raise", Outcome::Allowed)
            .actor(Actor::System)
            .reason(self.kind.as_str())
            .about("alert", self.kind);
        if let Some(actor) = &self.actor {
            let id = actor
                .id()
                .map_or_else(|| actor.to_string(), |id| id.to_string());
            entry = entry.about(actor.kind(), id);
        }
        if !self.details.is_null() {
            entry = entry.details(self.details.clone());
        }
        entry.tenant = self.tenant;
        entry
    }

    /// The event that tells of it.
    pub(crate) fn event(&self, at: Timestamp, entry: Uuid) -> Result<NewEvent, InvalidEvent> {
        let mut payload = match &self.details {
            Value::Object(details) => details.clone(),
            Value::Null => Map::new(),
            other => Map::from_iter([("details".to_owned(), other.clone())]),
        };
        payload.insert("at".to_owned(), json!(at.to_string()));
        if let Some(actor) = &self.actor {
            payload.insert("actor".to_owned(), json!(actor.to_string()));
        }
        let event = NewEvent::new(self.kind.event(), payload)?.caused_by(entry);
        Ok(match self.tenant {
            Some(tenant) => event.of_tenant(tenant),
            None => event,
        })
    }
}
