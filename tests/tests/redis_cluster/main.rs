//! Redis Cluster and Sentinel: what is counted once is counted once, while answers get lost, nodes end, fall silent, and
//! hand slots to one another.

mod counting;
mod moving;
mod nodes;
mod sentinel;

use std::{future::Future, time::Duration};

use redis::Value;
use tenancy_redis::{RedisClient, RedisError, testing::Questions};
use tenancy_tests::RedisCluster;
use tokio::time::{Instant, sleep};

/// How long a test waits for what has to come.
const LONG: Duration = Duration::from_secs(60);

/// Counts an operation once: the counter, and what remembers the operation.
const COUNT: &str = "if redis.call('SET', KEYS[2], '1', 'NX', 'PX', 600000) then \
                     redis.call('INCR', KEYS[1]) redis.call('PEXPIRE', KEYS[1], 600000) end \
                     return redis.call('GET', KEYS[1])";

/// Counts each time that it is run.
const RUN: &str = "return redis.call('INCR', KEYS[1])";

/// A way to a cluster, with a deadline that a slow machine keeps.
fn patient(urls: &[String]) -> anyhow::Result<Questions> {
    asking(urls, Duration::from_secs(5), LONG)
}

/// A way to a cluster, with the defaults.
fn prompt(urls: &[String]) -> anyhow::Result<Questions> {
    asking(urls, Duration::from_millis(50), Duration::from_millis(150))
}

fn asking(urls: &[String], answer: Duration, patience: Duration) -> anyhow::Result<Questions> {
    let client = RedisClient::cluster(urls.iter().map(String::as_str))
        .response_timeout(answer)
        .answer_within(patience)
        .build()?;
    Ok(Questions::of(&client))
}

/// A hash tag whose slot a node holds.
async fn tag_at(cluster: &RedisCluster, node: usize) -> anyhow::Result<(String, u16)> {
    for (tag, slot) in tags() {
        if cluster.holder(slot, node).await? == node {
            return Ok((tag, slot));
        }
    }
    anyhow::bail!("no tag is in a slot of the node {node}")
}

/// Hash tags and their slots.
fn tags() -> impl Iterator<Item = (String, u16)> {
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);
    (0..10_000).map(move |number| {
        let tag = format!("tenant-{number}");
        let slot = crc.checksum(tag.as_bytes()) % 16_384;
        (tag, slot)
    })
}

/// One who counts operations of a tenant, each with an id of its own.
struct Counter<'a> {
    link: &'a Questions,
    tag: &'a str,
}

impl<'a> Counter<'a> {
    fn new(link: &'a Questions, tag: &'a str) -> Self {
        Self { link, tag }
    }

    fn key(&self) -> String {
        format!("tn:{{{}}}:counter", self.tag)
    }

    /// Counts an operation; also one that was counted before, which changes nothing.
    async fn count(&self, operation: u64) -> Result<(), RedisError> {
        let remembered = format!("tn:{{{}}}:o:{operation}", self.tag);
        let none: [&str; 0] = [];
        let keys = [self.key(), remembered];
        self.link.run(COUNT, &keys, &none).await.map(drop)
    }

    /// Counts an operation until that is known to have been done.
    async fn count_surely(&self, operation: u64) -> anyhow::Result<()> {
        until_done(|| self.count(operation)).await.map(drop)
    }

    /// How many were counted.
    async fn counted(&self) -> anyhow::Result<u64> {
        let key = self.key();
        let mut get = redis::cmd("GET");
        get.arg(&key);
        let counted = until_done(|| self.link.ask_once(Some(key.as_bytes()), &get)).await?;
        number(counted)
    }
}

fn number(value: Value) -> anyhow::Result<u64> {
    let number: Option<u64> = redis::from_redis_value(value)?;
    Ok(number.unwrap_or(0))
}

/// Tries until it is done.
async fn until_done<T, F>(once: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, RedisError>>,
{
    let deadline = Instant::now() + LONG;
    loop {
        match once().await {
            Ok(done) => return Ok(done),
            Err(error) => anyhow::ensure!(Instant::now() < deadline, "{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
