//! What is in Redis: no key without an expiry, and whatever else is found in the place of a counter.

use anyhow::{Context as _, ensure};
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tenancy_core::quota::{Counters as _, Holder, Operation, Settle, Take};
use tenancy_tests::RedisServer;

use crate::{LONG, START, a_tenant, counting, each_kind, held, month, rate, take, used};

/// A plain connection.
pub(crate) async fn connect(url: &str) -> anyhow::Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(LONG))
        .set_response_timeout(Some(LONG));
    let client = redis::Client::open(url)?;
    Ok(client
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}

/// All keys.
async fn keys(admin: &mut MultiplexedConnection) -> anyhow::Result<Vec<Vec<u8>>> {
    let (mut cursor, mut all) = (0_u64, Vec::new());
    loop {
        let (next, some): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("COUNT")
            .arg(1_000)
            .query_async(admin)
            .await?;
        all.extend(some);
        cursor = next;
        if cursor == 0 {
            return Ok(all);
        }
    }
}

/// That each key has an expiry. How many there are.
pub(crate) async fn check(url: &str) -> anyhow::Result<usize> {
    let mut admin = connect(url).await?;
    let keys = keys(&mut admin).await?;
    for key in &keys {
        let left: i64 = redis::cmd("PTTL").arg(key).query_async(&mut admin).await?;
        // -2: it has ended meanwhile.
        let name = String::from_utf8_lossy(key);
        ensure!(left > 0 || left == -2, "{name} has no expiry: {left}");
    }
    Ok(keys.len())
}

