//! What survives: restarts, processes that are killed, a database that says nothing.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::{
    TenantId,
    quota::{
        Algorithm, Calendar, Ceiling, Counters as _, CountersError, Holder, Operation, OperationId,
        Overage, Period, Rate, Settle, Settled, Take, Taken,
    },
};
use tenancy_sqlx::{PgCounters, RegistryPool};
use tenancy_tests::notes::{PASSWORD, on_every_server, seal_key, seal_of_the_run};

use crate::{LONG, START, a_tenant, counting, held, month, passes, take, used};

/// Where the process of its own finds the database, and whose use it counts.
const CHILD: &str = "TENANCY_COUNTERS_CHILD";
const WHOSE: &str = "TENANCY_COUNTERS_TENANT";

/// How much of a budget of 1,000 a process has in hand at most.
const IN_HAND: u64 = 15;

#[tokio::test]
async fn what_is_used_is_there_after_a_restart() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let acme = a_tenant();
        let exports = Take::new(acme, "exports", month(10_000)?, 1);
        let projects = Take::new(acme, "projects", held(10)?, 3);
        let before = counting(notes).await?.build();
        for _ in 0..137 {
            ensure!(passes(&before, exports).await?);
        }
        let project = Operation::once();
        ensure!(take(&before, project, projects).await?.is_some());
        let kept = [Settle::new(projects, 3)];
        before.settle(project, &kept, START).answer().await?;
        before.close().await;
        let refused = take(&before, Operation::once(), exports).await;
        ensure!(matches!(refused, Err(CountersError::Unavailable(_))));

        let after = counting(notes).await?.build();
        ensure!(used(&after, exports).await? == 137);
        ensure!(used(&after, projects).await? == 3);
        after.close().await;
        Ok(())
    })
    .await
}

/// No test by itself: the process that the next one kills.
#[tokio::test]
async fn the_process_that_is_killed() -> anyhow::Result<()> {
    let (Ok(url), Ok(whose)) = (std::env::var(CHILD), std::env::var(WHOSE)) else {
        return Ok(());
    };
    let registry = match seal_of_the_run()? {
        Some(_) => RegistryPool::connect_sealed(url.parse()?, &seal_key()?).await?,
        None => RegistryPool::connect(&url).await?,
    };
    let counters = PgCounters::builder(&registry)
        .answer_within(LONG)
        .return_after(Duration::from_secs(3600))
        .build();
    let acme = Holder::tenant(whose.parse()?);
    let one = Take::new(acme, "exports", month(1_000)?, 1);
    for _ in 0..100 {
        ensure!(passes(&counters, one).await?);
    }
    let seat = Take::new(acme, "seats", held(3)?, 1);
    ensure!(passes(&counters, seat).await?);
    println!("\nused up");
    std::future::pending().await
}

