//! Periods of a calendar, and one stretch of time of such a period.

use std::time::Duration;

use crate::Timestamp;

/// How long a limit per period counts before it starts again: see [`Calendar`](super::Calendar).
///
/// ```
/// use tenancy_core::{Timestamp, quota::{Calendar, Period}};
///
/// let window = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
/// assert_eq!(window.start.to_string(), "2027-01-01T00:00:00.000000Z");
/// assert_eq!(window.end.to_string(), "2027-02-01T00:00:00.000000Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Period {
    /// An hour of the zone's clock.
    Hour,
    /// A day of the zone's calendar: 23 to 25 hours where clocks change.
    Day,
    /// A month, from the first or from the billing anchor.
    Month,
    /// A year, from the first of January or from the billing anchor.
    Year,
}

impl Period {
    /// Every period.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Month, Self::Year];

    pub(super) const fn adverb(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// Whether waiting for the next one is an answer that one gives to a caller.
    pub(super) const fn is_short(self) -> bool {
        matches!(self, Self::Hour | Self::Day)
    }
}

/// One hour, day, month or year: from its start, and up to its end, which is the start of the next.
///
/// The start is the period's id.
///
/// ```
/// use tenancy_core::{Timestamp, quota::{Calendar, Period}};
///
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let hour = Calendar::utc().window(Period::Hour, now);
/// assert!(hour.contains(now) && !hour.contains(hour.end));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Window {
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment of the next one.
    pub end: Timestamp,
}

impl Window {
    /// From a moment up to another.
    #[must_use]
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether a moment is in it.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }

    /// How long it goes on after a moment.
    #[must_use]
    pub fn rest(&self, now: Timestamp) -> Duration {
        self.end.since(now)
    }
}
