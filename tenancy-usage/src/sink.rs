//! Sinks: where usage is counted.

mod error;
mod memory;

use async_trait::async_trait;
use tenancy_core::{TenantId, Timestamp};

pub use error::{UsageError, UsageErrorKind};
pub use memory::MemoryUsage;

use crate::{
    CorrectionOutcome, EventError, EventErrorKind, Rollup, RollupQuery, UsageCorrection, UsageEvent,
};

/// What became of an event that was given to a sink.
///
/// ```
/// use tenancy_usage::EventOutcome;
///
/// /// Whether its source may forget it.
/// fn is_settled(outcome: &EventOutcome) -> bool {
///     matches!(outcome, EventOutcome::Counted | EventOutcome::AlreadyCounted)
/// }
/// assert!(is_settled(&EventOutcome::AlreadyCounted));
/// assert!(!is_settled(&EventOutcome::Conflict));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventOutcome {
    /// It is counted, for the first time.
    Counted,
    /// It was counted before. Its time may be another now; the first holds.
    AlreadyCounted,
    /// Another event was counted under its key. That one stands.
    Conflict,
    /// No meter matches it. It is not counted.
    Unmatched(EventError),
    /// It happened longer ago than late events are taken. It is not counted.
    TooLate(EventError),
    /// Something else is wrong with it. It is not counted, and may come again when that is mended.
    Refused(EventError),
}

impl From<EventError> for EventOutcome {
    fn from(error: EventError) -> Self {
        match error.kind() {
            EventErrorKind::UndeclaredMeter => Self::Unmatched(error),
            EventErrorKind::TooLate => Self::TooLate(error),
            _ => Self::Refused(error),
        }
    }
}

/// What a sink did with all the events that it was given for a tenant, and how fresh its rollups are.
///
/// ```
/// use tenancy_usage::UsageStatus;
///
/// /// What somebody should look at.
/// fn is_losing(status: &UsageStatus) -> bool {
///     status.unmatched + status.too_late + status.refused + status.conflicts > 0
/// }
/// assert!(!is_losing(&UsageStatus::default()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UsageStatus {
    /// How many were counted.
    pub counted: u64,
    /// How many had been counted before.
    pub already_counted: u64,
    /// How many had the key of another.
    pub conflicts: u64,
    /// How many no meter matched.
    pub unmatched: u64,
    /// How many came too late.
    pub too_late: u64,
    /// How many were refused for something else.
    pub refused: u64,
    /// The newest time of an event that was counted.
    pub newest_event: Option<Timestamp>,
    /// Events that were counted before this moment are in the rollups; `None` if nothing was counted yet.
    pub rolled_up_until: Option<Timestamp>,
    /// How many events wait to be counted, written by transactions that have committed. Always 0 where there are none such.
    pub pending: u64,
    /// Since when the oldest of them waits.
    pub pending_since: Option<Timestamp>,
}

impl UsageStatus {
    /// Adds what became of one more event.
    pub fn note(&mut self, outcome: &EventOutcome) {
        let count = match outcome {
            EventOutcome::Counted => &mut self.counted,
            EventOutcome::AlreadyCounted => &mut self.already_counted,
            EventOutcome::Conflict => &mut self.conflicts,
            EventOutcome::Unmatched(_) => &mut self.unmatched,
            EventOutcome::TooLate(_) => &mut self.too_late,
            EventOutcome::Refused(_) => &mut self.refused,
        };
        *count = count.saturating_add(1);
    }
}

/// Where usage is counted: in [memory](MemoryUsage), or in a store of your own that passes the suite `conformance`.
///
/// An implementation promises:
/// * An event counts once for each [key](UsageEvent::event_key), however often and however concurrently it comes, also
///   after an answer was lost. The mark that it was counted and what it adds to the rollups are written together.
/// * A batch is not all or nothing: each event has its outcome, and a bad one keeps no good one from being counted.
/// * Rollups are fed from events that were really counted, and from nothing else.
/// * An error means that nothing is known of the batch. The caller sends it again, with the same ids and times.
/// * A correction is added, and changes no event. It is applied once for each source and id, and all windows of the event
///   tell afterwards what the events that still stand add up to.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_core::{Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{EventOutcome, MemoryUsage, UsageEvent, UsageMeter, UsageMeters, UsageSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let meters = UsageMeters::new([UsageMeter::count("exports")])?;
/// let sink: Arc<dyn UsageSink> = Arc::new(MemoryUsage::new(meters));
/// let event = UsageEvent::new(TenantId::new(), "exports", "api", "export-1", SystemClock.now());
/// let outcomes = sink.record(&[event.clone(), event]).await?;
/// assert_eq!(outcomes, [EventOutcome::Counted, EventOutcome::AlreadyCounted]);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait UsageSink: Send + Sync + std::fmt::Debug {
    /// Counts what is new of a batch, and says what became of each event, in their order.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Unavailable`](UsageErrorKind::Unavailable) if it is not known what became of them.
    async fn record(&self, events: &[UsageEvent]) -> Result<Vec<EventOutcome>, UsageError>;

    /// Applies corrections to events that were counted, and says what became of each, in their order. What one refuses keeps no
    /// other from being applied.
    ///
    /// A sink that takes no corrections leaves it as it is.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`Unavailable`](UsageErrorKind::Unavailable) if it is not known what became of them,
    /// after which the same corrections are sent again; [`Unsupported`](UsageErrorKind::Unsupported) by a sink that takes none.
    async fn correct(
        &self,
        corrections: &[UsageCorrection],
    ) -> Result<Vec<CorrectionOutcome>, UsageError> {
        let _ = corrections;
        Err(UsageError::unsupported(
            "this sink of usage takes no corrections; correct where it is counted",
        ))
    }

    /// The usage that a query asks for, by window, project, key and dimensions. What has no event has no rollup.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](UsageErrorKind::InvalidQuery) if it
    /// [can't be answered](RollupQuery::check).
    async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError>;

    /// What became of the events of a tenant, and how fresh its rollups are.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Unavailable`](UsageErrorKind::Unavailable).
    async fn status(&self, tenant: TenantId) -> Result<UsageStatus, UsageError>;
}
