//! Which nodes there are.

use tenancy_redis::{RedisClient, RedisErrorKind, testing::Questions};
use tenancy_tests::{RedisCluster, RedisServer, patient_client};
use tokio::time::{Instant, sleep};

use super::{Counter, Duration, LONG, asking, patient, prompt, tag_at, until_done};

#[tokio::test]
async fn one_node_is_enough_to_find_the_others() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let [first, second, third] = cluster.urls().try_into().expect("three masters");
    let client = RedisClient::cluster([second.as_str()])
        .answer_within(LONG)
        .response_timeout(LONG)
        .build()?;
    client.check().await?;
    assert!(!client.is_down());
    for node in [0, 1, 2] {
        let link = patient(std::slice::from_ref(&third))?;
        let (tag, _) = tag_at(&cluster, node).await?;
        let counter = Counter::new(&link, &tag);
        counter.count(1).await?;
        assert_eq!(counter.counted().await?, 1);
        let held: u64 = cluster.node(node).ask(&["EXISTS", &counter.key()]).await?;
        assert_eq!(held, 1, "the key is elsewhere");
    }
    // A node that does not answer keeps nobody from the others.
    cluster.node(0).stop();
    let link = patient(&[first, third])?;
    let (tag, _) = tag_at(&cluster, 1).await?;
    Counter::new(&link, &tag).count_surely(2).await
}

#[tokio::test]
async fn a_master_that_is_missing_is_named_at_start() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let client = RedisClient::cluster(cluster.urls()).build()?;
    until_done_checking(&client).await?;
    cluster.node(2).stop();
    let error = client.check().await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Unavailable, "{error}");
    cluster.node(2).start_again().await?;
    until_done_checking(&client).await
}

async fn until_done_checking(client: &RedisClient) -> anyhow::Result<()> {
    let deadline = Instant::now() + LONG;
    while let Err(error) = client.check().await {
        anyhow::ensure!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_cluster_is_named_at_start() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let client = RedisClient::cluster([redis.url()])
        .answer_within(LONG)
        .response_timeout(LONG)
        .build()?;
    let error = client.check().await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("RedisClient::new"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_is_taken_for_one_server_is_named() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let (tag, _) = tag_at(&cluster, 1).await?;
    let client = patient_client(&cluster.node(0).url()).build()?;
    let link = Questions::of(&client);
    let error = Counter::new(&link, &tag).count(1).await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Refused, "{error}");
    let says = error.to_string();
    assert!(says.contains("RedisClient::cluster"), "{says}");
    Ok(())
}

#[test]
fn what_can_be_no_cluster_is_named_before() {
    let none: [&str; 0] = [];
    for (nodes, says) in [
        (&none[..], "one of its nodes"),
        (&["redis://127.0.0.1:6379/1"], "database 0"),
        (&["redis+unix:///run/redis"], "host and a port"),
        (&["http://u:s3cret@host"], "URL"),
    ] {
        let error = RedisClient::cluster(nodes.iter().copied())
            .build()
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_master_that_falls_silent_keeps_only_its_own_tenants() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let link = prompt(&cluster.urls())?;
    let (silent, _) = tag_at(&cluster, 0).await?;
    let (other, _) = tag_at(&cluster, 1).await?;
    let (silent, other) = (Counter::new(&link, &silent), Counter::new(&link, &other));
    silent.count_surely(1).await?;
    other.count_surely(1).await?;

    cluster.node(0).pause()?;
    // Until nobody waits for it any more.
    let deadline = Instant::now() + LONG;
    while let Err(error) = silent.count(2).await {
        if error.to_string().contains("just before") {
            break;
        }
        anyhow::ensure!(Instant::now() < deadline, "{error}");
    }
    assert!(!link.is_down(), "two of three are there");
    for operation in 2..200 {
        other.count_surely(operation).await?;
    }
    assert_eq!(other.counted().await?, 199);

    cluster.node(0).resume()?;
    silent.count_surely(2).await?;
    // With the second, which may have been done while nobody heard the answer.
    assert_eq!(silent.counted().await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced() -> anyhow::Result<()> {
    let cluster = RedisCluster::lossy().await?;
    let (tag, _) = tag_at(&cluster, 1).await?;
    let mut counted = 0;
    // Also where callers give up before an answer counts as lost.
    for answer in [Duration::from_millis(50), LONG] {
        let link = asking(&cluster.urls(), answer, Duration::from_millis(150))?;
        let counter = Counter::new(&link, &tag);
        counter.count_surely(counted).await?;
        // The connections that there are say nothing any more; new ones work.
        cluster.silence();
        counter.count_surely(counted + 1).await?;
        counted += 2;
        assert_eq!(counter.counted().await?, counted);
    }
    Ok(())
}

#[tokio::test]
async fn anybody_is_asked_what_is_about_no_key() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let link = patient(&cluster.urls())?;
    let mut heard = std::collections::BTreeSet::new();
    let deadline = Instant::now() + LONG;
    while heard.len() < 3 {
        let mut who = redis::cmd("CLUSTER");
        who.arg("MYID");
        let id = until_done(|| link.ask_once(None, &who)).await?;
        heard.insert(redis::from_redis_value::<String>(id)?);
        anyhow::ensure!(Instant::now() < deadline, "one is never asked: {heard:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_login_that_has_named_commands_only_is_enough_at_every_node() -> anyhow::Result<()> {
    let cluster = RedisCluster::start().await?;
    let rules = "on >s3cret ~tn:* -@all +ping +cluster|slots +asking +evalsha +eval +get +set +incr +pexpire";
    let user: Vec<&str> = ["ACL", "SETUSER", "app"]
        .into_iter()
        .chain(rules.split(' '))
        .collect();
    for node in [0, 1, 2] {
        cluster.node(node).ask::<()>(&user).await?;
    }
    // The login of the first URL is that for all nodes.
    let with = |login: &str| vec![cluster.urls()[2].replace("//", &format!("//{login}@"))];
    let link = patient(&with("app:s3cret"))?;
    link.check().await?;
    let (tag, slot) = tag_at(&cluster, 0).await?;
    let counter = Counter::new(&link, &tag);
    counter.count(1).await?;
    cluster.begin_move(slot, 0, 1).await?;
    cluster.move_key(&counter.key(), 0, 1).await?;
    assert_eq!(counter.counted().await?, 1);
    cluster.move_slot(slot, 0, 1).await?;
    counter.count(2).await?;
    assert_eq!(counter.counted().await?, 2);

    let error = patient(&with("app:wrong"))?.check().await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Refused, "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    Ok(())
}
