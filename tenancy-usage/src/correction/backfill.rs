//! Backfills: many old events at once, under one name.

use tenancy_core::{Actor, TenantId, quota::Window};

use crate::{EventError, UsageDigest, UsageEvent, digest::Canonical};

/// Events that are older than late events are taken, under a name by which they are applied once and can be reverted: after
/// an outage of a source, or to bring in another system's usage.
///
/// It is applied as a whole or not at all. Where it [replaces](Self::replacing) a range, what its meter had there counts no
/// more. The source of its events is the backfill, so that no other event has their keys.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Actor, Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{
///     BackfillOutcome, MemoryUsage, RevertOutcome, UsageBackfill, UsageBackfills as _, UsageEvent, UsageMeter, UsageMeters,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let usage = MemoryUsage::new(UsageMeters::new([UsageMeter::sum("egress")])?);
/// let (acme, long_ago) = (TenantId::new(), SystemClock.now() - Duration::from_secs(90 * 86_400));
/// let event = UsageEvent::new(acme, "egress", "proxy", "day-1", long_ago).quantity(700);
/// let backfill = UsageBackfill::new(acme, "outage-of-june", "egress", [event])
///     .by(Actor::System, "the proxy could not send for a day");
/// assert_eq!(usage.backfill(&backfill).await?, BackfillOutcome::Applied { added: 1, voided: 0 });
/// assert_eq!(usage.backfill(&backfill).await?, BackfillOutcome::AlreadyApplied);
///
/// let reverted = usage.revert_backfill(acme, "outage-of-june", &Actor::System, "it was another tenant's").await?;
/// assert_eq!(reverted, RevertOutcome::Reverted { voided: 1, restored: 0 });
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// As of a [correction](crate::UsageCorrection): nothing checks who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct UsageBackfill {
    /// Whose usage it is.
    pub tenant: TenantId,
    /// Its name, which a tenant has once.
    pub name: Box<str>,
    /// The meter's name.
    pub meter: Box<str>,
    /// What of the meter is replaced by it; `None` if it is added.
    pub replaces: Option<Window>,
    /// Its events, each with the tenant and the source of the backfill.
    pub events: Vec<UsageEvent>,
    /// Who fills up. Default: the service itself.
    pub by: Actor,
    /// Why. A backfill without a reason is refused.
    pub reason: Box<str>,
}

impl UsageBackfill {
    /// How many bytes a name has at most.
    pub const MAX_NAME: usize = 100;

    /// How many events one has at most.
    pub const MAX_EVENTS: usize = 10_000;

    /// How many events one replaces at most.
    pub const MAX_REPLACED: u32 = 50_000;

    /// What the sources of events of backfills begin with. An event of another source that begins like this is refused.
    pub const SOURCE: &str = "backfill:";

    /// Adds these events. Their tenant is the backfill's, and their source too, whatever they said before.
    pub fn new(
        tenant: TenantId,
        name: impl Into<Box<str>>,
        meter: impl Into<Box<str>>,
        events: impl IntoIterator<Item = UsageEvent>,
    ) -> Self {
        let name = name.into();
        let source = Self::source_of(&name);
        let own = |event| UsageEvent {
            tenant,
            source: source.clone(),
            ..event
        };
        Self {
            tenant,
            meter: meter.into(),
            replaces: None,
            events: events.into_iter().map(own).collect(),
            by: Actor::System,
            reason: "".into(),
            name,
        }
    }

    /// The source of the events of a backfill of this name.
    #[must_use]
    pub fn source_of(name: &str) -> Box<str> {
        format!("{}{name}", Self::SOURCE).into()
    }

    /// Voids what the meter had in this range, of all projects, keys and dimensions. Its own events are within it.
    pub const fn replacing(mut self, range: Window) -> Self {
        self.replaces = Some(range);
        self
    }

    /// Who fills up, and why.
    pub fn by(mut self, actor: Actor, reason: impl Into<Box<str>>) -> Self {
        self.by = actor;
        self.reason = reason.into();
        self
    }

    /// The digest of what it says. Two backfills with one name and different digests are a
    /// [conflict](BackfillOutcome::Conflict).
    ///
    /// The bytes are those of the format `usage-backfill-1`: tenant, meter, the range if there is one, and of each event the id, the
    /// time and the digest.
    #[must_use]
    pub fn digest(&self) -> UsageDigest {
        let moments = |it: Canonical, range: Window| {
            it.decimal(range.start.as_unix_micros().into())
                .decimal(range.end.as_unix_micros().into())
        };
        let begin = Canonical::of("usage-backfill-1")
            .bytes(self.tenant.as_uuid().as_bytes())
            .text(&self.meter)
            .maybe(self.replaces, moments);
        let events = self.events.iter().fold(begin, |it, event| {
            it.text(&event.id)
                .decimal(event.at.as_unix_micros().into())
                .bytes(event.digest().as_bytes())
        });
        events.end()
    }
}

/// What became of a backfill.
///
/// ```
/// use tenancy_usage::BackfillOutcome;
///
/// let outcome = BackfillOutcome::Applied { added: 24, voided: 3 };
/// assert_ne!(outcome, BackfillOutcome::AlreadyApplied);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackfillOutcome {
    /// It is applied, for the first time.
    Applied {
        /// How many events were added.
        added: u64,
        /// How many events count no more.
        voided: u64,
    },
    /// It was applied before.
    AlreadyApplied,
    /// Another backfill of this tenant was applied under its name. That one stands.
    Conflict,
    /// It was applied before, and reverted. Give it another name to apply it again.
    Reverted,
    /// Something is wrong with it. Nothing of it is applied.
    Refused(EventError),
}

/// What became of reverting a backfill.
///
/// ```
/// use tenancy_usage::RevertOutcome;
///
/// let outcome = RevertOutcome::Reverted { voided: 24, restored: 3 };
/// assert_ne!(outcome, RevertOutcome::Unknown);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevertOutcome {
    /// It is reverted: its events count no more, and what it had replaced counts again.
    Reverted {
        /// How many events count no more.
        voided: u64,
        /// How many events count again.
        restored: u64,
    },
    /// It was reverted before.
    AlreadyReverted,
    /// The tenant has no backfill of this name.
    Unknown,
    /// It can't be reverted, as the error says. Nothing has changed.
    Refused(EventError),
}
