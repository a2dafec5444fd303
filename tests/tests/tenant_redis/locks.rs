//! One holder at a time, and numbers that only grow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use tenancy_redis::danger::RawReply;

use super::{LONG, World};

#[tokio::test]
async fn one_holder_at_a_time_and_each_has_a_greater_number() -> anyhow::Result<()> {
    let world = World::new().await?;
    let inside = Arc::new(AtomicU32::new(0));
    let last = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (data, inside, last) = (world.acme(), Arc::clone(&inside), Arc::clone(&last));
        tasks.spawn(async move {
            for _ in 0..4 {
                // Held far longer than the test takes.
                let lock = data.lock("work", LONG * 60, LONG).await?;
                let lock = lock.ok_or_else(|| anyhow::anyhow!("it was not to be had"))?;
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                assert!(last.swap(lock.number(), Ordering::SeqCst) < lock.number());
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                assert!(lock.release().await?);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

#[tokio::test]
async fn a_lock_whose_time_is_over_is_somebody_elses() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();
    let first = data.try_lock("work", Duration::from_millis(1)).await?;
    let first = first.expect("nobody else has it");
    let second = data
        .lock("work", LONG * 60, LONG)
        .await?
        .expect("its time is over");
    assert!(second.number() > first.number());
    assert!(data.try_lock("work", LONG).await?.is_none());
    // Somebody who waits for ever gets it when it is free.
    let free = data.lock("free", LONG, Duration::MAX).await?;
    assert!(free.expect("nobody has it").release().await?);
    // Another tenant's is another lock.
    assert!(world.globex().try_lock("work", LONG).await?.is_some());
    // The first holder takes nothing away from the second.
    assert!(!first.extend(LONG * 600).await?);
    assert!(!first.release().await?);
    assert!(second.extend(LONG * 60).await?);
    assert!(
        data.lock("work", LONG, Duration::from_millis(1))
            .await?
            .is_none()
    );
    assert!(second.release().await?);
    Ok(())
}

#[tokio::test]
async fn a_lock_is_forgotten_by_itself() -> anyhow::Result<()> {
    let world = World::new().await?;
    let years = LONG * 60 * 24 * 365 * 10;
    let held = world.acme().try_lock("work", years).await?;
    held.expect("nobody has it").release().await?;
    let kept: Vec<_> = (world.dump().await?.into_iter())
        .filter(|(name, ..)| name.contains(":l:"))
        .collect();
    let [(name, _, true)] = &kept[..] else {
        panic!("there is one, and it ends: {kept:?}");
    };
    // A day after its end, and not after the time for which it was taken.
    let left = world.raw().await?.ask(&["TTL", name]).await?;
    assert!(matches!(left, RawReply::Int(1..=86_400)), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn numbers_grow_across_a_redis_that_comes_back_empty() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();
    let before = data
        .try_lock("work", LONG * 60)
        .await?
        .expect("nobody has it");
    world.server.start_again().await?;
    let deadline = Instant::now() + LONG;
    let after = loop {
        match data.try_lock("work", LONG).await {
            Ok(lock) => break lock.expect("it was forgotten"),
            Err(error) => anyhow::ensure!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(after.number() > before.number());
    assert!(!before.release().await?);
    Ok(())
}
