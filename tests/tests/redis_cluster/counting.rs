//! What is counted, while nodes lose what they know.

use std::net::Ipv4Addr;

use futures_util::{StreamExt as _, stream};
use tenancy_core::{
    Clock as _, SystemClock,
    quota::{Algorithm, Counters as _, Holder, Operation, Rate, Take, Taken},
};
use tenancy_redis::{RedisClient, RedisCounters};
use tenancy_tests::RedisCluster;

use super::{Counter, LONG, RUN, number, patient, prompt, tag_at, until_done};

#[tokio::test]
async fn an_operation_whose_answer_is_lost_is_counted_once() -> anyhow::Result<()> {
    let cluster = RedisCluster::lossy().await?;
    let link = patient(&cluster.urls())?;
    let (tag, _) = tag_at(&cluster, 1).await?;
    let counter = Counter::new(&link, &tag);
    counter.count_surely(0).await?;
    const LOSSES: u64 = 60;
    for operation in 1..=LOSSES {
        cluster.lose(1);
        counter.count_surely(operation).await?;
    }
    // Two other nodes have lost none.
    assert_eq!(cluster.lost(), LOSSES);
    assert_eq!(counter.counted().await?, LOSSES + 1);
    Ok(())
}

#[tokio::test]
async fn what_may_be_asked_once_is_run_once_at_most() -> anyhow::Result<()> {
    let cluster = RedisCluster::lossy().await?;
    let link = patient(&cluster.urls())?;
    let (tag, _) = tag_at(&cluster, 2).await?;
    let key = format!("{{{tag}}}runs");
    let mut load = redis::cmd("SCRIPT");
    load.arg("LOAD").arg(RUN);
    until_done(|| link.ask_once(Some(key.as_bytes()), &load)).await?;
    let mut run = redis::cmd("EVALSHA");
    run.arg(redis::Script::new(RUN).get_hash()).arg(1).arg(&key);
    let mut get = redis::cmd("GET");
    get.arg(&key);
    for lost in 1..=10 {
        cluster.lose(1);
        let answer = link.ask_once(Some(key.as_bytes()), &run).await;
        assert!(answer.is_err(), "the answer {lost} was not lost");
        let runs = until_done(|| link.ask_once(Some(key.as_bytes()), &get)).await?;
        assert_eq!(number(runs)?, lost);
    }
    Ok(())
}

#[tokio::test]
async fn a_script_that_one_node_forgets_is_given_to_it_again() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let link = patient(&cluster.urls())?;
    let (tag, _) = tag_at(&cluster, 1).await?;
    let counter = Counter::new(&link, &tag);
    for operation in 1..=10 {
        counter.count(operation).await?;
        cluster.node(1).ask::<()>(&["SCRIPT", "FLUSH"]).await?;
    }
    assert_eq!(counter.counted().await?, 10);
    Ok(())
}

#[tokio::test]
async fn a_master_that_comes_back_empty_counts_from_the_start() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let link = prompt(&cluster.urls())?;
    let (gone, _) = tag_at(&cluster, 2).await?;
    let (other, _) = tag_at(&cluster, 0).await?;
    let (gone, other) = (Counter::new(&link, &gone), Counter::new(&link, &other));
    for operation in 1..=5 {
        gone.count_surely(operation).await?;
        other.count_surely(operation).await?;
    }
    cluster.node(2).stop();
    gone.count(6).await.unwrap_err();
    other.count_surely(6).await?;
    cluster.node(2).start_again().await?;
    gone.count_surely(7).await?;
    assert_eq!(gone.counted().await?, 1);
    assert_eq!(other.counted().await?, 6);
    Ok(())
}

#[tokio::test]
async fn a_replica_that_takes_over_is_found_in_mid_load() -> anyhow::Result<()> {
    let mut cluster = RedisCluster::start().await?;
    let replica = cluster.add_replica(0).await?;
    let link = prompt(&cluster.urls())?;
    let (tag, _) = tag_at(&cluster, 0).await?;
    let counter = Counter::new(&link, &tag);
    counter.count_surely(0).await?;
    const EACH: u64 = 100;
    let load = stream::iter(1..=EACH * 8)
        .map(|operation| counter.count_surely(operation))
        .buffer_unordered(8)
        .collect::<Vec<_>>();
    // The replica takes over when it has all that the master had.
    let (done, taken) = tokio::join!(load, cluster.fail_over_to(replica));
    taken?;
    done.into_iter().collect::<Result<(), _>>()?;
    counter.count_surely(EACH * 8 + 1).await?;
    assert_eq!(counter.counted().await?, EACH * 8 + 2);

    // And now that the first is a replica, it takes over from a master that is gone.
    cluster.agrees().await?;
    cluster.node(replica).stop();
    counter.count_surely(EACH * 8 + 2).await
}

#[tokio::test]
async fn addresses_are_spread_over_the_masters_and_taken_whole_with_what_else_is_limited()
-> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let client = RedisClient::cluster(cluster.urls())
        .response_timeout(LONG)
        .answer_within(LONG)
        .build()?;
    let counters = RedisCounters::new(&client);
    let at_once = |amount| anyhow::Ok(Algorithm::Rate(Rate::new(amount, 60 * LONG, amount)?));
    let (of_each, of_all) = (at_once(10)?, at_once(200)?);
    let take = async |holder: Holder| {
        let takes = [
            Take::new(holder, "of-each", of_each, 1),
            Take::new(Holder::system(), "of-all", of_all, 1),
        ];
        let taken = counters.take(Operation::once(), &takes, SystemClock.now());
        anyhow::Ok(matches!(taken.answer().await?, Taken::Granted(_)))
    };
    let used = async |holder: Holder, limit, algorithm| {
        let takes = [Take::new(holder, limit, algorithm, 0)];
        let now = SystemClock.now();
        let standings = counters.standings(&takes, now).answer().await?;
        anyhow::Ok(standings.iter().next().map(|standing| standing.used))
    };
    let callers: Vec<Holder> = (0..201_u32)
        .map(|number| Ipv4Addr::from(0xcb00_7100 + number))
        .map(|ip| Holder::caller(None, None, Some(ip.into())))
        .collect();
    let (last, others) = callers.split_last().expect("there are some");
    for caller in others {
        assert!(take(*caller).await?);
    }
    for node in [0, 1, 2] {
        let names: Vec<String> = cluster
            .node(node)
            .ask(&["KEYS", "tn:{-*}:q:caller*"])
            .await?;
        assert!(names.len() > 20, "the node {node} has {names:?}");
    }
    // What all may take together is used up: then nothing is taken of the address either, which is elsewhere.
    assert_eq!(used(*last, "of-each", of_each).await?, Some(0));
    assert!(!take(*last).await?);
    assert_eq!(used(*last, "of-each", of_each).await?, Some(0));
    assert_eq!(used(others[0], "of-each", of_each).await?, Some(1));
    assert_eq!(used(Holder::system(), "of-all", of_all).await?, Some(200));
    Ok(())
}
