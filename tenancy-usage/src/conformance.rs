//! The conformance suite of sinks: what [`UsageSink`] promises, checked against any implementation.
//!
//! The sink counts the meters of [`meters`], by months of UTC, with [`EventTimes::default`](crate::EventTimes), and by a
//! clock that shows [`NOW`]. It is given [`TENANTS`] tenants that exist and have no usage.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tenancy_core::{ManualClock, TenantId};
//! use tenancy_usage::{MemoryUsage, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let clock = Arc::new(ManualClock::at(conformance::NOW));
//! let sink = MemoryUsage::new(conformance::meters()).clock(clock);
//! let tenants = [(); conformance::TENANTS].map(|()| TenantId::new());
//! conformance::sink(&sink, &tenants).await;
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a conformance suite fails by panicking, like any test"
)]

mod billing;
mod correcting;
mod counting;
mod filling;
mod histories;
mod metrics;
mod restating;
mod rolling;

pub use billing::{
    BILLED_TENANTS, GRACE, a_customer_is_one_tenants, a_grant_is_taken_once,
    a_period_is_closed_once, a_report_is_sent_until_it_is_answered, a_threshold_is_told_once,
    a_webhook_has_one_outcome, billing, credits_pay_when_a_period_is_closed,
    updates_come_in_any_order,
};
pub use correcting::{
    a_correction_applies_once_or_says_why_not, corrections_and_events_at_once_lose_nothing,
    each_aggregation_is_computed_again,
};
pub use counting::{
    a_bad_event_keeps_no_good_one_out, a_conflict_leaves_the_first,
    an_event_sent_again_with_another_time_counts_once, an_event_that_nobody_counts_is_told,
    one_key_counts_once, one_key_counts_once_from_many_at_once, tenants_do_not_share_keys,
};
pub use filling::{
    a_backfill_adds_once_and_is_reverted, a_backfill_replaces_and_gives_back,
    a_bad_backfill_changes_nothing, an_earlier_backfill_is_reverted_after_a_later_one,
};
pub use histories::histories;
pub use metrics::{
    a_metric_is_its_owners, a_metric_tells_what_it_says, a_metric_that_cant_be_told_is_refused,
};
pub use restating::corrected_histories;
pub use rolling::{
    each_aggregation_adds_up, groups_are_told_apart, queries_that_make_no_sense_are_refused,
    what_was_added_up_before_counts_for_all, windows_begin_where_the_calendar_says,
};

use std::time::Duration;

use rust_decimal::Decimal;
use tenancy_core::{TenantId, Timestamp, quota::Window};

use crate::{
    CustomMetrics, EventOutcome, Resolution, RollupQuery, UsageBackfills, UsageEvent, UsageMeter,
    UsageMeters, UsageSink,
};

/// What the clock of the sink shows: 2027-01-15T08:00:00Z.
pub const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// How many tenants the suite needs.
pub const TENANTS: usize = 25;

/// The meters that the sink counts.
pub fn meters() -> UsageMeters {
    UsageMeters::new([
        UsageMeter::count("requests").dimension("route"),
        UsageMeter::sum("tokens")
            .dimension("model")
            .dimension("region"),
        UsageMeter::max("connections"),
        UsageMeter::min("free-bytes"),
        UsageMeter::latest("stored-bytes"),
        UsageMeter::unique("visitors"),
    ])
    .unwrap()
}

/// Runs the whole suite, with histories of two seeds.
pub async fn sink(sink: &dyn UsageSink, tenants: &[TenantId; TENANTS]) {
    one_key_counts_once(sink, tenants[0]).await;
    an_event_sent_again_with_another_time_counts_once(sink, tenants[1]).await;
    a_conflict_leaves_the_first(sink, tenants[2]).await;
    tenants_do_not_share_keys(sink, [tenants[3], tenants[4]]).await;
    a_bad_event_keeps_no_good_one_out(sink, tenants[5]).await;
    an_event_that_nobody_counts_is_told(sink, tenants[6]).await;
    each_aggregation_adds_up(sink, tenants[7]).await;
    groups_are_told_apart(sink, tenants[8]).await;
    windows_begin_where_the_calendar_says(sink, tenants[9]).await;
    queries_that_make_no_sense_are_refused(sink, tenants[10]).await;
    what_was_added_up_before_counts_for_all(sink, tenants[16]).await;
    one_key_counts_once_from_many_at_once(sink, tenants[15]).await;
    histories(sink, [tenants[11], tenants[12]], 1, 400).await;
    histories(sink, [tenants[13], tenants[14]], 2, 400).await;
    a_correction_applies_once_or_says_why_not(sink, [tenants[17], tenants[18]]).await;
    each_aggregation_is_computed_again(sink, tenants[19]).await;
    corrections_and_events_at_once_lose_nothing(sink, tenants[20]).await;
    corrected_histories(sink, [tenants[21], tenants[22]], 1, 150).await;
    corrected_histories(sink, [tenants[23], tenants[24]], 2, 150).await;
}

