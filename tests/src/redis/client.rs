//! A client that waits long for a slow machine.

use std::time::Duration;

use tenancy_redis::{RedisClient, RedisClientBuilder};

/// A client with options for what is at this URL, which waits a minute for everything: where a test is not about time.
///
/// ```no_run
/// # async fn test() -> anyhow::Result<()> {
/// let redis = tenancy_tests::RedisServer::start().await?;
/// tenancy_tests::patient_client(&redis.url()).build()?.check().await?;
/// # Ok(())
/// # }
/// ```
pub fn patient_client(url: &str) -> RedisClientBuilder {
    const LONG: Duration = Duration::from_secs(60);
    RedisClient::builder(url)
        .connect_timeout(LONG)
        .response_timeout(LONG)
        .answer_within(LONG)
}
