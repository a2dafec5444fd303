//! Numbers: as exact as the decisions in memory, and where doubles end, never more than the limit.

use std::time::Duration;

use anyhow::ensure;
use tenancy_core::{
    Timestamp,
    quota::{
        Algorithm, Bucket, Calendar, Ceiling, Concurrency, Counters as _, MAX_AMOUNT, Operation,
        OperationId, Overage, Period, Rate, Settle, Take, Taken, Wait,
    },
};
use tenancy_tests::{Random, RedisServer, long, seed};

use crate::{START, a_tenant, counting, each_kind, keyspace, passes, rate, take, used};

/// A number of about so many digits.
fn some(random: &mut Random, digits: u64) -> u64 {
    let most = 10_u64.pow(u32::try_from(random.below(digits) + 1).unwrap_or(1));
    random.below(most) + 1
}

/// Whether a burst, in parts of which a whole number leaks in each microsecond, is counted exactly.
fn is_exact(rate: &Rate) -> bool {
    let (mut a, mut b) = (rate.amount() * 1_000, rate.per().as_nanos() as u64);
    let per = b;
    while b > 0 {
        (a, b) = (b, a % b);
    }
    u128::from(per / a) * u128::from(rate.burst()) <= 1 << 52
}

/// Rates of many sizes, as services have them: seconds to a year.
#[tokio::test]
async fn rates_are_counted_to_the_microsecond() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?.build();
    let mut random = Random::new(seed()?);
    let (mut round, rounds) = (0, if long() { 2_000 } else { 60 });
    while round < rounds {
        let spans = [1, 7, 60, 90, 3_600, 86_400, 30 * 86_400, 365 * 86_400];
        let span = random.one_of(&spans).copied().unwrap_or(1);
        let (amount, burst) = (some(&mut random, 5), some(&mut random, 5));
        let rate = Rate::new(amount, Duration::from_secs(span), burst)?;
        if !is_exact(&rate) {
            continue;
        }
        round += 1;
        let mut now = START;
        let mut bucket = Bucket::full(now);
        let one = Take::new(a_tenant(), "rate", Algorithm::Rate(rate), 0);
        for step in 0..40 {
            let refill = rate.refill().as_micros() as u64;
            now = now + Duration::from_micros(random.below(refill / 8 + 2));
            // Doubles count the microseconds of a clock until 2255.
            if now > Timestamp::from_unix_seconds(9_000_000_000) {
                break;
            }
            let take = Take::new(
                one.holder,
                one.limit,
                one.algorithm,
                random.below(burst + 2),
            );
            let taken = counters.take(Operation::once(), &[take], now).answer();
            let of = format!("{rate:?}, round {round}, step {step}");
            match (taken.await?, bucket.take(&rate, take.amount, now)) {
                (Taken::Granted(granted), Ok(standing)) => {
                    let is = granted.standings.iter().next();
                    ensure!(is == Some(&standing), "{of}: {is:?}, not {standing:?}");
                }
                (Taken::Denied(denied), Err(denial)) => {
                    ensure!(
                        denied[0].denial == denial,
                        "{of}: {denied:?}, not {denial:?}"
                    );
                }
                (is, is_not) => anyhow::bail!("{of}: {is:?}, and not {is_not:?}"),
            }
        }
    }
    Ok(())
}

