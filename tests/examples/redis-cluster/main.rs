//! Which way to a Redis Cluster holds: the cluster connection of the driver, or connections of our own to each master by a
//! map of the slots, as `tenancy-redis` has them. Both under the same load, in one run.
//!
//! ```text
//! cargo run --locked -p tenancy-tests --features redis-cluster --example redis-cluster
//! ```
//!
//! The first table: answers that are lost after the script has been run. The second: a slot of 20,000 keys that moves from
//! a node to another key by key while 1, 16 and 64 callers use it.

mod lost;
mod moved;
mod subject;

// What the crate asks Redis through is private to it, so it is compiled here once more.
#[path = "../../../tenancy-redis/src"]
#[allow(dead_code, unreachable_pub)]
mod library {
    pub(crate) mod error;
    pub(crate) mod link;
    pub(crate) mod script;
}

use library::{
    error::{RedisError, RedisErrorKind},
    script,
};

/// Counts each time that it is run.
const PLAIN: &str = "return redis.call('INCR', KEYS[1])";

/// Counts an operation once: the counter, and what remembers the operation.
const WITH_ID: &str = "if redis.call('SET', KEYS[2], '1', 'NX', 'PX', 600000) then redis.call('INCR', KEYS[1]) end \
                       return redis.call('GET', KEYS[1])";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    lost::print().await?;
    moved::print().await
}

/// A tenant whose slot is at the first node.
fn tag(number: usize) -> (String, u16) {
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);
    let mut found = (0_u32..).map(|tag| {
        let tag = format!("tenant-{tag}");
        let slot = crc.checksum(tag.as_bytes()) % 16_384;
        (tag, slot)
    });
    let mut here = found.by_ref().filter(|(_, slot)| *slot < 5_000);
    here.nth(number).unwrap_or_default()
}
