//! Channels: heard by those who listen, and by no other tenant.

use tenancy_redis::{RedisErrorKind, Subscription};
use tokio::time::{Instant, sleep, timeout};

use super::{LONG, World};

async fn next(heard: &mut Subscription) -> anyhow::Result<String> {
    Ok(timeout(LONG, heard.next()).await??.text()?.to_owned())
}

#[tokio::test]
async fn a_message_is_heard_by_all_listeners_of_its_tenant_alone() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (acme, globex) = (world.acme(), world.globex());
    let mut listeners = [acme.subscribe("news").await?, acme.subscribe("news").await?];
    let mut other = acme.subscribe("new").await?;
    let mut stranger = globex.subscribe("news").await?;
    acme.publish("news", "one").await?;
    acme.publish("news", "two").await?;
    for heard in &mut listeners {
        assert_eq!(next(heard).await?, "one");
        assert_eq!(next(heard).await?, "two");
    }
    // In order: had they heard anything, it would come first.
    acme.publish("new", "end").await?;
    globex.publish("news", "end").await?;
    assert_eq!(next(&mut other).await?, "end");
    assert_eq!(next(&mut stranger).await?, "end");
    Ok(())
}

#[tokio::test]
async fn one_connection_hears_all_channels_and_lets_go_of_them() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (acme, raw) = (world.acme(), world.raw().await?);
    let mut heard = Vec::new();
    for number in 0..200 {
        heard.push(acme.subscribe(number.to_string()).await?);
    }
    let listeners = raw.ask(&["CLIENT", "LIST", "TYPE", "PUBSUB"]).await?;
    let listeners = String::from_utf8(super::bytes(listeners))?;
    assert_eq!(listeners.lines().count(), 1, "{listeners}");
    drop(heard);
    let _last = acme.subscribe("last").await?;
    let channels = raw.ask(&["PUBSUB", "CHANNELS"]).await?;
    assert_eq!(super::list(channels).len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_lost_connection_is_told_and_nothing_is_missed_in_silence() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (acme, raw) = (world.acme(), world.raw().await?);
    let mut heard = acme.subscribe("news").await?;
    acme.publish("news", "before").await?;
    assert_eq!(next(&mut heard).await?, "before");
    raw.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await?;
    let error = timeout(LONG, heard.next()).await?.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Unavailable);
    let deadline = Instant::now() + LONG;
    let mut again = loop {
        match acme.subscribe("news").await {
            Ok(heard) => break heard,
            Err(error) => anyhow::ensure!(Instant::now() < deadline, "{error}"),
        }
        sleep(std::time::Duration::from_millis(20)).await;
    };
    acme.publish("news", "after").await?;
    assert_eq!(next(&mut again).await?, "after");
    Ok(())
}

#[tokio::test]
async fn who_does_not_keep_up_is_told_and_holds_nobody_up() -> anyhow::Result<()> {
    let world = World::new().await?;
    let acme = world.acme();
    let mut slow = acme.subscribe("news").await?;
    let mut quick = acme.subscribe("news").await?;
    for number in 0..1_500 {
        acme.publish("news", number.to_string()).await?;
        assert_eq!(next(&mut quick).await?, number.to_string());
    }
    for number in 0..1_000 {
        assert_eq!(next(&mut slow).await?, number.to_string());
    }
    let error = timeout(LONG, slow.next()).await?.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Unavailable);
    Ok(())
}
