//! Charges of one limit by two processes on PostgreSQL, beside one statement that counts up a row; and how much passes
//! beyond the limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use sqlx::{Executor as _, PgPool, postgres::PgPoolOptions};
use tenancy_core::{
    Clock as _, SystemClock, TenantId,
    quota::{
        Algorithm, Calendar, Ceiling, Counters as _, Holder, MAX_AMOUNT, Operation, Overage,
        Period, Take, Taken,
    },
};
use tenancy_sqlx::{PgCounters, RegistryPool};
use tenancy_tests::{
    Server, Version,
    notes::{Notes, PASSWORD},
};

use crate::ratio::{self, Bound};

/// Of each process.
const CONNECTIONS: u32 = 4;

/// Of both processes.
const TASKS: usize = 16;

/// What the statement beside it is: an upsert of one row that refuses what is beyond a limit.
const UPSERT: &str = "INSERT INTO counted AS c (holder, starts_at, used) VALUES ($1, $2, 1)
    ON CONFLICT (holder, starts_at) DO UPDATE SET used = c.used + 1 WHERE c.used < $3 RETURNING used";

/// Takes one of a limit of so many; whether there was one.
type Charge = Arc<dyn Fn(Limit) -> BoxFuture<'static, bool> + Send + Sync>;

/// Whose limit, and how much.
#[derive(Clone, Copy)]
struct Limit {
    tenant: TenantId,
    amount: u64,
}

impl Limit {
    fn of(amount: u64) -> Self {
        let tenant = TenantId::new();
        Self { tenant, amount }
    }
}

struct Side {
    name: &'static str,
    processes: [Charge; 2],
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let world = Notes::start(&server).await?;
    world
        .as_admin(
            "CREATE TABLE counted (holder uuid, starts_at bigint, used bigint NOT NULL,
                PRIMARY KEY (holder, starts_at))",
        )
        .await?;
    let bare = Side {
        name: "one upsert",
        processes: [upsert(&world).await?, upsert(&world).await?],
    };
    let registry = RegistryPool::connect_with(
        world
            .database
            .options_as("tenancy_registry", Some(PASSWORD)),
    )
    .await?;
    let of = |lease_at_most| {
        let counters = PgCounters::builder(&registry)
            .max_connections(CONNECTIONS)
            .answer_within(Duration::from_secs(60))
            .lease_at_most(lease_at_most)
            .build();
        charging(counters)
    };
    let leased = Side {
        name: "leased ahead",
        processes: [of(1_000), of(1_000)],
    };
    let written = Side {
        name: "each one asked",
        processes: [of(0), of(0)],
    };
    ratio::heading(
        "One limit by period in PostgreSQL, 2 processes with 4 connections, 16 at a time",
    );
    for side in [&leased, &written] {
        let rounds = by_turns(side, &bare).await;
        let name = format!("charges per second, {} : {}", side.name, bare.name);
        ratio::pair(&name, &rounds, "c/s", Bound::None);
    }
    let amount = if ratio::hurries() { 200 } else { 10_000 };
    for side in [&leased, &written, &bare] {
        let passed = until_refused(side, Limit::of(amount)).await;
        let beyond = passed.saturating_sub(amount);
        let name = format!("{}: passed beyond a limit of {amount}", side.name);
        ratio::figure(&name, beyond as f64, "", Bound::AtMost(0.0));
        let left = amount.saturating_sub(passed);
        let name = format!("{}: of it in hand when each was refused", side.name);
        ratio::figure(&name, left as f64, "", Bound::None);
    }
    drop((leased, written, bare));
    Ok(world.database.close().await?)
}

async fn upsert(world: &Notes) -> anyhow::Result<Charge> {
    let options = PgPoolOptions::new().max_connections(CONNECTIONS);
    let options = options.test_before_acquire(false);
    let pool: PgPool = options.connect_with(world.database.admin_options()).await?;
    pool.execute("SELECT").await?;
    Ok(Arc::new(move |limit: Limit| {
        let pool = pool.clone();
        Box::pin(async move {
            let counted: Option<i64> = sqlx::query_scalar(UPSERT)
                .bind(limit.tenant.as_uuid())
                .bind(0_i64)
                .bind(i64::try_from(limit.amount).unwrap())
                .fetch_optional(&pool)
                .await
                .unwrap();
            counted.is_some()
        })
    }))
}

fn charging(counters: PgCounters) -> Charge {
    let window = Calendar::utc().window(Period::Month, SystemClock.now());
    Arc::new(move |limit: Limit| {
        let ceiling = Ceiling::new(limit.amount, Overage::Denied).unwrap();
        let month = Algorithm::Period(ceiling, window);
        let take = Take::new(Holder::tenant(limit.tenant), "exports-monthly", month, 1);
        let taken = counters.take(Operation::once(), &[take], SystemClock.now());
        Box::pin(async move { matches!(taken.answer().await.unwrap(), Taken::Granted(_)) })
    })
}

/// Runs the tasks of both processes until each one ends. How many charges passed.
async fn tasks(side: &Side, limit: Limit, stop: &Arc<AtomicBool>) -> u64 {
    let passed = Arc::new(AtomicU64::new(0));
    let running: Vec<_> = (0..TASKS)
        .zip(side.processes.iter().cycle())
        .map(|(_, charge)| {
            let (charge, stop, passed) = (charge.clone(), stop.clone(), passed.clone());
            tokio::spawn(async move {
                let mut own = 0_u64;
                while !stop.load(Ordering::Relaxed) && charge(limit).await {
                    own += 1;
                    if own.is_multiple_of(32) {
                        // What answers from memory would let nobody else run.
                        tokio::task::yield_now().await;
                    }
                }
                passed.fetch_add(own, Ordering::Relaxed);
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
    passed.load(Ordering::Relaxed)
}

async fn until_refused(side: &Side, limit: Limit) -> u64 {
    tasks(side, limit, &Arc::default()).await
}

async fn per_second(side: &Side, limit: Limit) -> f64 {
    let moment = ratio::budget() / 10;
    let stop = Arc::new(AtomicBool::new(false));
    let start = std::time::Instant::now();
    let ending = {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            stop.store(true, Ordering::Relaxed);
        })
    };
    let passed = tasks(side, limit, &stop).await;
    ending.await.unwrap();
    passed as f64 / start.elapsed().as_secs_f64()
}

/// Charges per second of both, by turns.
async fn by_turns(ours: &Side, theirs: &Side) -> Vec<(f64, f64)> {
    let limit = Limit::of(MAX_AMOUNT);
    for side in [ours, theirs] {
        per_second(side, limit).await;
    }
    let end = std::time::Instant::now() + ratio::budget();
    let mut rounds = Vec::new();
    while std::time::Instant::now() < end || rounds.len() < 3 {
        let pair = if rounds.len() % 2 == 0 {
            let ours = per_second(ours, limit).await;
            (ours, per_second(theirs, limit).await)
        } else {
            let theirs = per_second(theirs, limit).await;
            (per_second(ours, limit).await, theirs)
        };
        rounds.push(pair);
    }
    rounds
}
