//! Streams: read by many, shared in a group, and never another tenant's.

use std::{collections::BTreeSet, time::Duration};

use tenancy_redis::{RedisErrorKind, StreamId};

use super::{World, bytes};

#[tokio::test]
async fn entries_are_read_in_order_and_the_oldest_go() -> anyhow::Result<()> {
    let world = World::new().await?;
    let stream = world.acme().stream("mails");
    assert_eq!(stream.read_after(StreamId::START, 10).await?, []);
    let mut ids = Vec::new();
    for number in 0..5 {
        let fields = [("n", number.to_string()), ("tenant", "mine".to_owned())];
        ids.push(stream.append(&fields, 1_000).await?);
    }
    assert!(ids.is_sorted());
    let read = stream.read_after(StreamId::START, 2).await?;
    assert_eq!(
        read.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        ids[..2]
    );
    let rest = stream.read_after(read[1].id, 10).await?;
    assert_eq!(rest.len(), 3);
    let fields = [("n".into(), "4".into()), ("tenant".into(), "mine".into())];
    assert_eq!(rest[2].fields, fields);
    for _ in 0..3_000 {
        stream.append(&[("n", "x")], 100).await?;
    }
    assert!(stream.count().await? < 1_000);
    Ok(())
}

#[tokio::test]
async fn a_group_shares_entries_and_takes_over_what_was_not_done() -> anyhow::Result<()> {
    let world = World::new().await?;
    let stream = world.acme().stream("mails");
    let (one, two) = (
        stream.group("senders", "one"),
        stream.group("senders", "two"),
    );
    // Before there is a stream.
    assert_eq!(one.read(10).await?, []);
    for number in 0..10 {
        stream.append(&[("n", number.to_string())], 1_000).await?;
    }
    let (first, second) = (one.read(4).await?, two.read(100).await?);
    assert_eq!((first.len(), second.len()), (4, 6));
    let ids: BTreeSet<_> = first.iter().chain(&second).map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 10);
    assert_eq!(
        two.done(&second.iter().map(|entry| entry.id).collect::<Vec<_>>())
            .await?,
        6
    );
    // The first consumer is gone.
    assert_eq!(two.take_over(Duration::ZERO, 100).await?, first);
    assert_eq!(two.done(&[first[0].id]).await?, 1);
    assert_eq!(two.done(&[first[0].id]).await?, 0);
    assert_eq!(one.take_over(Duration::ZERO, 100).await?.len(), 3);
    assert_eq!(one.read(10).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_group_goes_on_after_a_flush() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();
    let stream = data.stream("mails");
    let group = stream.group("senders", "one");
    stream.append(&[("n", "old")], 10).await?;
    assert_eq!(group.read(10).await?.len(), 1);
    data.flush().await?;
    assert_eq!(group.take_over(Duration::ZERO, 10).await?, []);
    stream.append(&[("n", "new")], 10).await?;
    let read = group.read(10).await?;
    assert_eq!(read[0].fields, [("n".into(), "new".into())]);
    Ok(())
}

#[tokio::test]
async fn an_entry_that_is_not_the_tenants_is_an_error() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (stream, raw) = (world.acme().stream("mails"), world.raw().await?);
    stream.append(&[("n", "own")], 10).await?;
    let names = world.dump().await?;
    let (name, ..) = names
        .iter()
        .find(|(name, ..)| name.contains(":d:"))
        .expect("the stream");
    let other = world.globex.tenant_id().to_string();
    for owner in [["tenant", &other], ["n", "x"]] {
        let id = raw
            .ask(&["XADD", name, "*", owner[0], owner[1], "n", "forged"])
            .await?;
        for read in [
            stream.read_after(StreamId::START, 10).await,
            stream.group("g", owner[0]).read(10).await,
        ] {
            let error = read.unwrap_err();
            assert_eq!(error.kind(), RedisErrorKind::Unexpected, "{error}");
        }
        raw.ask(&[b"XDEL", name.as_bytes(), &*bytes(id)]).await?;
    }
    assert_eq!(stream.read_after(StreamId::START, 10).await?.len(), 1);
    Ok(())
}
