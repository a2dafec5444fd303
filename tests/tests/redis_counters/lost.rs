//! What is lost on the way: answers, connections, scripts, and all that Redis held.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use tenancy_core::quota::{
    Counters as _, CountersError, Operation, OperationId, Settle, Settled, Take, Taken,
};
use tenancy_redis::{RedisClient, RedisCounters};
use tenancy_tests::{Random, RedisServer, long, seed};
use tokio::time::{Duration, Instant, sleep};

use crate::{
    LONG, START, a_tenant, at_once, counting, each_kind, held, keyspace, lossy, month, passes,
    patient, rate, take, used,
};
use lossy::{Cut, Lossy};

/// Counters that have been answered so often that they may ask again once more.
async fn pay_for_a_retry(counters: &RedisCounters, one: Take<'_>) -> anyhow::Result<()> {
    for _ in 0..10 {
        used(counters, one).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_operation_whose_answer_is_lost_is_charged_once() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let way = Lossy::start(redis.port()).await?;
    let counters = counting(way.url())?.build();
    let acme = a_tenant();
    let kinds = each_kind(10_000)?;
    let takes = kinds.map(|(name, algorithm)| Take::new(acme, name, algorithm, 1));
    let mut expected = HashMap::new();
    for round in 0..1_000_u64 {
        // All four at once, or one of them.
        let those = match usize::try_from(round % 5)? {
            4 => &takes[..],
            one => &takes[one..=one],
        };
        let operation = match round % 2 {
            0 => Operation::once(),
            _ => Operation::repeatable(OperationId::unique()),
        };
        pay_for_a_retry(&counters, takes[0]).await?;
        way.cut(Cut::Answer(0));
        let granted = take(&counters, operation, those).await?;
        let granted = granted.context("there is room")?;
        ensure!(!way.is_armed(), "round {round}: the answer was lost");
        ensure!(!granted.repeated, "round {round}: nobody has repeated it");
        for one in those {
            *expected.entry(one.limit).or_insert(0) += 1;
        }
        if round % 50 == 49 {
            for one in takes {
                let is = used(&counters, one).await?;
                ensure!(
                    is == expected[one.limit],
                    "{}: {is} in round {round}",
                    one.limit
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_settlement_whose_answer_is_lost_counts_once() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let way = Lossy::start(redis.port()).await?;
    let counters = counting(way.url())?.build();
    let acme = a_tenant();
    for (name, algorithm) in each_kind(10_000)? {
        let (mut is_used, is_held) = (0, name == "held");
        let one = Take::new(acme, name, algorithm, 10);
        for round in 0..60_u64 {
            let operation = match round % 2 {
                0 => Operation::once(),
                _ => Operation::repeatable(OperationId::unique()),
            };
            ensure!(take(&counters, operation, &[one]).await?.is_some());
            let actual = [0, 7, 12][usize::try_from(round % 3)?];
            pay_for_a_retry(&counters, one).await?;
            way.cut(Cut::Answer(0));
            let settles = [Settle::new(one, actual)];
            let settled = counters.settle(operation, &settles, START);
            ensure!(settled.answer().await? == Settled::Done, "{name} {round}");
            ensure!(!way.is_armed());
            is_used += if name == "at-once" { 0 } else { actual };
            ensure!(used(&counters, one).await? == is_used, "{name} {round}");
            // Somebody else who settles it is told so.
            let again = counters.settle(operation, &settles, START);
            ensure!(again.answer().await? == Settled::Repeated, "{name} {round}");
            ensure!(used(&counters, one).await? == is_used, "{name} {round}");
        }
        if is_held {
            let freed = OperationId::unique();
            pay_for_a_retry(&counters, one).await?;
            way.cut(Cut::Answer(0));
            let answer = counters.give_back(freed, &[one], START).answer();
            ensure!(answer.await? == Settled::Done);
            ensure!(used(&counters, one).await? == is_used - 10);
        }
    }
    Ok(())
}

#[tokio::test]
async fn thresholds_are_told_although_the_answer_is_lost() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let way = Lossy::start(redis.port()).await?;
    let counters = counting(way.url())?.build();
    let acme = a_tenant();
    let takes = each_kind(10)?
        .map(|(name, algorithm)| Take::new(acme, name, algorithm, 8).warning_at(&[50, 80, 100]));
    pay_for_a_retry(&counters, takes[0]).await?;
    way.cut(Cut::Answer(0));
    let granted = take(&counters, Operation::once(), &takes).await?;
    let crossed = granted.context("there is room")?.crossed;
    let crossed: Vec<_> = crossed.iter().map(|one| (one.take, one.percent)).collect();
    ensure!(
        crossed == [(0, 80), (1, 80), (2, 80), (3, 80)],
        "{crossed:?}"
    );
    Ok(())
}

/// Questions that are cut in their midst, and answers, at any byte.
#[tokio::test]
async fn a_connection_that_is_cut_leaves_no_key_without_an_expiry() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let way = Lossy::start(redis.port()).await?;
    let counters = counting(way.url())?.build();
    let mut random = Random::new(seed()?);
    let acme = a_tenant();
    let kinds = each_kind(1_000_000)?;
    let (mut least, mut most) = (0, 0);
    let rounds = if long() { 10_000 } else { 300 };
    for round in 0..rounds {
        let takes = kinds.map(|(name, algorithm)| Take::new(acme, name, algorithm, 1));
        way.cut(match random.below(2) {
            0 => Cut::Question(usize::try_from(random.below(1_500))?),
            _ => Cut::Answer(usize::try_from(random.below(120))?),
        });
        let operation = Operation::once();
        most += 1;
        match take(&counters, operation, &takes).await {
            Ok(granted) => {
                ensure!(granted.is_some(), "round {round}");
                least += 1;
            }
            Err(CountersError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if random.below(4) == 0 {
            let settles = takes.map(|one| Settle::new(one, 1));
            let settled = counters.settle(operation, &settles, START).answer().await;
            ensure!(matches!(
                settled,
                Ok(_) | Err(CountersError::Unavailable(_))
            ));
        }
        // A breaker that is open lets one try after half a second; ten answers pay for one retry.
        if counters.is_down() || random.below(3) == 0 {
            comes_back(&counters).await?;
        }
    }
    comes_back(&counters).await?;
    let one = Take::new(acme, "rate", kinds[0].1, 1);
    let is = used(&counters, one).await?;
    ensure!((least..=most).contains(&is), "{is} of {least} to {most}");
    let keys = keyspace::check(&redis.url()).await?;
    ensure!(keys > 5, "{keys} keys");
    Ok(())
}

async fn comes_back(counters: &RedisCounters) -> anyhow::Result<()> {
    let (deadline, one) = (
        Instant::now() + LONG,
        Take::new(a_tenant(), "one", rate(1)?, 0),
    );
    let mut answers = 0;
    while answers < 10 {
        match used(counters, one).await {
            Ok(_) => answers += 1,
            Err(error) => {
                ensure!(Instant::now() < deadline, "{error}");
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn scripts_that_redis_has_lost_are_given_to_it_again() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?.build();
    let mut admin = keyspace::connect(&redis.url()).await?;
    let acme = a_tenant();
    let one = Take::new(acme, "requests", rate(500)?, 1);
    let flushing = async {
        for _ in 0..100 {
            let () = redis::cmd("SCRIPT")
                .arg("FLUSH")
                .query_async(&mut admin)
                .await?;
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    let taking = async {
        let callers = (0..16).map(|_| async {
            let mut passed = 0;
            for _ in 0..50 {
                passed += u64::from(passes(&counters, one).await?);
            }
            anyhow::Ok(passed)
        });
        let passed = futures_util::future::try_join_all(callers).await?;
        anyhow::Ok(passed.into_iter().sum::<u64>())
    };
    let (flushed, passed) = tokio::join!(flushing, taking);
    flushed?;
    ensure!(passed? == 500);
    Ok(())
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_counts_from_nothing() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let client = RedisClient::builder(&redis.url()).build()?;
    let counters = RedisCounters::builder(&client).clock_of_callers().build();
    comes_back(&counters).await?;
    let acme = a_tenant();
    let one = Take::new(acme, "exports", month(3)?, 3);
    let seat = Take::new(acme, "seats", held(3)?, 3);
    let job = Take::new(acme, "jobs", at_once(3)?, 3);
    let before = Operation::once();
    ensure!(patiently(&counters, before, &[one, seat, job]).await?);
    redis.stop();
    let down = Instant::now() + LONG;
    loop {
        let refused = take(&counters, Operation::once(), &[one]).await;
        ensure!(
            matches!(refused, Err(CountersError::Unavailable(_))),
            "{refused:?}"
        );
        if counters.is_down() {
            break;
        }
        ensure!(Instant::now() < down);
    }
    redis.start_again().await?;
    comes_back(&counters).await?;
    // What ran before ends late and harms nothing; what was reserved is kept all the same.
    let settles = [
        Settle::new(one, 3),
        Settle::new(seat, 3),
        Settle::new(job, 0),
    ];
    let settled = loop {
        match counters.settle(before, &settles, START).answer().await {
            Err(CountersError::Unavailable(_)) => {}
            other => break other?,
        }
    };
    // Repeated, where the answer came too late for a slow machine and was asked for again.
    ensure!(matches!(settled, Settled::Late | Settled::Repeated));
    ensure!(patiently(&counters, Operation::once(), &[one, job]).await?);
    ensure!(!patiently(&counters, Operation::once(), &[seat]).await?);
    keyspace::check(&redis.url()).await?;
    Ok(())
}

/// Takes until there is an answer.
async fn patiently(
    counters: &RedisCounters,
    operation: Operation,
    takes: &[Take<'_>],
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + LONG;
    loop {
        match counters.take(operation, takes, START).answer().await {
            Ok(Taken::Granted(_)) => return Ok(true),
            Ok(Taken::Denied(_)) => return Ok(false),
            Err(error) => ensure!(Instant::now() < deadline, "{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_nobody_answers_is_unavailable_and_closed_counters_count_no_more() -> anyhow::Result<()>
{
    let redis = RedisServer::start().await?;
    let one = Take::new(a_tenant(), "requests", rate(10)?, 1);
    let counters = RedisCounters::builder(&RedisClient::new(&redis.url())?)
        .answer_within(Duration::from_millis(100))
        .build();
    comes_back(&counters).await?;
    redis.pause()?;
    let refused = take(&counters, Operation::once(), &[one]).await;
    ensure!(
        matches!(refused, Err(CountersError::Unavailable(_))),
        "{refused:?}"
    );
    redis.resume()?;
    comes_back(&counters).await?;
    counters.close();
    let refused = take(&counters, Operation::once(), &[one]).await;
    ensure!(
        matches!(refused, Err(CountersError::Unavailable(_))),
        "{refused:?}"
    );
    let other = RedisCounters::new(&patient(&redis.url()).build()?);
    ensure!(passes(&other, one).await?);
    Ok(())
}
