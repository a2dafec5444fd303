//! A slot that moves from a node to another, key by key, while it is used.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tenancy_tests::{RedisCluster, long};
use tokio::time::{Instant, sleep};

use super::{Counter, LONG, asking, patient, tag_at, tags};

const CALLERS: u64 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_under_64_callers_loses_no_count() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let (tag, slot) = tag_at(&cluster, 0).await?;
    let keys = if long() { 20_000 } else { 2_000 };
    let fill: Vec<[String; 3]> = (0..keys)
        .map(|key| ["SET".into(), format!("{{{tag}}}:{key}"), "x".into()])
        .collect();
    cluster.node(0).ask_all::<(), _, _>(&fill).await?;

    // Long enough for a loaded machine, and much shorter than the move may take.
    let deadline = Duration::from_secs(2);
    let link = asking(&cluster.urls(), Duration::from_secs(1), deadline)?;
    let counter = Counter::new(&link, &tag);
    counter.count_surely(0).await?;
    let is_over = AtomicBool::new(false);
    let next = AtomicU64::new(1);
    let caller = async || {
        let mut unsure = Vec::new();
        let mut known = 0_u64;
        while !is_over.load(Ordering::SeqCst) {
            let operation = next.fetch_add(1, Ordering::SeqCst);
            // No caller may wait for ever; that it does not is what ends this test.
            match tokio::time::timeout(LONG, counter.count(operation)).await {
                Ok(Ok(())) => known += 1,
                Ok(Err(_)) => {
                    unsure.push(operation);
                    sleep(Duration::from_millis(1)).await;
                }
                Err(_) => anyhow::bail!("a caller is never answered"),
            }
        }
        anyhow::Ok((known, unsure))
    };
    let load = join_all((0..CALLERS).map(|_| caller()));
    let moving = async {
        let at_start = next.load(Ordering::SeqCst);
        until(&next, at_start + 2 * CALLERS).await?;
        let moved = cluster.move_slot(slot, 0, 1).await;
        let at_end = next.load(Ordering::SeqCst);
        let after = until(&next, at_end + 2 * CALLERS).await;
        is_over.store(true, Ordering::SeqCst);
        moved?;
        after
    };
    let (callers, moved) = tokio::join!(load, moving);
    moved?;
    assert_eq!(cluster.holder(slot, 1).await?, 1);

    let mut known = 1;
    let mut unsure = Vec::new();
    for caller in callers {
        let (surely, perhaps) = caller?;
        known += surely;
        unsure.extend(perhaps);
    }
    let counted = counter.counted().await?;
    let most = known + u64::try_from(unsure.len())?;
    assert!(
        (known..=most).contains(&counted),
        "{counted} were counted; {known} surely, {most} at most"
    );
    // What nobody knows of is counted when it is said again, and counted once.
    for operation in unsure {
        counter.count_surely(operation).await?;
    }
    assert_eq!(counter.counted().await?, most);
    // The connections are as good as before, and a new one sees the same.
    let fresh = patient(&cluster.urls())?;
    assert_eq!(Counter::new(&fresh, &tag).counted().await?, most);
    Ok(())
}

/// Waits until as many operations have begun.
async fn until(next: &AtomicU64, count: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + LONG;
    while next.load(Ordering::SeqCst) < count {
        anyhow::ensure!(Instant::now() < deadline, "the callers have stopped");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_has_moved_already_is_asked_for_where_it_is() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let (tag, slot) = tag_at(&cluster, 0).await?;
    let link = patient(&cluster.urls())?;
    let key = format!("{{{tag}}}:one");
    let get = redis::Cmd::get(&key);
    let set = |value: u8| redis::Cmd::set(&key, value);
    link.ask_once(Some(key.as_bytes()), &set(1)).await?;

    let begun = cluster.begin_move(slot, 0, 1).await;
    begun?;
    let before = link.ask_once(Some(key.as_bytes()), &get).await?;
    cluster.move_key(&key, 0, 1).await?;
    let between = link.ask_once(Some(key.as_bytes()), &get).await?;
    link.ask_once(Some(key.as_bytes()), &set(2)).await?;
    let changed = link.ask_once(Some(key.as_bytes()), &get).await?;
    cluster.move_slot(slot, 0, 1).await?;
    let after = link.ask_once(Some(key.as_bytes()), &get).await?;
    let read = |value| redis::from_redis_value::<u8>(value);
    assert_eq!(
        (read(before)?, read(between)?, read(changed)?, read(after)?),
        (1, 1, 2, 2)
    );
    Ok(())
}

#[tokio::test]
async fn a_script_with_keys_on_both_sides_waits_for_the_move() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let (tag, slot) = tag_at(&cluster, 0).await?;
    let patient = patient(&cluster.urls())?;
    let half_a_second = Duration::from_millis(500);
    let prompt = asking(&cluster.urls(), half_a_second, half_a_second)?;
    let (waiting, hasty) = (Counter::new(&patient, &tag), Counter::new(&prompt, &tag));
    hasty.count_surely(1).await?;
    // The counter is on the other side, and what remembers the next operation is nowhere.
    cluster.begin_move(slot, 0, 1).await?;
    cluster.move_key(&hasty.key(), 0, 1).await?;
    let end = async {
        for _ in 0..6 {
            let error = hasty.count(2).await.unwrap_err().to_string();
            anyhow::ensure!(!error.contains("just before"), "{error}");
        }
        // Other slots of both nodes are as they were.
        for node in [0, 1] {
            let other =
                tags().find(|(other, at)| other != &tag && *at != slot && *at / 5_462 == node);
            let (other, _) = other.expect("one of 10,000");
            Counter::new(&prompt, &other).count_surely(1).await?;
        }
        anyhow::Ok(cluster.move_slot(slot, 0, 1).await?)
    };
    let (counted, ended) = tokio::join!(waiting.count(3), end);
    ended?;
    counted?;
    hasty.count_surely(2).await?;
    assert_eq!(waiting.counted().await?, 3);
    Ok(())
}