/// Rates whose numbers are larger than doubles count.
#[tokio::test]
async fn rates_beyond_doubles_never_let_more_pass() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?.build();
    let mut random = Random::new(seed()?);
    let ages = Duration::from_secs(292 * 365 * 86_400);
    let rates = [
        (1, ages, 1),
        (1, ages, MAX_AMOUNT),
        (3, ages, 1_000_003),
        (MAX_AMOUNT, ages, MAX_AMOUNT),
        (MAX_AMOUNT, Duration::from_nanos(1), MAX_AMOUNT),
        (MAX_AMOUNT, Duration::from_nanos(1), 1),
        (1, Duration::from_nanos(1), MAX_AMOUNT),
        (999_983, Duration::from_nanos(999_999_999_989), 999_999_937),
        (7, Duration::from_nanos(9_007_199_254_740_881), 1_000_003),
        (1_000, Duration::from_secs(1), MAX_AMOUNT),
        (
            999_999_999_989,
            Duration::from_nanos(999_999_999_999_989),
            MAX_AMOUNT,
        ),
    ];
    for (amount, per, burst) in rates {
        let rate = Rate::new(amount, per, burst)?;
        let mut now = START;
        let mut bucket = Bucket::full(now);
        let one = Take::new(a_tenant(), "rate", Algorithm::Rate(rate), 0);
        let mut passed = 0;
        for step in 0..if long() { 2_000 } else { 200 } {
            let most = match step % 3 {
                0 => 3,
                1 => 1_000,
                _ => 1_000_000_000_000,
            };
            now = now + Duration::from_micros(random.below(most));
            let cost = match random.below(3) {
                0 => 1,
                1 => burst / 3 + 1,
                _ => random.below(burst) + 1,
            };
            let take = Take::new(one.holder, one.limit, one.algorithm, cost);
            let taken = counters.take(Operation::once(), &[take], now).answer();
            let of = format!("{rate:?}, step {step}");
            match taken.await? {
                Taken::Granted(granted) => {
                    passed += 1;
                    let standing = bucket.take(&rate, cost, now);
                    ensure!(standing.is_ok(), "{of}: it is too much: {standing:?}");
                    let (is, should) = (granted.standings.iter().next(), standing.ok());
                    let (is, should) = (
                        is.map_or(0, |one| one.used),
                        should.map_or(0, |one| one.used),
                    );
                    ensure!(is >= should && is - should <= 1, "{of}: {is}, not {should}");
                }
                Taken::Denied(denied) => {
                    let Wait::For(wait) = denied[0].denial.wait else {
                        anyhow::bail!("{of}: {denied:?}");
                    };
                    let Err(denial) = bucket.check(&rate, cost, now) else {
                        // Its leak is slower by less than that.
                        ensure!(
                            wait < Duration::from_micros(3) + per / 1_000,
                            "{of}: {wait:?}"
                        );
                        continue;
                    };
                    let Wait::For(least) = denial.wait else {
                        anyhow::bail!("{of}: {denial:?}");
                    };
                    let most = least + least / 1_000_000_000 + Duration::from_micros(3);
                    let part = per / u32::try_from(amount.min(4_000_000_000))?.max(1);
                    ensure!(
                        wait >= least && wait <= most + part,
                        "{of}: {wait:?}, not {least:?}"
                    );
                }
            }
        }
        ensure!(passed > 0, "{rate:?}");
    }
    Ok(())
}

#[tokio::test]
async fn amounts_as_large_as_can_be_are_counted_to_one() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?.build();
    for (name, algorithm) in each_kind(MAX_AMOUNT)? {
        let acme = a_tenant();
        let of = |amount| Take::new(acme, name, algorithm, amount);
        ensure!(passes(&counters, of(MAX_AMOUNT - 1)).await?, "{name}");
        ensure!(used(&counters, of(0)).await? == MAX_AMOUNT - 1, "{name}");
        ensure!(!passes(&counters, of(2)).await?, "{name}");
        ensure!(!passes(&counters, of(u64::MAX)).await?, "{name}");
        ensure!(passes(&counters, of(1)).await?, "{name}");
        ensure!(used(&counters, of(0)).await? == MAX_AMOUNT, "{name}");
        ensure!(!passes(&counters, of(1)).await?, "{name}");
    }
    Ok(())
}

/// What turned out to be much more than its estimate blocks, and not for ever.
#[tokio::test]
async fn what_cost_more_than_can_be_counted_is_bounded() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?.build();
    for (actual, least, most) in [(u64::MAX, 120, MAX_AMOUNT), (100_000, 100_000, 100_000)] {
        let one = Take::new(a_tenant(), "tokens", rate(60)?, 1);
        let operation = Operation::once();
        ensure!(take(&counters, operation, &[one]).await?.is_some());
        let settles = [Settle::new(one, actual)];
        counters.settle(operation, &settles, START).answer().await?;
        let standings = counters.standings(&[one], START).answer().await?;
        let standing = standings.iter().next().copied().unwrap_or_default();
        ensure!((least..=most).contains(&standing.used), "{standing:?}");
        ensure!(!passes(&counters, one).await?);
        if actual == u64::MAX {
            continue;
        }
        let later = START + standing.reset_after.unwrap_or_default();
        let taken = counters.take(Operation::once(), &[one], later).answer();
        ensure!(matches!(taken.await?, Taken::Granted(_)));
    }
    Ok(())
}

