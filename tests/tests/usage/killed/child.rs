//! The process that is killed. It says how many events it begins to record, and how many can't be lost any more.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use tenancy_core::{
    Clock as _, SystemClock, TenantContext, TenantDirectory as _, TenantId, TenantRecord,
    testing::ContextBuilder,
};
use tenancy_sqlx::{PgDirectory, PgUsage, RegistryPool, TenantPoolOptions};
use tenancy_tests::notes::{builder, seal_key, seal_of_the_run};
use tenancy_usage::{
    EventOutcome, Rollup, RollupQuery, UsageError, UsageEvent, UsageRecorder, UsageSink,
    UsageSpool, UsageStatus, conformance,
};

pub(super) const WAY: &str = "TENANCY_TEST_KILLED_WAY";
pub(super) const TENANT: &str = "TENANCY_TEST_KILLED_TENANT";
pub(super) const ROUND: &str = "TENANCY_TEST_KILLED_ROUND";
pub(super) const DIRECTORY: &str = "TENANCY_TEST_KILLED_DIRECTORY";
pub(super) const REGISTRY: &str = "TENANCY_TEST_KILLED_REGISTRY";
pub(super) const APP: &str = "TENANCY_TEST_KILLED_APP";

/// How many events are begun between two lines.
const STEP: u64 = 50;

fn begins(events: u64) {
    println!("\nbegins {events}");
}

fn promised(events: u64) {
    println!("\npromised {events}");
}

/// No test by itself: the process that the test above kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() -> anyhow::Result<()> {
    let Ok(way) = std::env::var(WAY) else {
        return Ok(());
    };
    let tenant: TenantId = std::env::var(TENANT)?.parse()?;
    match way.as_str() {
        "Counter" => counter(tenant).await,
        "Spool" => spool(tenant).await,
        "DurableSpool" => durable_spool(tenant).await,
        "Transaction" => transactions(tenant).await,
        other => anyhow::bail!("there is no way {other}"),
    }
}

async fn usage() -> anyhow::Result<PgUsage> {
    let options: PgConnectOptions = std::env::var(REGISTRY)?.parse()?;
    let registry = match seal_of_the_run()? {
        Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
        None => RegistryPool::connect_with(options).await?,
    };
    Ok(PgUsage::builder(&registry, conformance::meters()).build())
}

async fn directory() -> anyhow::Result<PgDirectory> {
    let app: PgConnectOptions = std::env::var(APP)?.parse()?;
    Ok(match seal_of_the_run()? {
        Some(_) => PgDirectory::connect_sealed(app, 2, &seal_key()?).await?,
        None => PgDirectory::connect_with(app, 2).await?,
    })
}

fn event(tenant: TenantId, id: u64) -> anyhow::Result<UsageEvent> {
    let source = std::env::var(ROUND)?;
    let now = SystemClock.now();
    Ok(UsageEvent::new(
        tenant,
        "tokens",
        source,
        id.to_string(),
        now,
    ))
}

/// Says after each answer what was recorded by the answer before: a flush later, none of that may be lost.
#[derive(Debug)]
struct Telling {
    sink: PgUsage,
    recorded: Arc<AtomicU64>,
    /// What was recorded when the flush before had ended.
    before: AtomicU64,
}

#[async_trait]
impl UsageSink for Telling {
    async fn record(&self, events: &[UsageEvent]) -> Result<Vec<EventOutcome>, UsageError> {
        let outcomes = self.sink.record(events).await?;
        let recorded = self.recorded.load(Ordering::SeqCst);
        promised(self.before.swap(recorded, Ordering::SeqCst));
        Ok(outcomes)
    }

    async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError> {
        self.sink.rollups(query).await
    }

    async fn status(&self, tenant: TenantId) -> Result<UsageStatus, UsageError> {
        self.sink.status(tenant).await
    }
}

async fn counter(tenant: TenantId) -> anyhow::Result<()> {
    let recorded = Arc::new(AtomicU64::new(0));
    let sink = Telling {
        sink: usage().await?,
        recorded: Arc::clone(&recorded),
        before: AtomicU64::new(0),
    };
    let recorder = UsageRecorder::builder(Arc::new(sink), conformance::meters()).build();
    let series = recorder.series("tokens", [])?;
    let engine = builder(directory().await?)?.build()?;
    let mut record = TenantRecord::new("killed".parse()?, "Killed");
    record.id = tenant;
    let context = ContextBuilder::new(&engine, record).build();
    let mut count = 0;
    loop {
        begins(count + STEP);
        for _ in 0..STEP {
            series.record(&context, 1)?;
            count += 1;
            recorded.store(count, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn spooling() -> anyhow::Result<UsageSpool> {
    let directory: PathBuf = std::env::var(DIRECTORY)?.into();
    let sink: Arc<dyn UsageSink> = Arc::new(usage().await?);
    let spool = UsageSpool::builder(sink, conformance::meters(), directory);
    Ok(spool.segment_bytes(64 << 10).build()?)
}

/// Waits for no event, and says what the thread of the spool has written by itself.
async fn spool(tenant: TenantId) -> anyhow::Result<()> {
    let spool = spooling().await?;
    let mut count = 0;
    loop {
        begins(count + STEP);
        for _ in 0..STEP {
            count += 1;
            spool.record(event(tenant, count)?)?;
        }
        while spool.status().buffered_bytes > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        promised(count);
        // These are on their way when it says that.
        begins(count + STEP);
        for _ in 0..STEP {
            count += 1;
            spool.record(event(tenant, count)?)?;
        }
    }
}

/// Four tasks that each wait for the disk. What is promised is what all have been told.
async fn durable_spool(tenant: TenantId) -> anyhow::Result<()> {
    let spool = spooling().await?;
    let (begun, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (spool, begun, told) = (spool.clone(), Arc::clone(&begun), Arc::clone(&told));
        tasks.push(tokio::spawn(async move {
            loop {
                let id = begun.fetch_add(1, Ordering::SeqCst) + 1;
                begins(id);
                spool.record_durably(event(tenant, id)?).await?;
                promised(told.fetch_add(1, Ordering::SeqCst) + 1);
            }
            #[allow(unreachable_code, reason = "says what it fails with")]
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn transactions(tenant: TenantId) -> anyhow::Result<()> {
    let (usage, directory) = (usage().await?, directory().await?);
    let record = directory.find_tenant(&tenant.into()).await?;
    let engine = builder(directory)?.build()?;
    let app: PgConnectOptions = std::env::var(APP)?.parse()?;
    let options = match seal_of_the_run()? {
        Some(_) => TenantPoolOptions::new().seal_key(seal_key()?),
        None => TenantPoolOptions::new(),
    };
    let pool = options.connect_with(app, &engine).await?;
    let context: TenantContext =
        ContextBuilder::new(&engine, record.context("the tenant")?).build();
    ensure!(context.tenant_id() == tenant);
    let mut count = 0;
    loop {
        count += 1;
        begins(count);
        let mut tx = pool.begin(&context).await?;
        tx.record_usage(&usage, event(tenant, count)?).await?;
        tx.commit().await?;
        promised(count);
    }
}
