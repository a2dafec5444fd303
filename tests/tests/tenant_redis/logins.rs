//! The suggested logins can do what this crate does, and nothing that shows or ends what is others'.

use std::time::Duration;

use tenancy_core::{
    MemoryAuditSink, UserId,
    quota::{
        Algorithm, Ceiling, Concurrency, Counters as _, Holder, Operation, OperationId, Overage,
        Rate, Settle, Settled, Take, Taken,
    },
};
use tenancy_redis::{
    OperatorRedis, RedisClient, RedisCounters, RedisErrorKind, RedisLogin, StreamId, TenantRedis,
    danger,
};
use tenancy_tests::RedisServer;

use super::{LONG, World, engine, patient};

/// `password`, by SHA-256.
const DIGEST: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

async fn login(world: &World, login: RedisLogin, user: &str) -> anyhow::Result<RedisClient> {
    let raw = world.raw().await?;
    let acl = login.acl(user, DIGEST);
    raw.ask(&acl.split(' ').collect::<Vec<_>>()).await?;
    let url = world
        .server
        .url()
        .replace("//", &format!("//{user}:password@"));
    Ok(patient(&url).build()?)
}

#[tokio::test]
async fn the_service_can_make_every_call() -> anyhow::Result<()> {
    let world = World::new().await?;
    let client = login(&world, RedisLogin::Service, "app").await?;
    client.check().await?;
    let data = TenantRedis::new(&client, &world.engine).tenant(&world.acme)?;
    data.set("a", "1").await?;
    data.set_for("b", "1", LONG).await?;
    data.set_if_absent("c", "1", LONG).await?;
    data.get("a").await?;
    data.get_many(&["a"]).await?;
    data.add("a", 1).await?;
    data.expire("a", LONG).await?;
    data.expiry("a").await?;
    data.remove(&["a"]).await?;
    let hash = data.hash("hash");
    hash.set("a", "1").await?;
    hash.set_many(&[("a", "1")]).await?;
    hash.get("a").await?;
    hash.all().await?;
    hash.add("a", 1).await?;
    hash.count().await?;
    hash.remove(&["a"]).await?;
    let list = data.list("list");
    list.push_back(&["a", "b"]).await?;
    list.push_front(&["c"]).await?;
    list.range(0, -1).await?;
    list.trim(0, 5).await?;
    list.count().await?;
    list.pop_back().await?;
    list.pop_front().await?;
    let set = data.set_of("set");
    set.insert(&["a"]).await?;
    set.contains("a").await?;
    set.all().await?;
    set.count().await?;
    set.remove(&["a"]).await?;
    let sorted = data.sorted_set("sorted");
    sorted.insert("a", 1.0).await?;
    sorted.add("a", 1.0).await?;
    sorted.score("a").await?;
    sorted.range(0, -1).await?;
    sorted.top(1).await?;
    sorted.between(0.0, 1.0, 1).await?;
    sorted.count().await?;
    sorted.remove_between(7.0, 8.0).await?;
    sorted.remove(&["a"]).await?;
    let stream = data.stream("stream");
    let group = stream.group("g", "c");
    group.read(1).await?;
    let id = stream.append(&[("a", "b")], 10).await?;
    stream.read_after(StreamId::START, 1).await?;
    stream.count().await?;
    group.read(1).await?;
    group.take_over(LONG, 1).await?;
    group.done(&[id]).await?;
    let lock = data.lock("lock", LONG, LONG).await?.expect("nobody has it");
    lock.extend(LONG).await?;
    lock.release().await?;
    let mut heard = data.subscribe("news").await?;
    data.publish("news", "x").await?;
    tokio::time::timeout(LONG, heard.next()).await??;
    drop(heard);
    let _other = data.subscribe("other").await?;
    data.flush().await?;
    Ok(())
}

#[tokio::test]
async fn the_service_can_count_limits_of_each_kind() -> anyhow::Result<()> {
    let world = World::new().await?;
    let client = login(&world, RedisLogin::Service, "app").await?;
    let counters = RedisCounters::builder(&client).answer_within(LONG).build();
    let rate = Rate::new(1, Duration::from_secs(3_600), 10)?;
    let jobs = Concurrency::new(10, Duration::from_secs(60))?;
    let seats = Ceiling::new(10, Overage::Denied)?;
    let algorithms = [
        Algorithm::Rate(rate),
        Algorithm::Concurrent(jobs),
        Algorithm::Held(seats, Duration::from_secs(60)),
    ];
    let holder = Holder::tenant(world.acme.tenant_id());
    let now = world.engine.clock().now();
    let take = |(number, algorithm): (usize, Algorithm)| {
        let limit = ["rate", "jobs", "seats"][number];
        Take::new(holder, limit, algorithm, 1)
    };
    let takes: Vec<_> = algorithms.into_iter().enumerate().map(take).collect();
    let operation = Operation::once();
    let taken = counters.take(operation, &takes, now).answer().await?;
    assert!(matches!(taken, Taken::Granted(_)), "{taken:?}");
    counters
        .renew(operation.id(), &takes[1..], now)
        .answer()
        .await?;
    // Nothing is left of any of them, and their keys are removed.
    let all: Vec<_> = takes.iter().map(|take| Settle::new(*take, 0)).collect();
    let settled = counters.settle(operation, &all, now).answer().await?;
    assert_eq!(settled, Settled::Done);
    let seat = OperationId::unique();
    counters.give_back(seat, &takes[2..], now).answer().await?;
    for standing in counters.standings(&takes, now).answer().await?.iter() {
        assert_eq!(standing.used, 0);
    }
    Ok(())
}