#[tokio::test]
async fn a_process_that_is_killed_loses_what_it_has_in_hand() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenant = TenantId::new();
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "surviving::the_process_that_is_killed",
                "--nocapture",
            ])
            .env(
                CHILD,
                notes.database.url_as("tenancy_registry", Some(PASSWORD)),
            )
            .env(WHOSE, tenant.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().context("its output")?;
        let used_up = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.any(|line| line == "used up")
        });
        let used_up = used_up.await?;
        child.kill()?;
        child.wait()?;
        ensure!(used_up, "it ended before it had used anything");

        let counters = counting(notes).await?.build();
        let acme = Holder::tenant(tenant);
        let one = Take::new(acme, "exports", month(1_000)?, 1);
        let mut passed = 100;
        while passes(&counters, one).await? {
            passed += 1;
        }
        ensure!(passed <= 1_000, "{passed}");
        ensure!(passed >= 1_000 - IN_HAND, "{passed}");
        // A reservation that nobody commits ends by itself, by the clocks of those who are left.
        let seat = Take::new(acme, "seats", held(3)?, 1);
        ensure!(used(&counters, seat).await? == 1);
        let later = START + Duration::from_secs(60);
        let standings = counters.standings(&[seat], later).answer().await?;
        ensure!(standings.iter().all(|one| one.used == 0));
        counters.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_database_that_says_nothing_refuses_and_nothing_is_taken() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let acme = a_tenant();
        let (exports, seats) = (
            Take::new(acme, "exports", month(10)?, 1),
            Take::new(acme, "seats", held(3)?, 1),
        );
        let second = Rate::new(5, Duration::from_secs(1), 5)?;
        let requests = Take::new(acme, "requests", Algorithm::Rate(second), 1);
        let patient = counting(notes).await?.build();
        ensure!(passes(&patient, exports).await?);
        let seat = Operation::once();
        ensure!(take(&patient, seat, seats).await?.is_some());
        let kept = [Settle::new(seats, 1)];
        patient.settle(seat, &kept, START).answer().await?;
        let counters = counting(notes)
            .await?
            .answer_within(Duration::from_millis(200))
            .build();
        let mut admin = notes.database.admin().await?;
        admin
            .execute(
                "BEGIN; SELECT FROM tenancy.quota_counts FOR UPDATE;
                 SELECT FROM tenancy.quota_holdings FOR UPDATE",
            )
            .await?;
        for one in [exports, seats] {
            let taken = counters.take(Operation::once(), &[requests, one], START);
            let refused = taken.answer().await;
            ensure!(
                matches!(refused, Err(CountersError::Unavailable(_))),
                "{refused:?}"
            );
        }
        admin.execute("COMMIT").await?;
        ensure!(
            used(&counters, requests).await? == 0,
            "memory has nothing of it"
        );
        // What the database may have heard too late is given back, or ends by itself.
        let later = START + Duration::from_secs(120);
        let left = patient.standings(&[seats], later).answer().await?;
        ensure!(left.iter().all(|seats| seats.used == 1), "{left:?}");
        counters.close().await;
        patient.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_changes_no_answer_is_removed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let counters = counting(notes).await?.build();
        let acme = a_tenant();
        let long_ago = tenancy_core::Timestamp::from_unix_seconds(1_000_000_000);
        let past = Algorithm::Period(
            Ceiling::new(10, Overage::Denied)?,
            Calendar::utc().window(Period::Month, long_ago),
        );
        for number in 0..3 {
            let operation = Operation::repeatable(OperationId::unique());
            let name = format!("exports-{number}");
            let takes = [
                Take::new(acme, &name, past, 1),
                Take::new(acme, &name, held(3)?, 1),
            ];
            let taken = counters.take(operation, &takes, long_ago).answer().await?;
            ensure!(matches!(taken, Taken::Granted(_)));
        }
        // What goes on counting stays.
        let now = Take::new(acme, "exports", month(10)?, 1);
        let seat = Take::new(acme, "seats", held(3)?, 1);
        ensure!(passes(&counters, now).await? && passes(&counters, seat).await?);
        let mut admin = notes.database.admin().await?;
        let age = "UPDATE tenancy.quota_holdings SET changed_at = now() - interval '2 days'";
        admin.execute(age).await?;
        // Holdings are nothing once their reservations are. The counters do the same by themselves, now and then.
        let began = Instant::now();
        let left = async || {
            let mut admin = notes.database.admin().await?;
            let mut left = Vec::new();
            for table in ["counts", "leases", "holdings", "reservations", "operations"] {
                let count = format!("SELECT count(*) FROM tenancy.quota_{table}");
                let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count))
                    .fetch_one(&mut admin)
                    .await?;
                left.push(rows);
            }
            anyhow::Ok(left)
        };
        while left().await? != [1, 1, 1, 1, 0] {
            ensure!(began.elapsed() < LONG, "{:?}", left().await?);
            counters.clean().await?;
        }
        ensure!(counters.clean().await? == 0);
        ensure!(used(&counters, now).await? == 1 && used(&counters, seat).await? == 1);
        counters.close().await;
        Ok(())
    })
    .await
}

