//! A master that sentinels know.

use futures_util::{StreamExt as _, stream};
use tenancy_tests::RedisSentinels;

use super::{Address, Counter, Duration, Link, Waits};

fn link(watched: &RedisSentinels) -> anyhow::Result<Link> {
    let waits = Waits {
        connect: Duration::from_secs(1),
        answer: Duration::from_millis(50),
        at_once: 4_096,
    };
    let address = Address::master(RedisSentinels::NAME, &watched.urls(), None)?;
    Ok(Link::new(address, waits, Duration::from_millis(150)))
}

#[tokio::test]
async fn a_master_that_hands_over_in_mid_load_is_followed() -> anyhow::Result<()> {
    let watched = RedisSentinels::start().await?;
    let link = link(&watched)?;
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
    let link = link(&watched)?;
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
