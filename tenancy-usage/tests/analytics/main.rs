//! What analytics answer, against a sink in memory that was told every event.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::print_stdout,
    reason = "helpers of tests fail and print as tests do, and ratios of whole numbers are exact"
)]

mod benchmark;
mod http;
mod many;
mod one;
mod statistics;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenancy_core::{
    ManualClock, TenantId, Timestamp,
    quota::{Calendar, Period, Window},
};
use tenancy_usage::{
    Decimal, EventOutcome, EventTimes, MemoryUsage, UsageEvent, UsageMeter, UsageMeters,
    UsageSink as _,
};

const DAY: Duration = Duration::from_secs(86_400);

/// 2027-01-15T08:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// Those of the adapters, with one of each other kind.
fn meters() -> UsageMeters {
    UsageMeters::new([
        UsageMeter::count("http-requests")
            .dimension("route")
            .dimension("method")
            .dimension("status"),
        UsageMeter::count("http-took")
            .dimension("route")
            .dimension("took"),
        UsageMeter::sum("http-seconds")
            .unit("seconds")
            .dimension("route"),
        UsageMeter::sum("http-request-bytes")
            .unit("bytes")
            .dimension("route"),
        UsageMeter::sum("http-response-bytes")
            .unit("bytes")
            .dimension("route"),
        UsageMeter::sum("tokens").dimension("model"),
        UsageMeter::count("exports"),
    ])
    .unwrap()
}

struct World {
    sink: MemoryUsage,
    next: AtomicU64,
}

impl World {
    /// Takes events of the last 500 days.
    fn new() -> Self {
        let times = EventTimes::new(500 * DAY, DAY).unwrap();
        let sink = MemoryUsage::new(meters()).times(times);
        Self {
            sink: sink.clock(Arc::new(ManualClock::at(NOW))),
            next: AtomicU64::new(1),
        }
    }

    async fn record(&self, event: UsageEvent) {
        let outcomes = self.sink.record(&[event]).await.unwrap();
        assert_eq!(outcomes, [EventOutcome::Counted]);
    }

    fn event(&self, tenant: TenantId, meter: &str, at: Timestamp) -> UsageEvent {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        UsageEvent::new(tenant, meter, "test", id.to_string(), at)
    }

    async fn tokens(&self, tenant: TenantId, at: Timestamp, quantity: impl Into<Decimal>) {
        self.record(self.event(tenant, "tokens", at).quantity(quantity))
            .await;
    }
}

/// A moment as `2027-01-15T08:00:00Z`.
fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_unix_seconds(instant.as_second())
}

fn range(start: &str, end: &str) -> Window {
    Window::new(at(start), at(end))
}

fn month(of: &str) -> Window {
    Calendar::utc().window(Period::Month, at(of))
}
