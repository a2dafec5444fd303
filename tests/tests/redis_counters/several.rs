//! Several limits at once, several callers, several processes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use tenancy_core::{
    KeyId, ProjectId, TenantId, Timestamp,
    quota::{
        Algorithm, Concurrency, Counters, CountersError, Counting, Holder, LeasedCounters,
        MAX_TAKES, Operation, OperationId, Rate, Settle, Settled, Take, Taken,
    },
};
use tenancy_redis::RedisCounters;
use tenancy_tests::RedisServer;
use tokio::time::{Instant, sleep};

use crate::{
    LONG, START, a_tenant, at_once, counting, held, keyspace, month, passes, patient, rate, take,
    used,
};

/// Where a process of its own finds Redis, whose use it counts, and whether it leases.
const CHILD: &str = "TENANCY_REDIS_COUNTERS_CHILD";
const LEASES: &str = "TENANCY_REDIS_COUNTERS_LEASES";
const WHOSE: &str = "TENANCY_REDIS_COUNTERS_TENANT";

/// A budget of 1,000 of each kind, of which hardly anything comes back while the test runs.
fn budgets() -> anyhow::Result<[(&'static str, Algorithm); 4]> {
    let century = Duration::from_secs(100 * 365 * 86_400);
    let hour = Duration::from_secs(3_600);
    Ok([
        ("rate", Algorithm::Rate(Rate::new(1_000, century, 1_000)?)),
        ("month", month(1_000)?),
        (
            "at-once",
            Algorithm::Concurrent(Concurrency::new(1_000, hour)?),
        ),
        (
            "held",
            match held(1_000)? {
                Algorithm::Held(ceiling, _) => Algorithm::Held(ceiling, hour),
                other => other,
            },
        ),
    ])
}

/// What 16 callers of this process get of each budget.
async fn use_up(
    counters: Arc<dyn Counters>,
    tenant: TenantId,
    each: u32,
) -> anyhow::Result<[u64; 4]> {
    let acme = Holder::tenant(tenant);
    let key = Holder::key(tenant, KeyId::new());
    let mut passed = [0; 4];
    for (slot, (name, algorithm)) in passed.iter_mut().zip(budgets()?) {
        let callers = (0..16).map(|_| {
            let counters = Arc::clone(&counters);
            tokio::spawn(async move {
                let mut passed = 0;
                for _ in 0..each {
                    // A key has as much as it likes, and the tenant has its budget.
                    let many = Take::new(key, "many", crate::rate(1_000_000)?, 1);
                    let takes = [many, Take::new(acme, name, algorithm, 1)];
                    passed +=
                        u64::from(take(&*counters, Operation::once(), &takes).await?.is_some());
                }
                anyhow::Ok(passed)
            })
        });
        for caller in try_join_all(callers).await? {
            *slot += caller?;
        }
    }
    Ok(passed)
}

/// No test by itself: the processes of the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_of_its_own() -> anyhow::Result<()> {
    let (Ok(url), Ok(whose)) = (std::env::var(CHILD), std::env::var(WHOSE)) else {
        return Ok(());
    };
    println!("\nready");
    let go = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    go.await??;
    let counters = RedisCounters::new(&patient(&url).build()?);
    let leased = LeasedCounters::new(counters.clone());
    let used = match std::env::var(LEASES) {
        Ok(_) => use_up(Arc::new(leased.clone()), whose.parse()?, 40).await,
        Err(_) => use_up(Arc::new(counters), whose.parse()?, 40).await,
    };
    leased.close().await;
    let [rate, month, at_once, held] = used?;
    println!("\npassed {rate} {month} {at_once} {held}");
    Ok(())
}

fn start(url: &str, tenant: TenantId, leases: bool) -> anyhow::Result<Child> {
    Ok(Command::new(std::env::current_exe()?)
        .args(["--exact", "several::the_process_of_its_own", "--nocapture"])
        .envs(leases.then_some((LEASES, "1")))
        .env(CHILD, url)
        .env(WHOSE, tenant.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?)
}

/// What all processes get together.
fn all_of(mut children: Vec<Child>) -> anyhow::Result<[u64; 4]> {
    let mut outputs = Vec::new();
    for child in &mut children {
        let output = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        ensure!(
            lines.any(|line| line == "ready"),
            "it ended before it began"
        );
        outputs.push(lines);
    }
    for child in &mut children {
        child
            .stdin
            .take()
            .context("its input")?
            .write_all(b"go\n")?;
    }
    let mut all = [0; 4];
    for mut lines in outputs {
        let told = lines.find_map(|line| Some(line.strip_prefix("passed ")?.to_owned()));
        let told = told.context("it ended before it had told anything")?;
        for (sum, one) in all.iter_mut().zip(told.split(' ')) {
            *sum += one.parse::<u64>()?;
        }
    }
    for child in &mut children {
        child.wait()?;
    }
    Ok(all)
}

#[tokio::test]
async fn four_processes_with_64_callers_get_exactly_one_budget() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let (url, tenant) = (redis.url(), TenantId::new());
    let children = (0..4).map(|_| start(&url, tenant, false));
    let children = children.collect::<anyhow::Result<Vec<_>>>()?;
    let all = tokio::task::spawn_blocking(move || all_of(children)).await??;
    ensure!(all == [1_000; 4], "{all:?}");
    keyspace::check(&url).await?;
    Ok(())
}

