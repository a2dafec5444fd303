//! What all counters promise.

use tenancy_core::quota::conformance;
use tenancy_tests::{RedisServer, long};

use crate::counting;

/// How many random histories are played.
fn histories() -> u64 {
    if long() { 200 } else { 4 }
}

#[tokio::test]
async fn redis_conforms() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?.build();
    conformance::counters(&counters).await;
    for seed in 1..=histories() {
        conformance::histories(&counters, seed, 500).await;
    }
    Ok(())
}

#[tokio::test]
async fn homes_in_several_places_conform() -> anyhow::Result<()> {
    let counters = counting(&RedisServer::shared().await?)?
        .as_if_divided()
        .build();
    conformance::counters(&counters).await;
    for seed in 1..=histories() {
        conformance::histories(&counters, 1_000 + seed, 500).await;
    }
    Ok(())
}
