//! A service of 1,000 tenants under load: 100 clients over real HTTP on real PostgreSQL, reads and
//! writes, clients that hang up, tenants that are suspended meanwhile. No row is seen by another
//! tenant or lost, no answer is unexplained, and nothing stays open afterwards.
//!
//! By turns, the same load goes to a bare service, and the times of both are printed.
//!
//! [`service`] is what is served, [`crowd`] who the tenants are and what they must have,
//! [`client`] what a client does, [`operator`] what happens to tenants meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fault of the suite itself ends it"
)]

mod client;
mod crowd;
mod operator;
mod report;
mod service;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use sqlx::postgres::PgPoolOptions;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    Framework, Random, Server, Version, long,
    notes::{self, Notes},
    seed,
};

use crate::{
    client::Worker,
    crowd::Crowd,
    operator::Operator,
    report::{Side, Tally},
};

const TENANTS: i32 = 1_000;
const CLIENTS: u64 = 100;
/// Database connections of a service, if the server has as many for each of the two services.
const CONNECTIONS: u32 = 100;
/// Those of the directory (4), of its feed (1) and of the operators (5).
const BESIDE: u32 = 10;
/// What the connections of the bare service are called.
const BARE: &str = "bare";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tenants_under_load_stay_apart() -> anyhow::Result<()> {
    let seed = seed()?;
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        under_load(&server, framework, seed)
            .await
            .with_context(|| format!("{framework:?}, TENANCY_SEED={seed}"))?;
    }
    Ok(())
}

async fn under_load(server: &Server, framework: Framework, seed: u64) -> anyhow::Result<()> {
    let (turns, turn) = match long() {
        true => (30, Duration::from_secs(2)),
        false => (10, Duration::from_millis(500)),
    };
    let world = Notes::start(server).await?;
    let crowd = Arc::new(Crowd::new(world.crowd(TENANTS).await?)?);
    let pooled = pool_size(&world).await?;
    let pool = world
        .pool(TenantPoolOptions::new().max_connections(pooled))
        .await?;
    let system = world
        .database
        .options_as("tenancy_system", Some(notes::PASSWORD))
        .application_name(BARE);
    let bare_pool = PgPoolOptions::new()
        .max_connections(pooled)
        .connect_with(system)
        .await?;
    let service = service::with_tenancy(framework, &pool).await?;
    let bare = service::bare(framework, &bare_pool).await?;

    let operator = Operator::start(&crowd, &world.tenancy, Random::new(seed));
    let mut tally = Tally::default();
    // A slow machine takes more turns until enough has happened, and a failing one does not go on for ever.
    for number in 0..turns * 20 {
        let enough = tally.ensure_enough(operator.suspensions()).is_ok();
        if number >= turns && (enough || !tally.faults.is_empty()) {
            break;
        }
        // Whoever goes first is changed from pair to pair.
        let (side, address) = match number % 4 {
            0 | 3 => (Side::Tenancy, service.address),
            _ => (Side::Bare, bare.address),
        };
        let until = Instant::now() + turn;
        let workers = (1..=CLIENTS).map(|client| {
            let random = Random::new(seed ^ (number << 48) ^ (client << 32));
            tokio::spawn(Worker::new(&crowd, side, address, random).work(until))
        });
        for worker in try_join_all(workers).await? {
            tally.add(worker);
        }
    }
    let suspensions = operator.stop().await?;

    tally.report(framework, suspensions);
    ensure!(tally.faults.is_empty(), "{:#?}", tally.faults);
    let differences = crowd.check(&world).await?;
    at_rest(&pool).await?;
    at_rest(&bare_pool).await?;
    let open = open_transactions(&world).await?;
    // Not the library's fault: sqlx lends a connection again whose BEGIN was cancelled; see the
    // suite `cancellation`.
    println!(
        "  without: {} connections left in a transaction, {differences} rows not as answered",
        open.len()
    );
    tally.ensure_enough(suspensions)?;

    service.stop().await?;
    bare.stop().await?;
    pool.close().await;
    bare_pool.close().await;
    Ok(world.database.close().await?)
}

/// How many connections each service's pool may have.
async fn pool_size(world: &Notes) -> anyhow::Result<u32> {
    let mut admin = world.database.admin().await?;
    let most: String = sqlx::query_scalar("SHOW max_connections")
        .fetch_one(&mut admin)
        .await?;
    // Both services are up, and a few connections are for administrators.
    let fitting = (most.parse::<u32>()? - BESIDE - 8) / 2;
    let pooled = fitting.min(CONNECTIONS - BESIDE);
    println!("{TENANTS} tenants, {CLIENTS} clients, pools of {pooled} connections");
    Ok(pooled)
}

/// Waits until every connection of a pool has come back.
async fn at_rest(pool: &impl fmt::Debug) -> anyhow::Result<()> {
    let number = |text: &str, name| {
        let (_, rest) = text.split_once(name)?;
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..end].parse::<usize>().ok()
    };
    let size = number(&format!("{pool:?}"), "size: ").context("a pool without a size")?;
    ensure!(size > 1, "{pool:?} was not used by many at a time");
    notes::at_rest(pool, size).await
}

/// Waits until no transaction is open but those of the bare service, which are returned.
async fn open_transactions(world: &Notes) -> anyhow::Result<Vec<String>> {
    let mut admin = world.database.admin().await?;
    let select = "SELECT application_name, concat_ws(' ', usename, state, query)
                  FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND state <> 'idle'";
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let open: Vec<(String, String)> = sqlx::query_as(select).fetch_all(&mut admin).await?;
        let (bare, ours): (Vec<_>, Vec<_>) = open.into_iter().partition(|(name, _)| name == BARE);
        if ours.is_empty() {
            return Ok(bare.into_iter().map(|(_, open)| open).collect());
        }
        ensure!(Instant::now() < deadline, "still open: {ours:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
