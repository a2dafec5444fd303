//! The spool: what is recorded waits in files until a sink has answered, and nothing is lost silently.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod bounds;
mod damage;
mod disk;
mod sending;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tenancy_core::{Clock as _, ManualClock, TenantId, Timestamp};
use tenancy_usage::{
    EventOutcome, MemoryUsage, Rollup, RollupQuery, UsageError, UsageEvent, UsageMeter,
    UsageMeters, UsageSink, UsageSpool, UsageSpoolBuilder, UsageStatus,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn meters() -> UsageMeters {
    let tokens = UsageMeter::sum("tokens").dimension("model");
    UsageMeters::new([tokens, UsageMeter::count("exports")]).unwrap()
}

/// A sink that can be switched off.
#[derive(Debug)]
struct Switched {
    sink: MemoryUsage,
    clock: Arc<ManualClock>,
    is_away: AtomicBool,
}

impl Switched {
    fn new() -> Arc<Self> {
        Self::counting(meters())
    }

    fn counting(meters: UsageMeters) -> Arc<Self> {
        let clock = Arc::new(ManualClock::at(NOW));
        Arc::new(Self {
            sink: MemoryUsage::new(meters).clock(clock.clone()),
            clock,
            is_away: AtomicBool::new(false),
        })
    }

    fn away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Quantity and number of events of `tokens`.
    async fn tokens(&self, tenant: TenantId) -> (i64, u64) {
        let day = tenancy_core::quota::Window::new(
            NOW - Duration::from_secs(86_400),
            self.clock.now() + Duration::from_secs(86_400),
        );
        let query = RollupQuery::total(tenant, "tokens", day);
        let rollups = self.sink.rollups(&query).await.unwrap();
        let total = rollups.first();
        total.map_or((0, 0), |total| {
            (total.quantity.try_into().unwrap(), total.events)
        })
    }
}

#[async_trait]
impl UsageSink for Switched {
    async fn record(&self, events: &[UsageEvent]) -> Result<Vec<EventOutcome>, UsageError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(UsageError::unavailable("switched off"));
        }
        self.sink.record(events).await
    }

    async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError> {
        self.sink.rollups(query).await
    }

    async fn status(&self, tenant: TenantId) -> Result<UsageStatus, UsageError> {
        self.sink.status(tenant).await
    }
}

fn tokens(tenant: TenantId, id: u32) -> UsageEvent {
    UsageEvent::new(tenant, "tokens", "test", id.to_string(), NOW)
        .quantity(id)
        .dimension("model", "large")
}

/// It sends when it is told to.
fn spooling(sink: &Arc<Switched>, directory: &Path) -> UsageSpoolBuilder {
    let sink: Arc<dyn UsageSink> = sink.clone();
    UsageSpool::builder(sink, meters(), directory).send_each(Duration::from_secs(3_600))
}

/// Ends without sending, as far as a process can that goes on; what it has recorded is on disk.
async fn left(spool: UsageSpool, sink: &Switched) {
    sink.away(true);
    assert!(spool.close(Duration::from_millis(100)).await.is_err());
    drop(spool);
    sink.away(false);
}

/// Opens a directory as soon as the spool before has let go of it: its thread ends by itself.
async fn reopened(sink: &Arc<Switched>, directory: &Path) -> UsageSpool {
    for _ in 0..1_000 {
        match spooling(sink, directory).build() {
            Ok(spool) => return spool,
            Err(error) => assert!(error.to_string().contains("another process"), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the directory stays locked")
}

/// The files of a directory whose name begins so, but the lock.
fn files(directory: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|name| name.starts_with(beginning) && name != "lock")
        .collect();
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}
