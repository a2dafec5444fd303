//! What the recorder keeps, sends again, and says that it has lost.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{sync::Arc, time::Duration};

use tenancy_core::{
    Clock, ManualClock, MemoryDirectory, Tenancy, TenantContext, TenantRecord, Timestamp,
    quota::Window, testing::ContextBuilder,
};
use tenancy_usage::{
    Decimal, MemoryUsage, RollupQuery, UsageEvent, UsageMeter, UsageMeters, UsageRecorder,
    UsageSink as _,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn meters() -> UsageMeters {
    UsageMeters::new([UsageMeter::sum("tokens"), UsageMeter::max("connections")]).unwrap()
}

fn context() -> TenantContext {
    let engine = Tenancy::builder(MemoryDirectory::new())
        .established_principals()
        .build()
        .unwrap();
    let acme = TenantRecord::new("acme".parse().unwrap(), "Acme");
    ContextBuilder::new(&engine, acme).build()
}

async fn total(sink: &MemoryUsage, context: &TenantContext, meter: &str) -> Option<Decimal> {
    let day = Duration::from_secs(86_400);
    let range = Window::new(NOW - day, NOW + day);
    let told = sink
        .rollups(&RollupQuery::total(context.tenant_id(), meter, range))
        .await
        .unwrap();
    told.first().map(|it| it.quantity)
}

/// The clock of the process is set back after something was recorded: it waits until the clock has caught up, and is counted once.
#[tokio::test]
async fn what_is_ahead_of_a_clock_that_was_set_back_is_counted_later() {
    let clock = Arc::new(ManualClock::at(NOW));
    let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
    let sink = Arc::new(MemoryUsage::new(meters()).clock(shared()));
    let recorder = UsageRecorder::builder(Arc::clone(&sink) as _, meters()).clock(shared());
    // Nothing but the test sends.
    let recorder = recorder.flush_each(Duration::from_secs(86_400)).build();
    let tokens = recorder.series("tokens", []).unwrap();
    let context = context();
    tokens.record(&context, 5).unwrap();
    clock.set_back(Duration::from_secs(600));
    tokens.record(&context, 7).unwrap();
    recorder.flush().await.unwrap();
    assert_eq!(total(&sink, &context, "tokens").await, Some(7.into()));
    assert_eq!(recorder.uncounted(), 0);
    // It can't be told that all was taken.
    let closed = recorder.clone().close(Duration::from_millis(1)).await;
    assert!(closed.unwrap_err().to_string().contains("did not answer"));
    clock.advance(Duration::from_secs(600));
    recorder.flush().await.unwrap();
    recorder.flush().await.unwrap();
    assert_eq!(total(&sink, &context, "tokens").await, Some(12.into()));
    recorder.close(Duration::from_secs(1)).await.unwrap();
}

/// The largest of two is told, though they add up to more than one event may have.
#[tokio::test]
async fn a_sum_that_nobody_asks_for_refuses_nothing() {
    let sink = Arc::new(MemoryUsage::new(meters()).clock(Arc::new(ManualClock::at(NOW))));
    let recorder = UsageRecorder::builder(Arc::clone(&sink) as _, meters())
        .clock(Arc::new(ManualClock::at(NOW)));
    let recorder = recorder.build();
    let context = context();
    let large = UsageEvent::MAX_QUANTITY * Decimal::new(6, 1);
    let (connections, tokens) = (
        recorder.series("connections", []).unwrap(),
        recorder.series("tokens", []).unwrap(),
    );
    for quantity in [large - Decimal::ONE, large] {
        connections.record(&context, quantity).unwrap();
    }
    tokens.record(&context, large).unwrap();
    tokens.record(&context, large).unwrap_err();
    assert_eq!(recorder.dropped(), 1);
    recorder.close(Duration::from_secs(1)).await.unwrap();
    assert_eq!(total(&sink, &context, "connections").await, Some(large));
    assert_eq!(total(&sink, &context, "tokens").await, Some(large));
}
