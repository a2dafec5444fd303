//! Several processes on one database: here several counters, each with connections and leases of its own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use sqlx::Executor as _;
use tenancy_core::quota::{
    Counters, CountersError, Operation, OperationId, Settle, Settled, Take, Taken, conformance,
};
use tenancy_sqlx::PgCounters;
use tenancy_tests::notes::{Notes, on_every_server};

use crate::{LONG, START, a_tenant, counting, held, month, passes, take, used};

/// How much of a budget of 1,000 a process has in hand at most: a 64th of what is left.
const IN_HAND: usize = 15;

async fn four(notes: &Notes) -> anyhow::Result<Vec<PgCounters>> {
    let mut each = Vec::new();
    for _ in 0..4 {
        let counters = counting(notes).await?;
        each.push(counters.return_after(Duration::from_millis(20)).build());
    }
    Ok(each)
}

async fn close(each: Vec<PgCounters>) {
    for counters in each {
        counters.close().await;
    }
}

/// Whether one more passes now: time goes on, so that what was believed a second ago is asked anew.
async fn passes_now(
    counters: &PgCounters,
    one: Take<'_>,
    began: Instant,
) -> Result<bool, CountersError> {
    let taken = counters.take(Operation::once(), &[one], START + began.elapsed());
    Ok(matches!(taken.answer().await?, Taken::Granted(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_budget_of_1_000_exactly_1_000_pass() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let processes = four(notes).await?;
        let one = Take::new(a_tenant(), "exports", month(1_000)?, 1);
        let began = Instant::now();
        // Until each of the callers was refused once.
        let callers = (0..64).map(|number| {
            let counters = &processes[number % 4];
            async move {
                let mut passed = 0;
                while passes_now(counters, one, began).await? {
                    passed += 1;
                }
                Ok::<usize, CountersError>(passed)
            }
        });
        let mut passed = 0;
        for one in join_all(callers).await {
            passed += one?;
        }
        ensure!(passed <= 1_000, "{passed}");
        ensure!(passed >= 1_000 - 4 * IN_HAND, "{passed}");
        // What the others have in hand comes back.
        while passed < 1_000 {
            passed += usize::from(passes_now(&processes[0], one, began).await?);
            ensure!(began.elapsed() < 4 * LONG, "{passed}");
            tokio::task::yield_now().await;
        }
        for counters in &processes {
            ensure!(!passes(counters, one).await?);
            ensure!(used(counters, one).await? == 1_000);
        }
        close(processes).await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_that_may_be_held_three_are() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let processes = four(notes).await?;
        let one = Take::new(a_tenant(), "seats", held(3)?, 1);
        let callers = (0..32).map(|number| passes(&processes[number % 4], one));
        let mut passed = 0;
        for one in join_all(callers).await {
            passed += u32::from(one?);
        }
        ensure!(passed == 3, "{passed}");
        ensure!(used(&processes[1], one).await? == 3);
        close(processes).await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operation_that_comes_again_to_another_process_counts_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let processes = four(notes).await?;
        let [first, second] = [&processes[0], &processes[1]];
        for (limit, algorithm) in [("exports", month(2)?), ("seats", held(2)?)] {
            let one = Take::new(a_tenant(), limit, algorithm, 1);
            let operation = Operation::repeatable(OperationId::unique());
            for (counters, is_repeated) in [(first, false), (second, true), (first, true)] {
                let granted = take(counters, operation, one).await?;
                let granted = granted.context("it is granted")?;
                ensure!(granted.repeated == is_repeated, "{limit}");
                // With what another process has in hand.
                let told = granted.standings.iter().next().map(|one| one.used);
                ensure!(matches!(told, Some(1..=2)), "{limit}: {told:?}");
            }
            ensure!(used(second, one).await? == 1, "{limit}");
            let truth = [Settle::new(one, 1)];
            for (counters, expected) in [(first, Settled::Done), (second, Settled::Repeated)] {
                let settled = counters.settle(operation, &truth, START).answer().await?;
                ensure!(settled == expected, "{limit}");
            }
            ensure!(used(second, one).await? == 1, "{limit}");
        }
        close(processes).await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_threshold_of_a_period_is_one_event_of_all_processes() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let processes = four(notes).await?;
        let one = Take::new(a_tenant(), "exports", month(1_000)?, 1).warning_at(&[50, 80, 100]);
        let began = Instant::now();
        let mut told = Vec::new();
        for number in 0.. {
            let counters = &processes[number % 4];
            let taken = counters.take(Operation::once(), &[one], START + began.elapsed());
            match taken.answer().await? {
                Taken::Granted(granted) => {
                    told.extend(
                        granted
                            .crossed
                            .iter()
                            .map(|crossed| i64::from(crossed.percent)),
                    );
                }
                // The others have the rest in hand, or nobody has.
                Taken::Denied(_) if used(counters, one).await? >= 1_000 => break,
                Taken::Denied(_) => tokio::task::yield_now().await,
            }
            ensure!(began.elapsed() < 4 * LONG);
        }
        ensure!(told == [50, 80, 100], "{told:?}");
        let mut admin = notes.database.admin().await?;
        let events: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT (payload ->> 'percent')::bigint, (payload ->> 'used')::bigint
             FROM tenancy.outbox_events WHERE kind = 'quota.threshold-reached' ORDER BY id",
        )
        .fetch_all(&mut admin)
        .await?;
        let percents: Vec<_> = events.iter().map(|(percent, _)| *percent).collect();
        ensure!(percents == told, "{events:?}");
        ensure!(
            events.iter().all(|(percent, used)| *used >= percent * 10),
            "{events:?}"
        );
        close(processes).await;
        Ok(())
    })
    .await
}

