//! The conformance suite of counters: what [`Counters`] promise, checked against any implementation.
//!
//! ```
//! use tenancy_core::quota::{MemoryCounters, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::counters(&MemoryCounters::new()).await;
//! conformance::histories(&MemoryCounters::new(), 1, 500).await;
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a conformance suite fails by panicking, like any test"
)]

mod histories;
mod operations;
mod taking;

pub use histories::histories;
pub use operations::{
    a_denied_operation_may_be_tried_again, a_settlement_counts_once,
    an_operation_that_is_repeated_is_taken_once, between_two, leases_end_and_are_renewed,
    reservations_are_kept_or_released, what_a_repetition_was_granted_with_stays_taken,
    what_was_given_back_is_taken_again,
};
pub use taking::{
    a_clock_that_is_set_back_frees_nothing_and_blocks_nothing, a_denial_takes_nothing,
    a_period_starts_again, all_or_nothing_is_taken, counters_are_never_negative,
    exactly_the_limit_passes, holders_and_limits_are_told_apart, thresholds_are_told_once,
};

use std::time::Duration;

use super::{
    Algorithm, Calendar, Ceiling, Concurrency, Counters, Denied, Granted, Holder, Operation,
    Overage, Period, Rate, Settle, Settled, Standing, Take, Taken,
};
use crate::{TenantId, Timestamp};

/// Runs the whole suite. The counters may hold others'; the suite makes its own tenants.
pub async fn counters(counters: &dyn Counters) {
    all_or_nothing_is_taken(counters).await;
    a_denial_takes_nothing(counters).await;
    holders_and_limits_are_told_apart(counters).await;
    a_period_starts_again(counters).await;
    a_clock_that_is_set_back_frees_nothing_and_blocks_nothing(counters).await;
    thresholds_are_told_once(counters).await;
    counters_are_never_negative(counters).await;
    exactly_the_limit_passes(counters).await;
    an_operation_that_is_repeated_is_taken_once(counters).await;
    a_denied_operation_may_be_tried_again(counters).await;
    a_settlement_counts_once(counters).await;
    what_was_given_back_is_taken_again(counters).await;
    what_a_repetition_was_granted_with_stays_taken(counters).await;
    leases_end_and_are_renewed(counters).await;
    reservations_are_kept_or_released(counters).await;
}

/// 2027-01-15T08:00:00Z.
const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many in ten seconds, and all of them at once.
fn rate(amount: u64) -> Algorithm {
    Algorithm::Rate(Rate::new(amount, seconds(10), amount).unwrap())
}

/// So many in the month of a moment.
fn month(amount: u64, now: Timestamp) -> Algorithm {
    let ceiling = Ceiling::new(amount, Overage::Denied).unwrap();
    Algorithm::Period(ceiling, Calendar::utc().window(Period::Month, now))
}

/// So many at once, for leases of a minute.
fn at_once(amount: u64) -> Algorithm {
    Algorithm::Concurrent(Concurrency::new(amount, seconds(60)).unwrap())
}

/// So many kept, with reservations of a minute.
fn held(amount: u64) -> Algorithm {
    Algorithm::Held(Ceiling::new(amount, Overage::Denied).unwrap(), seconds(60))
}

fn a_tenant() -> Holder {
    Holder::tenant(TenantId::new())
}

async fn take(
    counters: &dyn Counters,
    operation: Operation,
    takes: &[Take<'_>],
    now: Timestamp,
) -> Result<Granted, Vec<Denied>> {
    match counters.take(operation, takes, now).answer().await.unwrap() {
        Taken::Granted(granted) => Ok(granted),
        Taken::Denied(denied) => Err(denied),
    }
}

/// Whether a single take passes.
async fn passes(counters: &dyn Counters, one: Take<'_>, now: Timestamp) -> bool {
    take(counters, Operation::once(), &[one], now).await.is_ok()
}

async fn standing(counters: &dyn Counters, one: Take<'_>, now: Timestamp) -> Standing {
    let standings = counters.standings(&[one], now).answer().await.unwrap();
    *standings.iter().next().unwrap()
}

async fn settle(
    counters: &dyn Counters,
    operation: Operation,
    settles: &[Settle<'_>],
    now: Timestamp,
) -> Settled {
    let settled = counters.settle(operation, settles, now);
    settled.answer().await.unwrap()
}
