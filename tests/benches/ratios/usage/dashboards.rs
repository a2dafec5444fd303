//! How long a dashboard waits for a month of usage, of a tenant and of all tenants.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::types::Uuid;
use tenancy_core::{Clock as _, SystemClock, TenantId, Timestamp, quota::Window};
use tenancy_sqlx::{PgUsage, RegistryPool};
use tenancy_tests::notes::{Notes, PASSWORD};
use tenancy_usage::{
    Resolution, RollupQuery, UsageCalendar, UsageEvent, UsageMeter, UsageMeters, UsageSink as _,
    analytics::Analytics,
};

use crate::ratio::{self, Bound};

/// How many tenants have usage: the first about a fifth of it, the tenth about a hundredth.
const TENANTS: usize = 1_000;

/// How many events a row stands for, as a recorder adds them up.
const OF_A_RECORDER: u64 = 100;

/// How many events are sent at a time, and by how many at once.
const BATCH: usize = 1_000;
const SENDERS: usize = 2;

/// Over how much time they are spread, within the late window.
const DAYS: i64 = 30;
const DAY: i64 = 86_400_000_000;

/// In milliseconds.
const BUDGET: f64 = 1_000.0;

pub(super) async fn run(notes: &Notes) -> anyhow::Result<()> {
    let asked = std::env::var("USAGE_EVENTS")
        .ok()
        .and_then(|text| text.parse().ok());
    let events: u64 = if ratio::hurries() {
        200_000
    } else {
        asked.unwrap_or(1_000_000)
    };
    let meters = UsageMeters::new([UsageMeter::sum("tokens").dimension("model")])?;
    let registry = RegistryPool::connect_with(
        notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD)),
    )
    .await?;
    let usage = PgUsage::builder(&registry, meters)
        .max_connections(8)
        .build();
    let tenants: Vec<_> = (0..TENANTS).map(|_| TenantId::new()).collect();
    let until = SystemClock.now().as_unix_micros() / DAY * DAY;
    let month = Window::new(at(until - DAYS * DAY), at(until));

    ratio::heading(&format!(
        "A dashboard over {events} events of {DAYS} days and {TENANTS} tenants"
    ));
    let began = Instant::now();
    let rows = events / OF_A_RECORDER;
    let sent = (0..SENDERS as u64).map(|sender| fill(&usage, &tenants, month, rows, sender));
    for sent in futures_util::future::join_all(sent).await {
        sent?;
    }
    ratio::figure(
        "counted meanwhile, per second",
        events as f64 / began.elapsed().as_secs_f64(),
        "",
        Bound::None,
    );
    let mut admin = notes.database.admin().await?;
    sqlx::query("ANALYZE tenancy.usage_rollups")
        .execute(&mut admin)
        .await?;

    let analytics = Analytics::new(&usage);
    for (name, place) in [("the largest tenant", 0), ("the tenth tenant", 9)] {
        let tenant = *tenants.get(place).context("there are too few tenants")?;
        ratio::figure(
            &format!("{name}: total, days by model, heat map, growth; p95"),
            p95(100, async || page(&usage, analytics, tenant, month).await).await?,
            "ms",
            Bound::AtMost(BUDGET),
        );
    }
    let before = Window::new(month.start, at(until - DAYS / 2 * DAY));
    let after = Window::new(before.end, month.end);
    ratio::figure(
        "distribution of all tenants; p95",
        p95(20, async || {
            let told = analytics.distribution(&tenants, "tokens", month).await?;
            anyhow::ensure!(told.active() > 0, "nobody has usage");
            Ok(())
        })
        .await?,
        "ms",
        Bound::None,
    );
    ratio::figure(
        "top 10 movers of all tenants; p95",
        p95(20, async || {
            analytics
                .movers(&tenants, "tokens", after, before, 10)
                .await?;
            Ok(())
        })
        .await?,
        "ms",
        Bound::None,
    );
    usage.close().await?;
    registry.close().await;
    Ok(())
}

/// What one page of a tenant asks.
async fn page(
    usage: &PgUsage,
    analytics: Analytics<'_>,
    tenant: TenantId,
    month: Window,
) -> anyhow::Result<()> {
    let total = analytics.total(tenant, "tokens", month).await?;
    anyhow::ensure!(total.events > 0, "the tenant has no usage");
    let days = RollupQuery::each(tenant, "tokens", Resolution::Day, month).by_dimension("model");
    anyhow::ensure!(
        !usage.rollups(&days).await?.is_empty(),
        "the tenant has no days"
    );
    analytics
        .heat_map(tenant, "tokens", month, "Europe/Berlin")
        .await?;
    let calendar = UsageCalendar::monthly();
    analytics
        .growth(tenant, "tokens", Resolution::Day, month, &calendar)
        .await?;
    Ok(())
}

/// Sends its part of the rows. Times and tenants follow from a fixed sequence of random numbers.
async fn fill(
    usage: &PgUsage,
    tenants: &[TenantId],
    month: Window,
    rows: u64,
    sender: u64,
) -> anyhow::Result<()> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ (sender + 1);
    let mut left = rows / SENDERS as u64;
    while left > 0 {
        let part = left.min(BATCH as u64);
        let mut batch = Vec::with_capacity(BATCH);
        for _ in 0..part {
            // xorshift64 (Marsaglia 2003).
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
            // A tenth is the first one's; of the rest each has the less the later it comes.
            let place =
                ((TENANTS as f64).powf((share - 0.1).max(0.0) / 0.9) as usize - 1).min(TENANTS - 1);
            let tenant = *tenants.get(place).context("a place beyond the tenants")?;
            let offset = i64::try_from(random % (DAYS * DAY).unsigned_abs())?;
            let model = if random & 1 == 0 { "large" } else { "small" };
            let event = UsageEvent::new(
                tenant,
                "tokens",
                "bench",
                Uuid::now_v7().to_string(),
                at(month.start.as_unix_micros() + offset),
            );
            batch.push(
                event
                    .quantity(1_000)
                    .standing_for(OF_A_RECORDER)
                    .dimension("model", model),
            );
        }
        let outcomes = usage.record(&batch).await?;
        let counted = outcomes
            .iter()
            .filter(|it| **it == tenancy_usage::EventOutcome::Counted)
            .count();
        anyhow::ensure!(
            counted == batch.len(),
            "{counted} of {} events were counted",
            batch.len()
        );
        left -= part;
    }
    Ok(())
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

/// The time that 95 of 100 calls stay below, in milliseconds.
async fn p95(times: usize, call: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        call().await?;
        took.push(began.elapsed());
    }
    took.sort();
    let p95 = took
        .get(times * 95 / 100 - 1)
        .copied()
        .unwrap_or(Duration::ZERO);
    Ok(p95.as_secs_f64() * 1_000.0)
}
