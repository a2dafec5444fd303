//! A master that sentinels know.

use futures_util::{StreamExt as _, stream};
use tenancy_tests::RedisSentinels;

use tenancy_redis::{RedisClient, testing::Questions};

use super::Counter;

/// With the defaults.
fn asking(watched: &RedisSentinels) -> anyhow::Result<Questions> {
    let client = RedisClient::sentinel(RedisSentinels::NAME, watched.urls()).build()?;
    Ok(Questions::of(&client))
}

#[tokio::test]
async fn a_master_that_hands_over_in_mid_load_is_followed() -> anyhow::Result<()> {
    let watched = RedisSentinels::start().await?;
    let link = asking(&watched)?;
    let counter = Counter::new(&link, "tenant");
    counter.count_surely(0).await?;
    let load = stream::iter(1..=800)
        .map(|operation| counter.count_surely(operation))
        .buffer_unordered(8)
        .collect::<Vec<_>>();
    let (done, over) = tokio::join!(load, watched.fail_over());
    over?;
    done.into_iter().collect::<Result<(), _>>()?;
    counter.count_surely(801).await?;
    // What the old master counted before it heard of the new one is lost with it: Redis promises no more.
    assert!(counter.counted().await? <= 802);
    let [old, new] = watched.servers();
    old.stop();
    counter.count_surely(802).await?;
    let held: u64 = new.ask(&["EXISTS", &counter.key()]).await?;
    assert_eq!(held, 1, "the new master is not asked");
    Ok(())
}

#[tokio::test]
async fn a_master_that_is_gone_is_replaced_while_a_sentinel_is_silent() -> anyhow::Result<()> {
    let watched = RedisSentinels::start().await?;
    let link = asking(&watched)?;
    let counter = Counter::new(&link, "tenant");
    counter.count_surely(0).await?;
    let [master, replica] = watched.servers();
    // The first that would be asked.
    watched.sentinels()[0].pause()?;
    master.stop();
    counter.count_surely(1).await?;
    watched.agree_on(replica.port(), &[1, 2]).await?;
    counter.count_surely(2).await?;
    watched.sentinels()[0].resume()?;
    Ok(())
}