/// What is found in the place of the keys of a counter: the wrong type, nonsense, or a right value without an expiry.
#[tokio::test]
async fn what_is_no_counter_starts_anew_and_has_an_expiry() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?.build();
    let mut admin = connect(&redis.url()).await?;
    let nonsense: [&[&str]; 10] = [
        &["SET", "KEY", ""],
        &["SET", "KEY", "nonsense"],
        &["SET", "KEY", "1 2 3"],
        &["SET", "KEY", "99999999999999999999999 -1 0 nan 7"],
        &["SET", "KEY", "\0\u{ff}\r\n"],
        &["RPUSH", "KEY", "1"],
        &["HSET", "KEY", "kept", "many", "sum", "-7", "told", "0"],
        &["HSET", "KEY", "field", "value"],
        &["ZADD", "KEY", "1", "member"],
        &["SADD", "KEY", "member"],
    ];
    for (name, algorithm) in each_kind(10)? {
        for replaces_ends in [false, true] {
            for command in nonsense {
                let acme = a_tenant();
                let one = Take::new(acme, name, algorithm, 4);
                ensure!(take(&counters, Operation::once(), &[one]).await?.is_some());
                let is_of = |key: &[u8]| {
                    let key = String::from_utf8_lossy(key);
                    let tenant = acme.home().map(|tenant| tenant.to_string());
                    let of_tenant = tenant.is_some_and(|tenant| key.contains(&tenant));
                    of_tenant && key.contains(":q:") && key.ends_with(":ends") == replaces_ends
                };
                let key = keys(&mut admin).await?.into_iter().find(|key| is_of(key));
                let Some(key) = key else {
                    continue;
                };
                let () = redis::cmd("DEL").arg(&key).query_async(&mut admin).await?;
                let mut replacing = redis::Cmd::new();
                for part in command {
                    match *part {
                        "KEY" => replacing.arg(&key),
                        other => replacing.arg(other),
                    };
                }
                let () = replacing.query_async(&mut admin).await?;
                // It passes, and all of it is there.
                let again = Take::new(acme, name, algorithm, 9);
                let granted = take(&counters, Operation::once(), &[again]).await?;
                ensure!(granted.is_some(), "{name}: {command:?}");
                let is = used(&counters, again).await?;
                ensure!(is == 9, "{name}: {command:?}: {is}");
                check(&redis.url())
                    .await
                    .context(format!("{name}: {command:?}"))?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_without_an_expiry_has_one_after_the_next_decision() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?.build();
    let mut admin = connect(&redis.url()).await?;
    for (name, algorithm) in each_kind(10)? {
        for amount in [1, 9] {
            let one = Take::new(a_tenant(), name, algorithm, 8);
            ensure!(take(&counters, Operation::once(), &[one]).await?.is_some());
            for key in keys(&mut admin).await? {
                let () = redis::cmd("PERSIST")
                    .arg(key)
                    .query_async(&mut admin)
                    .await?;
            }
            // Granted, or refused.
            let next = Take::new(one.holder, name, algorithm, amount);
            let granted = take(&counters, Operation::once(), &[next]).await?;
            ensure!(granted.is_some() == (amount == 1), "{name}");
            for key in keys(&mut admin).await? {
                if !String::from_utf8_lossy(&key).contains(":q:") {
                    let () = redis::cmd("DEL").arg(key).query_async(&mut admin).await?;
                }
            }
            ensure!(check(&redis.url()).await? > 0);
            let () = redis::cmd("FLUSHALL").query_async(&mut admin).await?;
        }
    }
    Ok(())
}

/// What is kept is not lost with the reservations beside it.
#[tokio::test]
async fn what_is_kept_stays_where_reservations_are_lost() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?.build();
    let mut admin = connect(&redis.url()).await?;
    let one = Take::new(a_tenant(), "seats", held(10)?, 3);
    let kept = Operation::once();
    ensure!(take(&counters, kept, &[one]).await?.is_some());
    let settled = counters.settle(kept, &[Settle::new(one, 3)], START);
    settled.answer().await?;
    ensure!(take(&counters, Operation::once(), &[one]).await?.is_some());
    ensure!(used(&counters, one).await? == 6);
    for key in keys(&mut admin).await? {
        if key.ends_with(b":ends") {
            let () = redis::cmd("DEL").arg(key).query_async(&mut admin).await?;
        }
    }
    ensure!(used(&counters, one).await? == 3);
    check(&redis.url()).await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_what_is_full_or_given_back() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?.build();
    let acme = a_tenant();
    let operation = Operation::once();
    let takes = each_kind(10)?.map(|(name, algorithm)| Take::new(acme, name, algorithm, 4));
    ensure!(take(&counters, operation, &takes).await?.is_some());
    let nothing = takes.map(|one| Settle::new(one, 0));
    counters.settle(operation, &nothing, START).answer().await?;
    let mut admin = connect(&redis.url()).await?;
    let left: Vec<_> = keys(&mut admin).await?;
    let left: Vec<_> = left
        .iter()
        .map(|key| String::from_utf8_lossy(key))
        .collect();
    // A month remembers that it has told its thresholds.
    let is_expected = |key: &str| key.contains(":o:") || key.contains(":p:");
    ensure!(left.iter().all(|key| is_expected(key)), "{left:?}");
    Ok(())
}

/// Names that mean something to Redis, or are large.
#[tokio::test]
async fn whatever_a_limit_is_called_it_counts_by_itself() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let counters = counting(&redis.url())?.build();
    let (mega, other) = ("{".repeat(1 << 20), "{".repeat((1 << 20) + 1));
    let names = [
        "",
        "}",
        "{",
        "{}",
        "a*",
        "a?",
        "[ab]",
        "a\n",
        "a\r\n*1\r\n",
        "a\0",
        "a:ends",
        "a",
        "%",
        "é",
        &mega,
        &other,
    ];
    let (acme, globex) = (a_tenant(), a_tenant());
    let nobody = Holder::caller(None, None, None);
    for holder in [acme, globex, Holder::system(), nobody] {
        for name in names {
            for algorithm in [rate(1)?, month(1)?, held(1)?] {
                let one = Take::new(holder, name, algorithm, 1);
                ensure!(take(&counters, Operation::once(), &[one]).await?.is_some());
                ensure!(take(&counters, Operation::once(), &[one]).await?.is_none());
            }
        }
    }
    let mut admin = connect(&redis.url()).await?;
    for key in keys(&mut admin).await? {
        let key = String::from_utf8(key)?;
        ensure!(key.len() < 400 && key.starts_with("tn:{"), "{key}");
        ensure!(key.matches(['{', '}']).count() == 2, "{key}");
    }
    check(&redis.url()).await?;
    Ok(())
}
