//! A flush forgets all of one tenant's, in every process, and nothing comes back.

use tenancy_redis::{OperatorRedis, TenantRedis};

use super::{LONG, World, bytes, list, patient};

#[tokio::test]
async fn a_flush_counts_in_every_process_at_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    // Another process: connections of its own.
    let elsewhere = TenantRedis::new(&patient(&world.server.url()).build()?, &world.engine);
    let there = elsewhere.tenant(&world.acme)?;
    let here = world.acme();
    world.globex().set("name", "Globex").await?;
    here.set("name", "Acme").await?;
    here.hash("hash").set("a", "b").await?;
    assert_eq!(there.get("name").await?, Some("Acme".into()));
    let lock = here.try_lock("lock", LONG).await?.expect("nobody has it");

    here.flush().await?;
    assert_eq!(there.get("name").await?, None);
    assert_eq!(there.hash("hash").count().await?, 0);
    there.set("name", "new").await?;
    assert_eq!(here.get("name").await?, Some("new".into()));
    assert_eq!(world.globex().get("name").await?, Some("Globex".into()));
    // Who holds a lock holds it still.
    assert!(there.try_lock("lock", LONG).await?.is_none());
    assert!(lock.release().await?);
    Ok(())
}

#[tokio::test]
async fn what_was_flushed_never_comes_back() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (data, raw) = (world.acme(), world.raw().await?);
    data.set("name", "old").await?;
    data.flush().await?;
    data.flush().await?;
    data.set("name", "newer").await?;
    // Its epoch is lost, to a Redis that throws away what it must not: a new one begins, and never an old one again.
    let epoch = format!("tn:{{{}}}:e", world.acme.tenant_id());
    raw.ask(&["DEL", &epoch]).await?;
    assert_eq!(data.get("name").await?, None);
    data.set("other", "x").await?;
    assert_eq!(data.get("name").await?, None);
    assert_eq!(data.get("other").await?, Some("x".into()));
    Ok(())
}

#[tokio::test]
async fn a_sweep_removes_what_was_flushed_and_nothing_else() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();
    for number in 0..1_500 {
        data.set(number.to_string(), "x").await?;
    }
    world.globex().set("name", "Globex").await?;
    let operators = OperatorRedis::new(&world.client);
    assert_eq!(operators.sweep(world.acme.tenant_id()).await?, 0);
    data.flush().await?;
    data.set("kept", "x").await?;
    assert_eq!(operators.sweep(world.acme.tenant_id()).await?, 1_500);
    assert_eq!(data.get("kept").await?, Some("x".into()));
    let names = list(world.raw().await?.ask(&["KEYS", "*"]).await?);
    let names: Vec<_> = names.into_iter().map(bytes).collect();
    // Two epochs, and two values.
    assert_eq!(names.len(), 4);
    Ok(())
}
