//! Events: what a change says of itself.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::MAX_PAYLOAD_LEN;
use crate::{EventId, TenantId, Timestamp};

/// How many bytes the name of a kind has at most.
const MAX_KIND_LEN: usize = 100;

/// An event that can't be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidEvent {
    message: String,
}

impl InvalidEvent {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// An event that is to be written with the change that it tells of.
///
/// ```
/// use tenancy_core::outbox::NewEvent;
///
/// let event = NewEvent::new("note.created", serde_json::json!({ "note": "4711" }))?;
/// assert_eq!(event.kind(), "note.created");
///
/// // The kind is a dotted name, and the payload has a limit.
/// assert!(NewEvent::new("Created!", ()).is_err());
/// assert!(NewEvent::new("note.created", "x".repeat(65_536)).is_err());
/// # Ok::<(), tenancy_core::outbox::InvalidEvent>(())
/// ```
///
/// # Security
/// Consumers may send what is in it to others, such as to a tenant's webhook. Put ids into it and no secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    id: EventId,
    tenant: Option<TenantId>,
    kind: String,
    payload: Value,
    caused_by: Option<Uuid>,
}

impl NewEvent {
    /// An event of a kind, such as `note.created`, with a payload.
    ///
    /// It has an id of its own: an event that is written twice is refused the second time.
    ///
    /// # Errors
    /// An [`InvalidEvent`] if the kind is no dotted name of lower-case words (`note.created`) or has more than
    /// 100 bytes, or if the payload is no JSON, has a character NUL in it, or has more than 64 KiB.
    pub fn new(kind: impl Into<String>, payload: impl Serialize) -> Result<Self, InvalidEvent> {
        let kind = kind.into();
        if !is_dotted_name(&kind) {
            return Err(InvalidEvent::new(format!(
                "`{}` is no kind of event; expected two or more words with dots between, such as \
                 `note.created`, of `a` to `z`, `0` to `9`, `_` and `-`, each beginning with a letter, and \
                 {MAX_KIND_LEN} bytes at most",
                kind.chars().take(MAX_KIND_LEN).collect::<String>()
            )));
        }
        let payload = serde_json::to_value(payload).map_err(|error| {
            InvalidEvent::new(format!("the payload of `{kind}` can't be JSON: {error}"))
        })?;
        let len = payload.to_string().len();
        if len > MAX_PAYLOAD_LEN {
            return Err(InvalidEvent::new(format!(
                "the payload of `{kind}` has {len} bytes, and {MAX_PAYLOAD_LEN} are the most; put an id into \
                 it, and have consumers read the rest"
            )));
        }
        if has_nul(&payload) {
            return Err(InvalidEvent::new(format!(
                "the payload of `{kind}` has the character NUL in a text, which PostgreSQL can't store"
            )));
        }
        Ok(Self {
            id: EventId::new(),
            tenant: None,
            kind,
            payload,
            caused_by: None,
        })
    }

    /// The same event about a tenant. A tenant's transaction fills its own in.
    #[must_use]
    pub fn of_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// The same event with the entry in the audit trail that it belongs to.
    #[must_use]
    pub fn caused_by(mut self, audit_entry: Uuid) -> Self {
        self.caused_by = Some(audit_entry);
        self
    }