/// How many tenants the suite of backfills needs.
pub const FILLED_TENANTS: usize = 5;

/// Runs what a sink that takes backfills promises, with tenants that have no usage.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_core::{ManualClock, TenantId};
/// use tenancy_usage::{MemoryUsage, conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = Arc::new(ManualClock::at(conformance::NOW));
/// let sink = MemoryUsage::new(conformance::meters()).clock(clock);
/// let tenants = [(); conformance::FILLED_TENANTS].map(|()| TenantId::new());
/// conformance::backfills(&sink, &tenants).await;
/// # }
/// ```
pub async fn backfills(sink: &dyn UsageBackfills, tenants: &[TenantId; FILLED_TENANTS]) {
    a_backfill_adds_once_and_is_reverted(sink, tenants[0]).await;
    a_backfill_replaces_and_gives_back(sink, [tenants[1], tenants[2]]).await;
    a_bad_backfill_changes_nothing(sink, tenants[3]).await;
    an_earlier_backfill_is_reverted_after_a_later_one(sink, tenants[4]).await;
}

/// How many tenants the suite of custom metrics needs.
pub const MEASURED_TENANTS: usize = 5;

/// Runs what a sink that keeps custom metrics promises, with tenants that have no usage. No metric is for all tenants yet.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_core::{ManualClock, TenantId};
/// use tenancy_usage::{MemoryUsage, conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = Arc::new(ManualClock::at(conformance::NOW));
/// let sink = MemoryUsage::new(conformance::meters()).clock(clock);
/// let tenants = [(); conformance::MEASURED_TENANTS].map(|()| TenantId::new());
/// conformance::metrics(&sink, &tenants).await;
/// # }
/// ```
pub async fn metrics(sink: &dyn CustomMetrics, tenants: &[TenantId; MEASURED_TENANTS]) {
    a_metric_tells_what_it_says(sink, [tenants[0], tenants[1]]).await;
    a_metric_is_its_owners(sink, [tenants[2], tenants[3]]).await;
    a_metric_that_cant_be_told_is_refused(sink, tenants[4]).await;
}

fn ago(seconds: u64) -> Timestamp {
    NOW - Duration::from_secs(seconds)
}

fn tokens(tenant: TenantId, id: &str, quantity: i64) -> UsageEvent {
    UsageEvent::new(tenant, "tokens", "suite", id, ago(60)).quantity(quantity)
}

async fn record(sink: &dyn UsageSink, events: &[UsageEvent]) -> Vec<EventOutcome> {
    let outcomes = sink.record(events).await.unwrap();
    assert_eq!(outcomes.len(), events.len(), "one outcome for each event");
    outcomes
}

async fn record_one(sink: &dyn UsageSink, event: UsageEvent) -> EventOutcome {
    record(sink, &[event]).await.remove(0)
}

/// All that the late window and the clock leave room for.
fn all_time() -> Window {
    let day = Duration::from_secs(86_400);
    Window::new(NOW - 60 * day, NOW + day)
}

/// Quantity and number of events of a meter in all time.
async fn total(sink: &dyn UsageSink, tenant: TenantId, meter: &str) -> Option<(Decimal, u64)> {
    let query = RollupQuery::total(tenant, meter, all_time());
    let rollups = sink.rollups(&query).await.unwrap();
    assert!(rollups.len() <= 1, "{rollups:?}");
    rollups.first().map(|one| (one.quantity, one.events))
}

/// Quantity and number of events of each window.
async fn each(
    sink: &dyn UsageSink,
    tenant: TenantId,
    meter: &str,
    resolution: Resolution,
) -> Vec<(Window, Decimal, u64)> {
    let query = RollupQuery::each(tenant, meter, resolution, all_time());
    let rollups = sink.rollups(&query).await.unwrap();
    rollups
        .iter()
        .map(|one| (one.window, one.quantity, one.events))
        .collect()
}
