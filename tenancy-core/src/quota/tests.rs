//! Decisions, calendars, limits and counters, each against a naive model.

mod calendars;
mod counts;
mod holdings;
mod leased;
mod leases;
mod limits;
mod memory;
mod rates;
mod shown;

use std::time::Duration;

use proptest::test_runner::Config;

use crate::Timestamp;

/// 2027-01-15T08:00:00Z.
const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

/// How many random histories of each algorithm are played against its model: 10,000, and 100,000 with `TENANCY_LONG`.
fn histories() -> Config {
    let is_long = std::env::var("TENANCY_LONG").is_ok_and(|long| long == "1");
    Config::with_cases(if is_long { 100_000 } else { 10_000 })
}