/// With permits in hand, never more than the budget passes. What no process has used of a month is there again when they
/// have ended.
#[tokio::test]
async fn four_processes_that_lease_get_no_more_than_one_budget() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let (url, tenant) = (redis.url(), TenantId::new());
    let children = (0..4).map(|_| start(&url, tenant, true));
    let children = children.collect::<anyhow::Result<Vec<_>>>()?;
    let mut all = tokio::task::spawn_blocking(move || all_of(children)).await??;
    ensure!(all.iter().all(|passed| *passed <= 1_000), "{all:?}");
    let counters = RedisCounters::new(&patient(&url).build()?);
    for (passed, (name, algorithm)) in all.iter_mut().zip(budgets()?) {
        let one = Take::new(Holder::tenant(tenant), name, algorithm, 1);
        while passes(&counters, one).await? {
            *passed += 1;
        }
    }
    let [rate, others @ ..] = all;
    ensure!(others == [1_000; 3], "{others:?}");
    // Permits of a rate leak in hand too, so some may be gone that nobody used.
    ensure!(rate <= 1_000, "{rate}");
    keyspace::check(&url).await?;
    Ok(())
}

/// The clocks of callers do not count: that of Redis does.
#[tokio::test]
async fn clocks_of_callers_do_not_count() -> anyhow::Result<()> {
    let counters = RedisCounters::new(&patient(&RedisServer::shared().await?).build()?);
    let acme = a_tenant();
    let hour = Duration::from_secs(3_600);
    let (requests, jobs) = (
        Take::new(acme, "requests", Algorithm::Rate(Rate::new(1, hour, 1)?), 1),
        Take::new(
            acme,
            "jobs",
            Algorithm::Concurrent(Concurrency::new(1, hour)?),
            1,
        ),
    );
    for one in [requests, jobs] {
        for (clock, expected) in [
            (START, true),
            (START + 1_000 * hour, false),
            (Timestamp::EPOCH, false),
        ] {
            let taken = counters
                .take(Operation::once(), &[one], clock)
                .answer()
                .await?;
            ensure!(
                matches!(taken, Taken::Granted(_)) == expected,
                "{}",
                one.limit
            );
        }
    }
    Ok(())
}

