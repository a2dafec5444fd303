//! Corrections: what is said later about an event that was counted.

mod backfill;
mod check;
mod listing;

use rust_decimal::Decimal;
use tenancy_core::Actor;

pub use backfill::{BackfillOutcome, RevertOutcome, UsageBackfill};
pub(crate) use check::check_reason;
pub use listing::{AppliedBackfill, AppliedCorrection, UsageBackfills};

use crate::{EventError, EventKey, UsageDigest, digest::Canonical};

/// What a correction makes of an event.
///
/// ```
/// use rust_decimal::Decimal;
/// use tenancy_usage::UsageChange;
///
/// let change = UsageChange::Amend(Decimal::new(25, 1));
/// assert_ne!(change, UsageChange::Void);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageChange {
    /// It counts no more.
    Void,
    /// It counts with this quantity. Of a meter that counts events, this is also how many events it stands for.
    Amend(Decimal),
}

/// What is said later about an event that was counted: that it does not count, or counts with another quantity.
///
/// A correction is added beside the event, which stays as it came. It changes the windows in which the event happened, also
/// those of a period that is closed: [`Rating::adjust`](crate::invoice::Rating::adjust) puts the difference into the next
/// invoice. Like an event, a correction has a source and an id, by which it is applied once.
///
/// ```
/// use tenancy_core::{Actor, Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{CorrectionOutcome, MemoryUsage, UsageCorrection, UsageEvent, UsageMeter, UsageMeters, UsageSink as _};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let usage = MemoryUsage::new(UsageMeters::new([UsageMeter::sum("egress")])?);
/// let event = UsageEvent::new(TenantId::new(), "egress", "proxy", "request-1", SystemClock.now()).quantity(700);
/// usage.record(&[event.clone()]).await?;
/// let correction = UsageCorrection::amend(event.event_key(), 70, "support", "ticket-4711")
///     .by(Actor::System, "the proxy counted bits");
/// let outcomes = usage.correct(&[correction.clone(), correction]).await?;
/// assert_eq!(outcomes, [CorrectionOutcome::Applied, CorrectionOutcome::AlreadyApplied]);
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// It says whose event it is about and who corrects it, and nothing checks that. Let only people correct usage who may
/// change what a tenant pays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct UsageCorrection {
    /// The event that it is about, with the tenant.
    pub event: EventKey,
    /// What has sent the correction: a desk, a job, an importer.
    pub source: Box<str>,
    /// Its id at that source.
    pub id: Box<str>,
    /// What becomes of the event.
    pub change: UsageChange,
    /// Who corrects. Default: the service itself.
    pub by: Actor,
    /// Why, for people who ask later. A correction without a reason is refused.
    pub reason: Box<str>,
}

impl UsageCorrection {
    /// How many bytes a reason has at most.
    pub const MAX_REASON: usize = 1_024;

    fn new(
        event: EventKey,
        change: UsageChange,
        source: impl Into<Box<str>>,
        id: impl Into<Box<str>>,
    ) -> Self {
        Self {
            event,
            source: source.into(),
            id: id.into(),
            change,
            by: Actor::System,
            reason: "".into(),
        }
    }

    /// The event counts no more.
    pub fn void(event: EventKey, source: impl Into<Box<str>>, id: impl Into<Box<str>>) -> Self {
        Self::new(event, UsageChange::Void, source, id)
    }

    /// The event counts with this quantity. It may be amended again.
    pub fn amend(
        event: EventKey,
        quantity: impl Into<Decimal>,
        source: impl Into<Box<str>>,
        id: impl Into<Box<str>>,
    ) -> Self {
        Self::new(event, UsageChange::Amend(quantity.into()), source, id)
    }

    /// Who corrects, and why.
    pub fn by(mut self, actor: Actor, reason: impl Into<Box<str>>) -> Self {
        self.by = actor;
        self.reason = reason.into();
        self
    }

    /// The digest of what it says: the event, and what becomes of it. Two corrections with one source and id and different
    /// digests are a [conflict](CorrectionOutcome::Conflict).
    ///
    /// The bytes are those of the format `usage-correction-1`: tenant, source and id of the event, and the quantity if it is
    /// amended. Stored digests stay comparable.
    #[must_use]
    pub fn digest(&self) -> UsageDigest {
        let amended = match self.change {
            UsageChange::Void => None,
            UsageChange::Amend(quantity) => Some(quantity),
        };
        Canonical::of("usage-correction-1")
            .bytes(self.event.tenant.as_uuid().as_bytes())
            .text(&self.event.source)
            .text(&self.event.id)
            .maybe(amended, Canonical::decimal)
            .end()
    }
}

/// What became of a correction.
///
/// ```
/// use tenancy_usage::CorrectionOutcome;
///
/// /// Whether the usage is now as the correction says.
/// fn holds(outcome: &CorrectionOutcome) -> bool {
///     matches!(outcome, CorrectionOutcome::Applied | CorrectionOutcome::AlreadyApplied)
/// }
/// assert!(!holds(&CorrectionOutcome::UnknownEvent));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CorrectionOutcome {
    /// It is applied, for the first time.
    Applied,
    /// It was applied before.
    AlreadyApplied,
    /// Another correction was applied under its source and id. That one stands.
    Conflict,
    /// The tenant has no such event: it never came, is another tenant's, is of a meter that nobody declares, or is so old that it was
    /// removed.
    UnknownEvent,
    /// The event was voided before, and stays so. Send another event, with an id of its own.
    Voided,
    /// Something is wrong with the correction. It may come again when that is mended.
    Refused(EventError),
}

impl From<EventError> for CorrectionOutcome {
    fn from(error: EventError) -> Self {
        Self::Refused(error)
    }
}
