//! A Redis that refuses, or answers nonsense: one clear outcome each.

use anyhow::ensure;
use tenancy_core::quota::{Counters as _, CountersError, Operation, OperationId, Settle, Take};
use tenancy_redis::{RedisClient, RedisCounters};
use tenancy_tests::RedisServer;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use crate::{START, a_tenant, counting, each_kind, keyspace, passes, patient, rate, take};

/// Reads one command as clients send it.
async fn command(client: &mut BufReader<TcpStream>) -> std::io::Result<Vec<Vec<u8>>> {
    let number = async |client: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        line.trim()[1..]
            .parse::<usize>()
            .map_err(std::io::Error::other)
    };
    let mut parts = Vec::new();
    for _ in 0..number(client).await? {
        let mut part = vec![0; number(client).await? + 2];
        client.read_exact(&mut part).await?;
        part.truncate(part.len() - 2);
        parts.push(part);
    }
    Ok(parts)
}

/// A server that answers each script with this.
async fn answering(answer: &'static [u8]) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("redis://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut client = BufReader::new(client);
                while let Ok(command) = command(&mut client).await {
                    let is_script = command
                        .first()
                        .is_some_and(|name| name.starts_with(b"EVAL"));
                    let answer = if is_script { answer } else { b"+OK\r\n" };
                    if client.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(url)
}

#[tokio::test]
async fn nonsense_is_one_clear_refusal() -> anyhow::Result<()> {
    let answers: [&[u8]; 22] = [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"-MOVED 1234 127.0.0.1:1\r\n",
        b"-ERR\r\n",
        b"-\r\n",
        b"+OK\r\n",
        b":0\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*1\r\n:0\r\n",
        b"*2\r\n$1\r\n0\r\n:0\r\n",
        b"*6\r\n:7\r\n:0\r\n:-1\r\n:0\r\n:0\r\n:0\r\n",
        b"*6\r\n:9\r\n:0\r\n:1\r\n:0\r\n:0\r\n:900\r\n",
        b"*7\r\n:5\r\n:0\r\n:1\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    let one = Take::new(a_tenant(), "requests", rate(10)?, 1);
    for answer in answers {
        let client = RedisClient::builder(&answering(answer).await?)
            .answer_within(Duration::from_millis(300))
            .build()?;
        let counters = || RedisCounters::new(&client);
        let operation = Operation::once();
        let id = OperationId::unique();
        let settles = [Settle::new(one, 0)];
        let refusals = [
            counters()
                .take(operation, &[one], START)
                .answer()
                .await
                .map(drop),
            counters()
                .settle(operation, &settles, START)
                .answer()
                .await
                .map(drop),
            counters().renew(id, &[one], START).answer().await.map(drop),
            counters()
                .give_back(id, &[one], START)
                .answer()
                .await
                .map(drop),
            counters().standings(&[one], START).answer().await.map(drop),
        ];
        for (asked, refusal) in refusals.into_iter().enumerate() {
            let text = String::from_utf8_lossy(answer);
            ensure!(
                matches!(refusal, Err(CountersError::Unavailable(_))),
                "{text:?}, question {asked}: {refusal:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_redis_without_memory_refuses_and_charges_nothing() -> anyhow::Result<()> {
    let redis = RedisServer::with("maxmemory-policy noeviction").await?;
    let counters = counting(&redis.url())?.build();
    let mut admin = keyspace::connect(&redis.url()).await?;
    let acme = a_tenant();
    for (name, algorithm) in each_kind(1)? {
        let one = Take::new(acme, name, algorithm, 1);
        let () = redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory")
            .arg("1")
            .query_async(&mut admin)
            .await?;
        let refused = take(&counters, Operation::once(), &[one]).await;
        let Err(CountersError::Unavailable(why)) = refused else {
            anyhow::bail!("{name}: {refused:?}");
        };
        ensure!(why.to_string().contains("OOM"), "{why}");
        let () = redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory")
            .arg("0")
            .query_async(&mut admin)
            .await?;
        ensure!(passes(&counters, one).await?, "{name}");
    }
    keyspace::check(&redis.url()).await?;
    Ok(())
}

#[tokio::test]
async fn a_replica_refuses_and_a_master_goes_on() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let one = Take::new(a_tenant(), "requests", rate(2)?, 1);
    ensure!(passes(&counting(&redis.url())?.build(), one).await?);
    let mut admin = keyspace::connect(&redis.url()).await?;
    let () = redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg("1")
        .query_async(&mut admin)
        .await?;
    let client = RedisClient::builder(&redis.url())
        .answer_within(Duration::from_millis(300))
        .build()?;
    let hasty = RedisCounters::builder(&client).clock_of_callers().build();
    let refused = take(&hasty, Operation::once(), &[one]).await;
    ensure!(
        matches!(refused, Err(CountersError::Unavailable(_))),
        "{refused:?}"
    );
    let () = redis::cmd("REPLICAOF")
        .arg("NO")
        .arg("ONE")
        .query_async(&mut admin)
        .await?;
    let counters = counting(&redis.url())?.build();
    ensure!(passes(&counters, one).await?);
    ensure!(!passes(&counters, one).await?);
    Ok(())
}

/// Some services forbid scripts to ask for the time.
#[tokio::test]
async fn a_redis_that_tells_no_time_counts_by_the_clocks_of_callers() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let mut admin = keyspace::connect(&redis.url()).await?;
    let () = redis::cmd("ACL")
        .arg(&["SETUSER", "svc", "on", ">s3cret", "~tn:*", "+@all", "-time"])
        .query_async(&mut admin)
        .await?;
    let url = redis.url().replace("//", "//svc:s3cret@");
    let one = Take::new(a_tenant(), "requests", rate(1)?, 1);
    let by_redis = RedisCounters::new(&patient(&url).build()?);
    let refused = take(&by_redis, Operation::once(), &[one]).await;
    ensure!(
        matches!(refused, Err(CountersError::Unavailable(_))),
        "{refused:?}"
    );
    let by_callers = counting(&url)?.build();
    ensure!(passes(&by_callers, one).await?);
    ensure!(!passes(&by_callers, one).await?);
    Ok(())
}