/// Otherwise a tenant could fill the outbox, and hold nothing.
#[tokio::test]
async fn who_reserves_and_gives_back_by_turns_reaches_a_threshold_once_in_an_hour()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let counters = counting(notes).await?.build();
        let one = [Take::new(a_tenant(), "projects", held(1)?, 1).warning_at(&[80])];
        let mut admin = notes.database.admin().await?;
        for told in [1_i64, 2] {
            for _ in 0..20 {
                let operation = Operation::once();
                let taken = counters.take(operation, &one, START).answer().await?;
                ensure!(matches!(taken, Taken::Granted(_)));
                let none = [Settle::new(one[0], 0)];
                counters.settle(operation, &none, START).answer().await?;
            }
            let events = "SELECT count(*) FROM tenancy.outbox_events
                 WHERE kind = 'quota.threshold-reached'";
            let events: i64 = sqlx::query_scalar(events).fetch_one(&mut admin).await?;
            ensure!(events == told, "{events}");
            let later = "UPDATE tenancy.quota_holdings SET told_at = told_at - interval '2 hours'";
            admin.execute(later).await?;
        }
        counters.close().await;
        Ok(())
    })
    .await
}

/// A month and a year of one limit's name that begin at one moment are one count.
#[tokio::test]
async fn what_is_counted_is_kept_for_the_longest_period_that_begins_with_it() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let counters = counting(notes).await?.build();
        let acme = a_tenant();
        let january = tenancy_core::Timestamp::from_unix_seconds(4_102_876_800);
        for period in [Period::Month, Period::Year] {
            let ceiling = Ceiling::new(10, Overage::Denied)?;
            let of = Algorithm::Period(ceiling, Calendar::utc().window(period, january));
            let takes = [Take::new(acme, "exports", of, 1)];
            let taken = counters.take(Operation::once(), &takes, january);
            ensure!(matches!(taken.answer().await?, Taken::Granted(_)));
        }
        let mut admin = notes.database.admin().await?;
        let kept = "SELECT kept_until = '2102-01-01+00' FROM tenancy.quota_counts";
        let kept: Vec<bool> = sqlx::query_scalar(kept).fetch_all(&mut admin).await?;
        ensure!(kept == [true], "{kept:?}");
        counters.close().await;
        Ok(())
    })
    .await
}

/// Otherwise a caller whose requests all fail could fill the table for 24 hours, and hold nothing.
#[tokio::test]
async fn what_only_its_own_process_could_repeat_is_soon_forgotten() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let counters = counting(notes).await?.build();
        let seat = Take::new(a_tenant(), "seats", held(3)?, 1);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let eleven_minutes_ago = i64::try_from(since_1970.as_secs())? - 11 * 60;
        let then = tenancy_core::Timestamp::from_unix_seconds(eleven_minutes_ago);
        for (operation, actual) in [
            (Operation::once(), 0),
            (Operation::once(), 1),
            (Operation::repeatable(OperationId::unique()), 1),
        ] {
            let taken = counters.take(operation, &[seat], then).answer().await?;
            ensure!(matches!(taken, Taken::Granted(_)));
            let settled = [Settle::new(seat, actual)];
            let settled = counters.settle(operation, &settled, then);
            ensure!(settled.answer().await? == Settled::Done);
        }
        let mut admin = notes.database.admin().await?;
        let began = Instant::now();
        loop {
            let left = "SELECT count(*) FROM tenancy.quota_operations";
            let left: i64 = sqlx::query_scalar(left).fetch_one(&mut admin).await?;
            if left == 1 {
                break;
            }
            ensure!(began.elapsed() < LONG, "{left} are remembered");
            counters.clean().await?;
        }
        ensure!(used(&counters, seat).await? == 2);
        counters.close().await;
        Ok(())
    })
    .await
}