/// What is used stays used when a limit changes, in whole units.
#[tokio::test]
async fn a_limit_that_changes_holds_at_once() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?.build();
    let seconds = Duration::from_secs;
    let rate = |amount, span, burst| Rate::new(amount, seconds(span), burst).map(Algorithm::Rate);
    let acme = a_tenant();
    let of = |algorithm, amount| Take::new(acme, "limit", algorithm, amount);
    ensure!(passes(&counters, of(rate(10, 10, 10)?, 10)).await?);
    for (other, left) in [
        (rate(1_000, 60, 1_000)?, 990),
        (rate(7, 86_400, 11)?, 1),
        (rate(1, 1, MAX_AMOUNT)?, MAX_AMOUNT - 10),
        (rate(12, 7, 12)?, 2),
    ] {
        let one = of(other, 0);
        ensure!(used(&counters, one).await? == 10);
        ensure!(!passes(&counters, of(other, left + 1)).await?, "{other:?}");
        // And one more, which changes how it is kept.
        let operation = Operation::once();
        let taken = take(&counters, operation, &[of(other, 1)]).await?;
        ensure!(taken.is_some(), "{other:?}");
        let back = [Settle::new(of(other, 1), 0)];
        counters.settle(operation, &back, START).answer().await?;
    }
    let lower = Algorithm::Concurrent(Concurrency::new(1, seconds(60))?);
    let higher = Algorithm::Concurrent(Concurrency::new(5, seconds(60))?);
    ensure!(passes(&counters, of(higher, 3)).await?);
    ensure!(!passes(&counters, of(lower, 1)).await?);
    ensure!(passes(&counters, of(higher, 2)).await?);
    let overage = |overage| Ceiling::new(5, overage).map(|five| Algorithm::Held(five, seconds(60)));
    ensure!(passes(&counters, of(overage(Overage::Denied)?, 5)).await?);
    ensure!(!passes(&counters, of(overage(Overage::Denied)?, 1)).await?);
    ensure!(passes(&counters, of(overage(Overage::AllowedUpTo(2))?, 2)).await?);
    ensure!(!passes(&counters, of(overage(Overage::AllowedUpTo(2))?, 1)).await?);
    ensure!(passes(&counters, of(overage(Overage::Allowed)?, 1_000)).await?);
    Ok(())
}

/// A clock that jumps a century ahead, and back.
#[tokio::test]
async fn a_clock_that_jumps_leaves_nothing_stuck() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?.build();
    let century = Duration::from_secs(100 * 365 * 86_400);
    let ten = Ceiling::new(10, Overage::Denied)?;
    let acme = a_tenant();
    let takes_at = |now: Timestamp| -> anyhow::Result<Vec<Take<'static>>> {
        let month = Algorithm::Period(ten, Calendar::utc().window(Period::Month, now));
        let mut takes =
            each_kind(10)?.map(|(name, algorithm)| Take::new(acme, name, algorithm, 10));
        takes[1].algorithm = month;
        Ok(takes.to_vec())
    };
    let taken = async |now: Timestamp| {
        let taken = counters
            .take(Operation::once(), &takes_at(now)?, now)
            .answer();
        anyhow::Ok(match taken.await? {
            Taken::Granted(_) => Vec::new(),
            Taken::Denied(denied) => denied.iter().map(|one| one.take).collect(),
        })
    };
    ensure!(taken(START).await?.is_empty());
    ensure!(taken(START + century).await?.is_empty());
    ensure!(taken(START).await? == [0, 1, 2, 3], "nothing is freed");
    // The month is used up as before; all else is there when its time is over.
    ensure!(taken(START + Duration::from_secs(60)).await? == [1]);
    let next = Calendar::utc().window(Period::Month, START).end;
    ensure!(taken(next).await?.is_empty(), "nothing is blocked");
    let mut admin = keyspace::connect(&redis.url()).await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut admin).await?;
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut admin).await?;
        let year = 366 * 86_400_000;
        ensure!((1..=year).contains(&left), "{key}: {left}");
    }
    Ok(())
}

/// Times that no clock can show: what lasts so long is kept, and its key has an expiry.
#[tokio::test]
async fn times_as_long_as_can_be_are_counted() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?
        .answer_within(Duration::MAX)
        .remember_operations_for(Duration::MAX)
        .build();
    let acme = a_tenant();
    let seats = Ceiling::new(1, Overage::Denied)?;
    let takes = [
        (
            "jobs",
            Algorithm::Concurrent(Concurrency::new(1, Duration::MAX)?),
        ),
        ("seats", Algorithm::Held(seats, Duration::MAX)),
    ];
    for (name, algorithm) in takes {
        let one = Take::new(acme, name, algorithm, 1);
        let operation = Operation::repeatable(OperationId::unique());
        ensure!(
            take(&counters, operation, &[one]).await?.is_some(),
            "{name}"
        );
        ensure!(!passes(&counters, one).await?, "{name}");
        counters
            .settle(operation, &[Settle::new(one, 0)], START)
            .answer()
            .await?;
        ensure!(passes(&counters, one).await?, "{name}");
    }
    keyspace::check(&redis.url()).await?;
    Ok(())
}
