//! Redis: what processes have in common, while servers end, fall silent, come back empty and answer nonsense.

mod client;

use std::time::Duration;

use tenancy_redis::{RedisClient, RedisClientBuilder};

/// How long a test waits for what has to come.
const LONG: Duration = Duration::from_secs(60);

/// A client that waits long for a slow machine.
fn patient(url: &str) -> RedisClientBuilder {
    RedisClient::builder(url)
        .connect_timeout(LONG)
        .response_timeout(LONG)
        .answer_within(LONG)
}