/// By the clock of Redis: a bucket fills, and a lease that nobody renews ends.
#[tokio::test]
async fn time_passes_by_the_clock_of_redis() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = RedisCounters::new(&patient(&redis.url()).build()?);
    let acme = a_tenant();
    let soon = Duration::from_millis(300);
    let takes = [
        Take::new(acme, "requests", Algorithm::Rate(Rate::new(1, soon, 1)?), 1),
        Take::new(
            acme,
            "jobs",
            Algorithm::Concurrent(Concurrency::new(1, soon)?),
            1,
        ),
        Take::new(
            acme,
            "seats",
            match held(1)? {
                Algorithm::Held(ceiling, _) => Algorithm::Held(ceiling, soon),
                other => other,
            },
            1,
        ),
    ];
    for one in takes {
        let first = Operation::once();
        ensure!(take(&counters, first, &[one]).await?.is_some());
        let deadline = Instant::now() + LONG;
        while !passes(&counters, one).await? {
            ensure!(Instant::now() < deadline, "{} is stuck", one.limit);
            sleep(Duration::from_millis(10)).await;
        }
    }
    // When nothing counts any more, nothing is kept.
    let deadline = Instant::now() + LONG;
    let mut admin = keyspace::connect(&redis.url()).await?;
    loop {
        let keys: u64 = redis::cmd("DBSIZE").query_async(&mut admin).await?;
        if keys == 0 {
            return Ok(());
        }
        // The records of operations stay longest: as long as this client may ask again.
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut admin).await?;
        if keys.iter().all(|key| key.contains(":o:")) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{keys:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn limits_of_a_tenant_and_of_all_are_taken_together() -> anyhow::Result<()> {
    let url = RedisServer::shared().await?;
    for is_divided in [false, true] {
        let builder = counting(&url)?;
        let counters = match is_divided {
            true => builder.as_if_divided().build(),
            false => builder.build(),
        };
        let tenant = TenantId::new();
        let nobody = Holder::caller(
            None,
            Some(&tenancy_core::Actor::User(tenancy_core::UserId::new())),
            None,
        );
        let takes = [
            Take::new(nobody, "of-all", rate(2)?, 1),
            Take::new(Holder::key(tenant, KeyId::new()), "by-key", rate(5)?, 1),
            Take::new(
                Holder::project(tenant, ProjectId::new()),
                "by-project",
                at_once(5)?,
                1,
            ),
            Take::new(Holder::tenant(tenant), "of-tenant", month(3)?, 1),
        ];
        let named = Operation::repeatable(OperationId::unique());
        for repeated in [false, true] {
            let granted = take(&counters, named, &takes)
                .await?
                .context("there is room")?;
            ensure!(granted.repeated == repeated, "{is_divided}");
            let left: Vec<_> = granted.standings.iter().map(|one| one.remaining).collect();
            ensure!(left == [1, 4, 4, 2], "{is_divided}: {left:?}");
        }
        let other = Operation::once();
        ensure!(take(&counters, other, &takes).await?.is_some());
        // Of all, none is left: nothing else is charged, whichever home is asked first.
        for operation in [
            Operation::once(),
            Operation::repeatable(OperationId::unique()),
        ] {
            for _ in 0..3 {
                let taken = counters.take(operation, &takes, START).answer().await?;
                let Taken::Denied(denied) = taken else {
                    anyhow::bail!("{is_divided}: {taken:?}");
                };
                let denied: Vec<_> = denied.iter().map(|one| one.take).collect();
                ensure!(denied == [0], "{is_divided}: {denied:?}");
            }
        }
        // The month is used up too, and both are told.
        ensure!(passes(&counters, takes[3]).await?);
        let taken = counters
            .take(Operation::once(), &takes, START)
            .answer()
            .await?;
        let Taken::Denied(denied) = taken else {
            anyhow::bail!("{is_divided}: {taken:?}");
        };
        let denied: Vec<_> = denied.iter().map(|one| one.take).collect();
        ensure!(denied == [0, 3], "{is_divided}: {denied:?}");
        for (one, expected) in takes.iter().zip([2, 2, 2, 3]) {
            let is = used(&counters, *one).await?;
            ensure!(is == expected, "{is_divided}: {}: {is}", one.limit);
        }
        // All of it is given back, in both homes, once.
        let nothing = takes.map(|one| Settle::new(one, 0));
        for expected in [Settled::Done, Settled::Repeated] {
            let settled = counters.settle(named, &nothing, START).answer().await?;
            ensure!(settled == expected, "{is_divided}: {settled:?}");
        }
        for (one, expected) in takes.iter().zip([1, 1, 1, 2]) {
            let is = used(&counters, *one).await?;
            ensure!(is == expected, "{is_divided}: {}: {is}", one.limit);
        }
        // What is denied can be taken again when there is room, by the same name.
        ensure!(
            take(&counters, named, &takes)
                .await?
                .is_some_and(|granted| !granted.repeated)
        );
    }
    Ok(())
}

#[tokio::test]
async fn too_many_limits_or_one_twice_are_refused() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?.build();
    let acme = a_tenant();
    let names: Vec<_> = (0..=MAX_TAKES)
        .map(|number| format!("limit-{number}"))
        .collect();
    let rate = rate(10)?;
    let takes: Vec<_> = names
        .iter()
        .map(|name| Take::new(acme, name, rate, 1))
        .collect();
    ensure!(
        take(&counters, Operation::once(), &takes[1..])
            .await?
            .is_some()
    );
    ensure!(take(&counters, Operation::once(), &[]).await?.is_some());
    let twice = [takes[0], takes[1], takes[0]];
    for those in [&takes[..], &twice[..]] {
        let Counting::Ready(Err(CountersError::Malformed)) =
            counters.take(Operation::once(), those, START)
        else {
            anyhow::bail!("it is malformed");
        };
        let Counting::Ready(Err(CountersError::Malformed)) = counters.standings(those, START)
        else {
            anyhow::bail!("it is malformed");
        };
    }
    ensure!(used(&counters, takes[0]).await? == 0);
    Ok(())
}
