//! Decisions, calendars, limits and counters, each against a naive model.

mod calendars;
mod counts;
mod holdings;
mod leases;
mod limits;
mod memory;
mod rates;

use std::time::Duration;

use crate::Timestamp;

/// 2027-01-15T08:00:00Z.
const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}
