//! Events: that a tenant has used something.

pub(crate) mod check;
mod error;

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tenancy_core::{Actor, KeyId, ProjectId, TenantContext, TenantId, Timestamp, UserId};

pub use check::EventTimes;
pub use error::{EventError, EventErrorKind};

use crate::{UsageDigest, digest::Canonical};

/// By what an event is known: the tenant, the source, and the id that the source gave it.
///
/// The tenant is a part of it, so that no tenant's id hides another's event. A store counts an event once for each key.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::UsageEvent;
///
/// let at = Timestamp::from_unix_seconds(1_800_000_000);
/// let first = UsageEvent::new(TenantId::new(), "exports", "worker", "7", at);
/// let other = UsageEvent::new(TenantId::new(), "exports", "worker", "7", at);
/// assert_ne!(first.event_key(), other.event_key());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct EventKey {
    /// Whose event it is.
    pub tenant: TenantId,
    /// What has sent it.
    pub source: Box<str>,
    /// Its id at the source.
    pub id: Box<str>,
}

impl EventKey {
    /// The event of a tenant that a source has sent with an id.
    #[must_use]
    pub fn new(tenant: TenantId, source: impl Into<Box<str>>, id: impl Into<Box<str>>) -> Self {
        Self {
            tenant,
            source: source.into(),
            id: id.into(),
        }
    }
}

/// That a tenant has used so much of a meter.
///
/// The source chooses the id and the time when the thing happens, and sends both again when it sends the event again. An
/// event that is sent again counts once, also if it then has another time: the first time holds. With the same id and
/// another content it is a [conflict](crate::EventOutcome::Conflict), and the first stands.
///
/// ```
/// use rust_decimal::Decimal;
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::UsageEvent;
///
/// let acme = TenantId::new();
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let event = UsageEvent::new(acme, "llm-output-tokens", "gateway", "request-4711", now)
///     .quantity(812)
///     .dimension("model", "large");
/// assert_eq!(event.quantity, Decimal::from(812));
///
/// let again = UsageEvent { at: now + std::time::Duration::from_secs(3_600), ..event.clone() };
/// assert_eq!(again.digest(), event.digest(), "sent again, an hour later");
/// ```
///
/// # Security
/// An event says whose it is, and nothing checks that. Make it [in a context](Self::in_context); where there is none, never take the
/// tenant of what a caller has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct UsageEvent {
    /// Whose usage it is.
    pub tenant: TenantId,
    /// The project in which it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// The API key with which it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The user who used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The job that used it, by an id of the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<str>>,
    /// The [meter](crate::UsageMeter)'s name.
    pub meter: Box<str>,
    /// How much was used. A `Decimal` is neither infinite nor "not a number".
    pub quantity: Decimal,
    /// How many events it stands for: 1, and more where a process has added up before it sends.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub events: u64,
    /// What a meter of [different values](crate::Aggregation::Unique) counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_value: Option<Box<str>>,
    /// What it says beside, by the names that its meter allows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Box<str>, Box<str>>,
    /// What has sent it: a service, a worker, an importer.
    pub source: Box<str>,
    /// Its id at the source.
    pub id: Box<str>,
    /// When it was used.
    pub at: Timestamp,
}

impl UsageEvent {
    /// The largest quantity of one event: 10^18.
    pub const MAX_QUANTITY: Decimal = Decimal::from_parts(0xa764_0000, 0x0de0_b6b3, 0, false, 0);

    /// How many digits a quantity has after the point at most.
    pub const MAX_DECIMALS: u32 = 9;

    /// How much all events of one window may add up to: 7 × 10^19. Up to here the sum has no rounding.
    pub const MAX_TOTAL: Decimal = Decimal::from_parts(0xc558_0000, 0xcb71_f51f, 3, false, 0);

    /// How many bytes the id, the job, the unique value and each value of a dimension have at most.
    pub const MAX_TEXT: usize = 128;

    /// An event of the quantity 1.
    pub fn new(
        tenant: TenantId,
        meter: impl Into<Box<str>>,
        source: impl Into<Box<str>>,
        id: impl Into<Box<str>>,
        at: Timestamp,
    ) -> Self {
        Self {
            tenant,
            project: None,
            key: None,
            user: None,
            job: None,
            meter: meter.into(),
            quantity: Decimal::ONE,
            events: 1,
            unique_value: None,
            dimensions: BTreeMap::new(),
            source: source.into(),
            id: id.into(),
            at,
        }
    }