#[tokio::test]
async fn the_service_can_not_look_around_or_end_all() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.globex().set("name", "Globex").await?;
    let client = login(&world, RedisLogin::Service, "app").await?;
    let raw = danger::raw(&world.engine, &client, UserId::new(), "a test").await?;
    let globex = format!("tn:{{{}}}:*", world.globex.tenant_id());
    let refused: &[&[&str]] = &[
        &["SCAN", "0"],
        &["KEYS", "*"],
        &["RANDOMKEY"],
        &["DBSIZE"],
        &["FLUSHDB"],
        &["FLUSHALL"],
        &["SWAPDB", "0", "1"],
        &["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "tn:"],
        &["CLIENT", "LIST"],
        &["MONITOR"],
        &["CONFIG", "GET", "*"],
        &["DEBUG", "OBJECT", "x"],
        &["ACL", "LIST"],
        &["PSUBSCRIBE", "*"],
        &["PSUBSCRIBE", &globex],
        &["GET", "session:7"],
        &["SET", "session:7", "x"],
        &["GET", "tn:-"],
        &["PUBLISH", "__keyspace@0__:x", "x"],
        &["PUBLISH", "news", "x"],
        &["SCRIPT", "FLUSH"],
        &["SORT", "tn:{-}:x", "BY", "session:*"],
        &["OBJECT", "FREQ", "tn:{-}:x"],
        &["DUMP", "tn:{-}:x"],
        &["MIGRATE", "127.0.0.1", "1", "tn:{-}:x", "0", "1"],
        &["SHUTDOWN", "NOSAVE"],
        &["REPLICAOF", "NO", "ONE"],
    ];
    for words in refused {
        let error = raw.ask(words).await.unwrap_err();
        assert_eq!(error.kind(), RedisErrorKind::Refused, "{words:?}: {error}");
        assert!(error.to_string().contains("NOPERM"), "{words:?}: {error}");
    }
    // Scripts are bound as well.
    for code in [
        "return redis.call('GET', 'session:7')",
        "return redis.call('SCAN', '0')",
        "return redis.call('FLUSHDB')",
    ] {
        let error = raw.ask(&["EVAL", code, "0"]).await.unwrap_err();
        assert_eq!(error.kind(), RedisErrorKind::Refused, "{code}: {error}");
    }
    assert_eq!(world.globex().get("name").await?, Some("Globex".into()));
    Ok(())
}

#[tokio::test]
async fn operators_sweep_list_and_erase_with_a_login_of_their_own() -> anyhow::Result<()> {
    let world = World::new().await?;
    let client = login(&world, RedisLogin::Operators, "operators").await?;
    let operators = OperatorRedis::new(&client);
    let (data, tenant) = (world.acme(), world.acme.tenant_id());
    data.set("a", "1").await?;
    data.flush().await?;
    data.set("b", "1").await?;
    assert_eq!(operators.sweep(tenant).await?, 1);
    assert_eq!(
        operators.keys(&data, "").next().await?,
        Some(vec![b"b".to_vec()])
    );
    let report = danger::purge(&world.engine, &operators, UserId::new(), tenant, "a test").await?;
    assert!(report.is_complete());
    // They write no data, and end nothing as a whole.
    let raw = danger::raw(&world.engine, &client, UserId::new(), "a test").await?;
    for words in [
        &["SET", "tn:{-}:x", "x"][..],
        &["FLUSHDB"],
        &["GET", "session:7"],
    ] {
        let error = raw.ask(words).await.unwrap_err();
        assert_eq!(error.kind(), RedisErrorKind::Refused, "{words:?}: {error}");
    }
    // The service's login has no part in it.
    let app = login(&world, RedisLogin::Service, "app").await?;
    let error = OperatorRedis::new(&app).sweep(tenant).await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Refused, "{error}");
    Ok(())
}

#[tokio::test]
async fn the_acl_is_one_that_a_file_can_have() -> anyhow::Result<()> {
    let line = RedisLogin::Service.acl("app", DIGEST);
    let line = line.strip_prefix("ACL SETUSER app reset ").expect("a user");
    let server = RedisServer::with(&format!("user app {line}")).await?;
    let url = server.url().replace("//", "//app:password@");
    let engine = engine(&std::sync::Arc::new(MemoryAuditSink::new(10)))?;
    let acme = super::context(&engine, "acme").await?;
    let redis = TenantRedis::new(&patient(&url).build()?, &engine);
    redis.tenant(&acme)?.set("name", "x").await?;
    Ok(())
}
