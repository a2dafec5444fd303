//! Why an event can't be counted.

/// What is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventErrorKind {
    /// There is no meter of that name.
    UndeclaredMeter,
    /// The meter allows no dimension of that name.
    UndeclaredDimension,
    /// The quantity is below 0.
    NegativeQuantity,
    /// The quantity is too large, has too many digits after the point, or the sum of its window would be too large.
    Overflow,
    /// The quantity, the number of events or the unique value does not fit the meter's aggregation.
    Misfit,
    /// A text is empty or too long.
    InvalidText,
    /// The project or the API key is another tenant's.
    OfAnotherTenant,
    /// The store can't keep it as it is.
    NotStored,
    /// A recorder or a spool has no room for it, or has ended.
    NoRoom,
    /// The disk did not take it. Whether it will count is not known: record it again with the same id.
    NotWritten,
    /// The time lies ahead of the clock.
    InFuture,
    /// The time lies further back than late events are taken.
    TooLate,
}

/// Why an event was not counted. The message names what is wrong and how to mend it.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::{EventErrorKind, EventTimes, UsageEvent, UsageMeter, UsageMeters};
///
/// let meters = UsageMeters::new([UsageMeter::sum("egress")])?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let event = UsageEvent::new(TenantId::new(), "egress", "proxy", "1", now).quantity(-1);
/// let error = meters.check(&event, now, &EventTimes::default()).unwrap_err();
/// assert_eq!(error.kind(), EventErrorKind::NegativeQuantity);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EventError {
    kind: EventErrorKind,
    message: String,
}

impl EventError {
    /// An error of this kind, for sinks.
    #[must_use]
    pub fn new(kind: EventErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> EventErrorKind {
        self.kind
    }
}
