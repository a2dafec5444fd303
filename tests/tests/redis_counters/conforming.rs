//! What all counters promise.

use tenancy_core::quota::conformance;
use tenancy_redis::{RedisClient, RedisCounters};
use tenancy_tests::{RedisCluster, RedisServer, long};

use crate::{LONG, counting, keyspace};

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

/// Two processes, each with counters and connections of its own.
#[tokio::test]
async fn what_one_process_has_granted_another_one_knows() -> anyhow::Result<()> {
    let url = RedisServer::shared().await?;
    for is_divided in [false, true] {
        let counters = || {
            let builder = counting(&url)?;
            anyhow::Ok(match is_divided {
                true => builder.as_if_divided().build(),
                false => builder.build(),
            })
        };
        let (one, other) = (counters()?, counters()?);
        conformance::between_two(&one, &other).await;
        conformance::between_two(&other, &one).await;
    }
    Ok(())
}

/// Three masters.
#[tokio::test]
async fn a_cluster_conforms() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let client = RedisClient::cluster(cluster.urls())
        .connect_timeout(LONG)
        .response_timeout(LONG)
        .answer_within(LONG)
        .build()?;
    client.check().await?;
    let counters = RedisCounters::builder(&client).clock_of_callers().build();
    conformance::counters(&counters).await;
    for seed in 1..=histories() {
        conformance::histories(&counters, 2_000 + seed, 500).await;
    }
    Ok(())
}

/// Where there is one.
#[tokio::test]
async fn valkey_conforms() -> anyhow::Result<()> {
    let Some(valkey) = RedisServer::valkey().await? else {
        return Ok(());
    };
    let counters = counting(&valkey.url())?.build();
    conformance::counters(&counters).await;
    for seed in 1..=histories() {
        conformance::histories(&counters, 3_000 + seed, 500).await;
    }
    keyspace::check(&valkey.url()).await?;
    Ok(())
}
