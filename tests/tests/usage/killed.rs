//! A process that is killed at any moment loses what its way to record says, and no more.

mod child;

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tenancy_core::{Clock as _, SystemClock, TenantId, Timestamp, quota::Window};
use tenancy_sqlx::{PgUsage, RegistryPool};
use tenancy_tests::{
    Random, long,
    notes::{Notes, PASSWORD, on_every_server, seal_key},
    seed,
};
use tenancy_usage::{Decimal, RollupQuery, UsageSink, UsageSpool, conformance};

/// How a process records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It adds up, and sends four times in a second.
    Counter,
    /// It has events in files, and waits for nothing.
    Spool,
    /// It has events in files, and waits for the disk.
    DurableSpool,
    /// With the rows of a transaction.
    Transaction,
}

impl Way {
    const ALL: [Self; 4] = [
        Self::Counter,
        Self::Spool,
        Self::DurableSpool,
        Self::Transaction,
    ];
}

/// What a process said before it was killed.
#[derive(Debug, Default)]
struct Said {
    /// So many were not to be lost any more.
    promised: u64,
    /// So many may have been recorded.
    begun: u64,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let number = |name: &str| line.strip_prefix(name)?.parse().ok();
        if let Some(promised) = number("promised ") {
            self.promised = self.promised.max(promised);
        }
        if let Some(begun) = number("begins ") {
            self.begun = self.begun.max(begun);
        }
    }
}

/// Runs a process until it has promised something, and for a while, and kills it.
async fn killed(
    notes: &Notes,
    way: Way,
    tenant: TenantId,
    round: &str,
    directory: &std::path::Path,
    after: Duration,
) -> anyhow::Result<Said> {
    let name = "killed::child::the_process_that_is_killed";
    let mut process = Command::new(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(child::WAY, format!("{way:?}"))
        .env(child::TENANT, tenant.to_string())
        .env(child::ROUND, round)
        .env(child::DIRECTORY, directory)
        .env(
            child::REGISTRY,
            notes.database.url_as("tenancy_registry", Some(PASSWORD)),
        )
        .env(
            child::APP,
            notes.database.url_as("tenancy_app", Some(PASSWORD)),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = process.stdout.take().context("its output")?;
    let (begin, begun) = tokio::sync::oneshot::channel();
    let heard = tokio::task::spawn_blocking(move || {
        let (mut said, mut begin) = (Said::default(), Some(begin));
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.hear(&line);
            if said.promised > 0
                && let Some(begin) = begin.take()
            {
                let _ = begin.send(());
            }
        }
        said
    });
    let has_begun = begun.await;
    // At any moment of its work.
    tokio::time::sleep(after).await;
    process.kill()?;
    process.wait()?;
    ensure!(
        has_begun.is_ok(),
        "{way:?} ended before it had promised anything"
    );
    Ok(heard.await?)
}

async fn counting(notes: &Notes) -> anyhow::Result<PgUsage> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = match notes.seal {
        Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
        None => RegistryPool::connect_with(options).await?,
    };
    Ok(PgUsage::builder(&registry, conformance::meters()).build())
}

/// Counts what is pending, also what the process that was killed had taken to count.
async fn all_pending(notes: &Notes, usage: &PgUsage) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        usage.count_pending().await?;
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM tenancy.usage_pending")
            .fetch_one(&mut admin)
            .await?;
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left} events are never counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What is counted of a tenant.
async fn counted(usage: &PgUsage, tenant: TenantId) -> anyhow::Result<u64> {
    let minute = SystemClock.now().as_unix_seconds().div_euclid(60) * 60;
    let around = |minutes: i64| Timestamp::from_unix_seconds(minute + minutes * 60);
    let range = Window::new(around(-60), around(60));
    let rollups = usage
        .rollups(&RollupQuery::total(tenant, "tokens", range))
        .await?;
    ensure!(rollups.len() <= 1, "{rollups:?}");
    let Some(total) = rollups.first() else {
        return Ok(0);
    };
    ensure!(total.quantity == Decimal::from(total.events), "{total:?}");
    Ok(total.events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_loses_no_more_than_its_way_to_record_says() -> anyhow::Result<()>
{
    let mut random = Random::new(seed()?);
    let rounds = if long() { 50 } else { 3 };
    on_every_server_in_turn(&mut random, rounds).await
}

async fn on_every_server_in_turn(random: &mut Random, rounds: u64) -> anyhow::Result<()> {
    let random = std::cell::RefCell::new(random);
    on_every_server(async |notes| {
        let usage = counting(notes).await?;
        for way in Way::ALL {
            let mut lost = 0;
            for round in 0..rounds {
                let after = Duration::from_micros(random.borrow_mut().below(600_000));
                lost += play(notes, &usage, way, round, after)
                    .await
                    .map_err(|error| {
                        error.context(format!("{way:?}, round {round}, killed after {after:?}"))
                    })?;
            }
            println!("{way:?}: {rounds} times killed, {lost} events lost that were begun");
        }
        usage.close().await?;
        Ok(())
    })
    .await
}

/// Kills a process, starts again after it, and tells how many of the events that it had begun are lost.
async fn play(
    notes: &Notes,
    usage: &PgUsage,
    way: Way,
    round: u64,
    after: Duration,
) -> anyhow::Result<u64> {
    let directory = tempfile::tempdir()?;
    let tenant = match way {
        Way::Transaction => notes.acme.id,
        _ => TenantId::new(),
    };
    let other = notes.globex.id;
    let before = counted(usage, tenant).await?;
    let others = counted(usage, other).await?;
    let name = format!("{way:?}-{round}");
    let said = killed(notes, way, tenant, &name, directory.path(), after).await?;
    match way {
        Way::Spool | Way::DurableSpool => {
            let sink: Arc<dyn UsageSink> = Arc::new(usage.clone());
            let meters = conformance::meters();
            let spool = UsageSpool::builder(sink, meters, directory.path()).build()?;
            spool.close(Duration::from_secs(60)).await?;
            let status = spool.status();
            ensure!((status.damaged, status.refused) == (0, 0), "{status:?}");
        }
        Way::Transaction => all_pending(notes, usage).await?,
        Way::Counter => {}
    }
    let counted_now = counted(usage, tenant).await? - before;
    ensure!(
        said.promised <= counted_now && counted_now <= said.begun,
        "{counted_now} are counted: {said:?}"
    );
    ensure!(counted(usage, other).await? == others);
    Ok(said.begun - counted_now)
}