    /// An event of the same kind about a tenant, with a small payload of its own.
    pub(crate) fn copy_of_tenant(&self, tenant: TenantId, payload: Value) -> Self {
        Self {
            id: EventId::new(),
            tenant: Some(tenant),
            kind: self.kind.clone(),
            payload,
            caused_by: None,
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> EventId {
        self.id
    }

    /// The tenant that it names, if it names one.
    #[must_use]
    pub const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its payload.
    #[must_use]
    pub const fn payload(&self) -> &Value {
        &self.payload
    }

    /// The entry in the audit trail that it belongs to.
    #[must_use]
    pub const fn cause(&self) -> Option<Uuid> {
        self.caused_by
    }
}

/// An event as a consumer sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its id: the same at each try and for each consumer.
    pub id: EventId,
    /// Its place in the order of events, which is the same for all consumers. Of two events of one tenant the
    /// later one has the greater place.
    pub place: u64,
    /// The tenant that it is about; `None` for an event of no tenant.
    pub tenant: Option<TenantId>,
    /// What has happened, such as `note.created`.
    pub kind: String,
    /// What the writer said of it.
    pub payload: Value,
    /// The entry in the audit trail that it belongs to.
    pub caused_by: Option<Uuid>,
    /// When it was written. Its transaction may have committed long after.
    pub created_at: Timestamp,
    /// Which try this is; 1 is the first.
    pub try_number: u32,
}

impl Event {
    /// An event at a place, at its first try: for stores, and for tests of handlers.
    ///
    /// ```
    /// use tenancy_core::{Timestamp, outbox::{Event, NewEvent}};
    ///
    /// let new = NewEvent::new("note.created", serde_json::json!({ "note": "4711" }))?;
    /// let event = Event::new(&new, 1, Timestamp::from_unix_seconds(1_800_000_000));
    /// assert_eq!(event.try_number, 1);
    /// # Ok::<(), tenancy_core::outbox::InvalidEvent>(())
    /// ```
    #[must_use]
    pub fn new(event: &NewEvent, place: u64, created_at: Timestamp) -> Self {
        Self::stored(
            event.id,
            place,
            event.kind.clone(),
            event.payload.clone(),
            created_at,
        )
        .of_tenant(event.tenant)
        .caused_by(event.caused_by)
    }

    /// An event as a store has it, of no tenant, at its first try.
    #[must_use]
    pub const fn stored(
        id: EventId,
        place: u64,
        kind: String,
        payload: Value,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            place,
            tenant: None,
            kind,
            payload,
            caused_by: None,
            created_at,
            try_number: 1,
        }
    }

    /// The same event about a tenant, or about none.
    #[must_use]
    pub const fn of_tenant(mut self, tenant: Option<TenantId>) -> Self {
        self.tenant = tenant;
        self
    }

    /// The same event with its entry in the audit trail.
    #[must_use]
    pub const fn caused_by(mut self, audit_entry: Option<Uuid>) -> Self {
        self.caused_by = audit_entry;
        self
    }

    /// The same event at a later try.
    #[must_use]
    pub const fn at_try(mut self, number: u32) -> Self {
        self.try_number = number;
        self
    }
}

/// Whether a text is two or more words with dots between, and of 100 bytes at most.
fn is_dotted_name(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    text.len() <= MAX_KIND_LEN && text.contains('.') && text.split('.').all(is_word)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_a_dotted_name() {
        for taken in ["note.created", "a.b", "tenant.plan-changed", "x.y_z.q2"] {
            assert!(NewEvent::new(taken, ()).is_ok(), "{taken}");
        }
        let long = format!("note.{}", "x".repeat(96));
        for refused in [
            "",
            ".",
            "note",
            "note.",
            ".created",
            "note..created",
            "Note.created",
            "note.2nd",
            "note created.x",
            "note.créée",
            &long,
        ] {
            let error = NewEvent::new(refused, ()).unwrap_err().to_string();
            assert!(error.contains("`note.created`"), "{error}");
        }
    }

    #[test]
    fn a_payload_that_is_too_large_is_refused_with_its_size() {
        assert!(NewEvent::new("note.created", "x".repeat(MAX_PAYLOAD_LEN - 2)).is_ok());
        let error = NewEvent::new("note.created", "x".repeat(MAX_PAYLOAD_LEN - 1)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("`note.created` has 65537 bytes, and 65536 are the most"),
            "{text}"
        );
    }

    #[test]
    fn a_payload_with_nul_is_refused_wherever_it_is() {
        for payload in [json!("a\0"), json!([["\0"]]), json!({ "a": { "b\0": 1 } })] {
            let error = NewEvent::new("note.created", &payload).unwrap_err();
            assert!(error.to_string().contains("NUL"), "{payload}");
        }
    }
}