    /// An event of the quantity 1 in a context: tenant, project, API key, user and job are those of the request or the job, and can't be
    /// another's.
    ///
    /// ```
    /// use tenancy_core::{Clock as _, SystemClock, TenantContext};
    /// use tenancy_usage::{UsageError, UsageEvent, UsageSink};
    ///
    /// async fn count_export(sink: &dyn UsageSink, context: &TenantContext, id: &str) -> Result<(), UsageError> {
    ///     let event = UsageEvent::in_context(context, "exports", "api", id, SystemClock.now());
    ///     sink.record(&[event]).await?;
    ///     Ok(())
    /// }
    /// # let _ = count_export;
    /// ```
    pub fn in_context(
        context: &TenantContext,
        meter: impl Into<Box<str>>,
        source: impl Into<Box<str>>,
        id: impl Into<Box<str>>,
        at: Timestamp,
    ) -> Self {
        Self::new(context.tenant_id(), meter, source, id, at).of_context(context)
    }

    /// The same event, whose tenant, project, API key, user and job are those of the context, whatever it said before.
    pub fn of_context(mut self, context: &TenantContext) -> Self {
        let (key, job) = match &context.principal().actor {
            Actor::Key(key) => (Some(*key), None),
            Actor::Job(name) => (None, Some(name.to_string().into())),
            _ => (None, None),
        };
        (self.tenant, self.project) = (context.tenant_id(), context.project_id());
        (self.key, self.user, self.job) = (key, context.user_id(), job);
        self
    }

    /// How much was used. Default: 1.
    pub fn quantity(mut self, quantity: impl Into<Decimal>) -> Self {
        self.quantity = quantity.into();
        self
    }

    /// How many events it stands for, which its source has added up: their sum, their largest or smallest quantity, or the
    /// newest. A meter that counts events wants the same number as the quantity. Default: 1.
    pub const fn standing_for(mut self, events: u64) -> Self {
        self.events = events;
        self
    }

    /// What a meter of [different values](crate::Aggregation::Unique) counts once.
    pub fn unique_value(mut self, value: impl Into<Box<str>>) -> Self {
        self.unique_value = Some(value.into());
        self
    }

    /// Gives it a dimension that its meter allows.
    pub fn dimension(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.dimensions.insert(name.into(), value.into());
        self
    }

    /// The project in which it was used.
    pub fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// The API key with which it was used.
    pub fn key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// The user who used it.
    pub fn user(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// The job that used it.
    pub fn job(mut self, job: impl Into<Box<str>>) -> Self {
        self.job = Some(job.into());
        self
    }

    /// By what it is known.
    #[must_use]
    pub fn event_key(&self) -> EventKey {
        EventKey::new(self.tenant, self.source.clone(), self.id.clone())
    }

    /// The digest of its content: all but the time. Two events with one [key](Self::event_key) and different digests are
    /// a conflict.
    ///
    /// The bytes are those of the format `usage-event-1`: the name of the format, then tenant, project, key and user as
    /// UUIDs, job, meter, quantity, the number of events as a text, unique value, and the dimensions by name. A text is
    /// preceded by its length as 8 bytes, big-endian; what may be absent by a byte 1, or replaced by a byte 0; the quantity is the shortest text. The
    /// format does not change: stored digests stay comparable.
    #[must_use]
    pub fn digest(&self) -> UsageDigest {
        let uuid = |canonical: Canonical, id: uuid::Uuid| canonical.bytes(id.as_bytes());
        let mut canonical = Canonical::of("usage-event-1")
            .bytes(self.tenant.as_uuid().as_bytes())
            .maybe(self.project.map(Into::into), uuid)
            .maybe(self.key.map(Into::into), uuid)
            .maybe(self.user.map(Into::into), uuid)
            .maybe(self.job.as_deref(), Canonical::text)
            .text(&self.meter)
            .decimal(self.quantity)
            .text(&self.events.to_string())
            .maybe(self.unique_value.as_deref(), Canonical::text);
        for (name, value) in &self.dimensions {
            canonical = canonical.text(name).text(value);
        }
        canonical.end()
    }
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_one(events: &u64) -> bool {
    *events == 1
}
