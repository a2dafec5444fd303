//! How long a quiet tenant waits beside one with a hundred callers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::Notes;

use super::tenants::{Draw, Rows};
use crate::ratio::{self, Bound};

/// A statement that takes 2 ms and no processor.
const SLEEP: &str = "SELECT pg_sleep(0.002)";
const CONNECTIONS: u32 = 4;
const FLOOD: usize = 100;

pub(crate) async fn run(
    world: &Notes,
    app: &PgConnectOptions,
    rows: &Arc<Rows>,
) -> anyhow::Result<()> {
    ratio::heading(
        "A quiet tenant's statement of 2 ms beside 100 callers of another, 4 connections (ms)",
    );
    let bare = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect_with(app.clone())
        .await?;
    let alone = async |_| Ok(sqlx::query(SLEEP).execute(&bare).await.map(drop)?);
    let one = bare.clone();
    let flood = move |_: usize| {
        let bare = one.clone();
        async move { Ok(sqlx::query(SLEEP).execute(&bare).await.map(drop)?) }
    };
    measure("sqlx's pool", alone, flood, Bound::None).await?;
    bare.close().await;

    for length in [1, 4, 16] {
        let options = TenantPoolOptions::new().max_connections(CONNECTIONS);
        let options = options.turn_length(length).check_session_every(0);
        let pool = options.connect_with(app.clone(), &world.tenancy).await?;
        let (loud, quiet) = (
            Draw::each_another().started_at(0),
            Draw::each_another().started_at(1),
        );
        let (mut loud, mut quiet) = (loud, quiet);
        let quiet = pool.tenant(&rows.one(&mut quiet).0)?.reader();
        let loud = pool.tenant(&rows.one(&mut loud).0)?.reader();
        let alone = async |_| Ok(sqlx::query(SLEEP).execute(&quiet).await.map(drop)?);
        let flood = move |_: usize| {
            let loud = loud.clone();
            async move { Ok(sqlx::query(SLEEP).execute(&loud).await.map(drop)?) }
        };
        let bound = if length == 4 {
            Bound::AtMost(3.0)
        } else {
            Bound::None
        };
        measure(&format!("turns of {length}"), alone, flood, bound).await?;
        pool.close().await;
    }
    Ok(())
}

async fn measure<F>(
    name: &str,
    alone: impl AsyncFn(usize) -> anyhow::Result<()>,
    flood: impl Fn(usize) -> F + Send + Clone + 'static,
    bound: Bound,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    for number in 0..20 {
        alone(number).await?;
    }
    let single = times(&alone, ratio::budget() / 6).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let flood: Vec<_> = (0..FLOOD)
        .map(|task| {
            let (stop, flood) = (Arc::clone(&stop), flood.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    flood(task).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    tokio::time::sleep(ratio::budget() / 30).await;
    let beside = times(&alone, ratio::budget()).await?;
    stop.store(true, Ordering::Relaxed);
    for task in flood {
        task.await??;
    }
    let single = at(&single, 0.5);
    ratio::figure(&format!("{name}, alone, p50"), single, "ms", Bound::None);
    ratio::figure(&format!("{name}, p50"), at(&beside, 0.5), "ms", Bound::None);
    ratio::figure(
        &format!("{name}, p99"),
        at(&beside, 0.99),
        "ms",
        Bound::None,
    );
    let p99 = at(&beside, 0.99) / single;
    ratio::figure(&format!("{name}, p99 in statements' time"), p99, "×", bound);
    Ok(())
}

/// Sorted, in milliseconds.
async fn times(
    alone: &impl AsyncFn(usize) -> anyhow::Result<()>,
    budget: Duration,
) -> anyhow::Result<Vec<f64>> {
    let end = Instant::now() + budget;
    let mut times = Vec::new();
    while Instant::now() < end || times.len() < 3 {
        let start = Instant::now();
        alone(times.len()).await?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