/// An application's transaction has the row of a limit locked.
#[tokio::test]
async fn a_caller_who_leaves_leaves_nothing_reserved() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let counters = counting(notes).await?.build();
        let one = Take::new(a_tenant(), "seats", held(3)?, 1);
        ensure!(passes(&counters, one).await?);
        let mut admin = notes.database.admin().await?;
        admin
            .execute("BEGIN; SELECT FROM tenancy.quota_holdings FOR UPDATE")
            .await?;
        let operation = Operation::repeatable(OperationId::unique());
        {
            let mut asks = Box::pin(take(&counters, operation, one));
            ensure!(futures_util::poll!(&mut asks).is_pending());
        }
        admin.execute("COMMIT").await?;
        // Also where it was reserved in the meantime, it is released.
        let began = Instant::now();
        let asks = async || {
            let other = Operation::repeatable(OperationId::unique());
            take(
                &counters,
                other,
                Take::new(one.holder, one.limit, one.algorithm, 2),
            )
            .await
        };
        while asks().await?.is_none() {
            ensure!(began.elapsed() < LONG, "it stays reserved");
            tokio::task::yield_now().await;
        }
        counters.close().await;
        Ok(())
    })
    .await
}

/// One request of a client is refused further inside in one process, and another one of its id is admitted in the other.
#[tokio::test]
async fn two_processes_with_one_id_of_a_client_pay_once_however_one_of_them_ends()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let one = counting(notes).await?.lease_at_most(0).build();
        let other = counting(notes).await?.build();
        conformance::between_two(&one, &other).await;
        conformance::between_two(&other, &one).await;
        // The settlement and the repetition at one moment: whichever comes first, somebody has paid.
        let take_of = Take::new(a_tenant(), "exports", month(1_000)?, 1);
        for _ in 0..50 {
            let operation = Operation::repeatable(OperationId::unique());
            ensure!(take(&one, operation, take_of).await?.is_some());
            let back = [Settle::new(take_of, 0)];
            let settled = one.settle(operation, &back, START).answer();
            let (settled, repetition) =
                futures_util::join!(settled, take(&other, operation, take_of));
            let repetition = repetition?.map(|granted| granted.repeated);
            let is_paid = match settled? {
                Settled::Repeated => repetition == Some(true),
                _ => repetition == Some(false),
            };
            ensure!(is_paid, "{repetition:?}");
        }
        close(vec![one, other]).await;
        Ok(())
    })
    .await
}

/// What a repetition had ready for itself was returned, and forgotten, before it was known to be one.
#[tokio::test]
async fn a_repetition_is_told_what_is_used_where_nothing_is_in_hand_any_more() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let counters = counting(notes).await?;
        let counters = counters.return_after(Duration::from_millis(1)).build();
        let one = Take::new(a_tenant(), "exports", month(10)?, 1);
        let operation = Operation::repeatable(OperationId::unique());
        ensure!(take(&counters, operation, one).await?.is_some());
        let mut admin = notes.database.admin().await?;
        admin
            .execute("BEGIN; LOCK TABLE tenancy.quota_operations")
            .await?;
        let meanwhile = async {
            let began = Instant::now();
            let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted \
                         AND relation = 'tenancy.quota_operations'::regclass";
            loop {
                let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut admin).await?;
                if waiting > 0 && format!("{counters:?}").contains("in_hand: 0,") {
                    break;
                }
                ensure!(began.elapsed() < LONG, "it never comes to that");
                tokio::task::yield_now().await;
            }
            admin.execute("COMMIT").await?;
            Ok(())
        };
        let (granted, done) = tokio::join!(take(&counters, operation, one), meanwhile);
        done?;
        let granted = granted?.context("it is granted")?;
        ensure!(granted.repeated);
        let told = granted.standings.iter().next().map(|one| one.used);
        ensure!(told == Some(1), "{told:?}");
        counters.close().await;
        Ok(())
    })
    .await
}
