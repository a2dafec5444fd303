//! Usage: recording in the process beside a bare atomic, events into PostgreSQL beside plain inserts of as many rows, and
//! what a dashboard asks.
//!
//! `USAGE_EVENTS=100000000 cargo bench -- usage` counts so many events before a dashboard asks (default: 1,000,000).

mod dashboards;

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection as _, Executor as _, PgConnection, types::Uuid};
use tenancy_core::{Clock as _, SystemClock, TenantId};
use tenancy_sqlx::{PgUsage, RegistryPool};
use tenancy_tests::{
    Server, Version,
    notes::{Notes, PASSWORD},
};
use tenancy_usage::{MemoryUsage, UsageEvent, UsageMeter, UsageMeters, UsageRecorder, UsageSink};

use crate::ratio::{self, Bound};

/// How many events are sent at a time.
const BATCH: usize = 1_000;

/// How many tenants have usage.
const TENANTS: usize = 1_000;

pub(crate) async fn run() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let notes = Notes::start(&server).await?;
    let meters = UsageMeters::new([UsageMeter::sum("tokens").dimension("model")])?;
    recording(&notes, &meters)?;
    counting(&notes, &meters).await?;
    dashboards::run(&notes).await?;
    notes.database.close().await?;
    Ok(())
}

fn recording(notes: &Notes, meters: &UsageMeters) -> anyhow::Result<()> {
    ratio::heading("Recording in the process, beside adding to an atomic");
    let sink = Arc::new(MemoryUsage::new(meters.clone()));
    let recorder = UsageRecorder::builder(sink, meters.clone()).build();
    let series = recorder.series("tokens", [("model", "large")])?;
    let context = notes.context(&notes.acme);
    let sum = AtomicU64::new(0);
    let atomic = ratio::nanoseconds(|| {
        black_box(sum.fetch_add(black_box(7), Ordering::Relaxed));
    });
    ratio::figure("an atomic", atomic, "ns", Bound::None);
    let clock = ratio::nanoseconds(|| {
        black_box(SystemClock.now());
    });
    ratio::figure("the clock", clock, "ns", Bound::None);
    let ours = ratio::nanoseconds(|| series.record(&context, 7).unwrap());
    ratio::figure("a recording", ours, "ns", Bound::None);
    Ok(())
}

async fn counting(notes: &Notes, meters: &UsageMeters) -> anyhow::Result<()> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = RegistryPool::connect_with(options).await?;
    let usage = PgUsage::builder(&registry, meters.clone()).build();
    let mut plain = notes.database.admin().await?;
    plain
        .execute(
            "CREATE TABLE public.plain_usage (tenant uuid, id uuid, meter text, at timestamptz, quantity bigint,
                 PRIMARY KEY (tenant, id))",
        )
        .await?;
    let tenants: Vec<_> = (0..TENANTS).map(|_| TenantId::new()).collect();
    ratio::heading(&format!(
        "Events into PostgreSQL, {BATCH} at a time, one connection, {TENANTS} tenants, per second"
    ));
    let end = Instant::now() + ratio::budget();
    let mut rounds = Vec::new();
    let mut copied = Vec::new();
    while Instant::now() < end || rounds.len() < 3 {
        let events = events(&tenants);
        let ours = rate(timed(usage.record(&events)).await?);
        rounds.push((ours, rate(timed(insert(&mut plain, &events)).await?)));
        copied.push((ours, rate(timed(copy(&mut plain, &events)).await?)));
    }
    let name = |way: &str| format!("counted once, with rollups : {way}");
    ratio::pair(&name("UNNEST"), &rounds, "/s", Bound::None);
    ratio::pair(&name("COPY"), &copied, "/s", Bound::None);

    // As a recorder sends it: each event stands for many.
    let end = Instant::now() + ratio::budget();
    let mut rounds = Vec::new();
    while Instant::now() < end || rounds.len() < 3 {
        let events: Vec<_> = events(&tenants)
            .into_iter()
            .map(|event| event.quantity(1_000).standing_for(100))
            .collect();
        rounds.push(100.0 * rate(timed(usage.record(&events)).await?));
    }
    let added_up = ratio::median(&mut rounds);
    ratio::figure(
        "of a recorder, 100 in each",
        added_up,
        "/s",
        Bound::AtLeast(100_000.0),
    );
    usage.close().await?;
    plain.close().await?;
    Ok(())
}

async fn timed<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<Duration, E> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed())
}

fn rate(took: Duration) -> f64 {
    BATCH as f64 / took.as_secs_f64()
}

fn events(tenants: &[TenantId]) -> Vec<UsageEvent> {
    let now = SystemClock.now();
    let of = |tenant: &TenantId| {
        let id = Uuid::now_v7().to_string();
        UsageEvent::new(*tenant, "tokens", "bench", id, now)
            .quantity(7)
            .dimension("model", "large")
    };
    tenants.iter().cycle().take(BATCH).map(of).collect()
}

async fn insert(connection: &mut PgConnection, events: &[UsageEvent]) -> anyhow::Result<()> {
    let tenants: Vec<_> = events.iter().map(|it| it.tenant.as_uuid()).collect();
    let ids: Vec<_> = events.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "INSERT INTO public.plain_usage SELECT t, i, 'tokens', now(), 7 FROM unnest($1::uuid[], $2::uuid[]) AS e (t, i)
         ON CONFLICT DO NOTHING",
    )
    .bind(tenants)
    .bind(ids)
    .execute(connection)
    .await?;
    Ok(())
}

async fn copy(connection: &mut PgConnection, events: &[UsageEvent]) -> anyhow::Result<()> {
    let rows: String = events.iter().fold(String::new(), |rows, event| {
        let (tenant, id) = (event.tenant, Uuid::now_v7());
        rows + &format!("{tenant}\t{id}\ttokens\tnow\t7\n")
    });
    let mut into = connection
        .copy_in_raw("COPY public.plain_usage FROM STDIN")
        .await?;
    into.send(rows.as_bytes()).await?;
    into.finish().await?;
    Ok(())
}
