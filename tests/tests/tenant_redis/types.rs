//! Every type does what its command does.

use std::time::Duration;

use tenancy_redis::{Expiry, RedisErrorKind, Stored, TenantRedis};

use super::{LONG, World, context, engine, texts};

#[tokio::test]
async fn strings_are_kept_counted_and_ended() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();
    assert_eq!(data.get("name").await?, None);
    data.set("name", "Ada").await?;
    assert_eq!(data.get("name").await?, Some("Ada".into()));
    assert_eq!(data.expiry("name").await?, Expiry::Never);
    assert!(data.expire("name", LONG).await?);
    assert!(matches!(data.expiry("name").await?, Expiry::In(left) if left <= LONG));
    assert!(!data.expire("nothing", LONG).await?);
    assert_eq!(data.expiry("nothing").await?, Expiry::Missing);

    data.set_for("short", [0, 255, b'\n'], LONG).await?;
    assert!(matches!(data.expiry("short").await?, Expiry::In(_)));
    assert_eq!(data.get("short").await?, Some(vec![0, 255, b'\n'].into()));
    assert!(!data.set_if_absent("short", "other", LONG).await?);
    assert!(data.set_if_absent("fresh", "one", LONG).await?);
    assert!(matches!(data.expiry("fresh").await?, Expiry::In(_)));

    assert_eq!(data.add("visits", 3).await?, 3);
    assert_eq!(data.add("visits", -1).await?, 2);
    assert_eq!(data.get("visits").await?.unwrap().number()?, 2);
    let cart = Stored::json_of(&[("apple", 3)])?;
    data.set("cart", &cart).await?;
    let read: Vec<(String, u32)> = data.get("cart").await?.unwrap().json()?;
    assert_eq!(read, [("apple".to_owned(), 3)]);

    let many = data.get_many(&["name", "nothing", "fresh"]).await?;
    assert_eq!(many, [Some("Ada".into()), None, Some("one".into())]);
    assert_eq!(data.remove(&["name", "nothing", "fresh"]).await?, 2);
    assert_eq!(data.get("name").await?, None);
    Ok(())
}

#[tokio::test]
async fn hashes_lists_and_sets_hold_what_was_put_in() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();

    let cart = data.hash("cart");
    cart.set("apple", "1").await?;
    cart.set_many(&[("pear", "2"), ("plum", "3")]).await?;
    assert_eq!(cart.add("apple", 4).await?, 5);
    assert_eq!(cart.get("pear").await?, Some("2".into()));
    assert_eq!(cart.get("fig").await?, None);
    assert_eq!(cart.remove(&["plum", "fig"]).await?, 1);
    let mut all = cart.all().await?;
    all.sort();
    assert_eq!(
        all,
        [("apple".into(), "5".into()), ("pear".into(), "2".into())]
    );
    assert_eq!(cart.count().await?, 2);

    let list = data.list("list");
    assert_eq!(list.push_back(&["b", "c", "d"]).await?, 3);
    assert_eq!(list.push_front(&["a"]).await?, 4);
    assert_eq!(texts(&list.range(0, -1).await?), ["a", "b", "c", "d"]);
    assert_eq!(list.pop_front().await?, Some("a".into()));
    assert_eq!(list.pop_back().await?, Some("d".into()));
    list.trim(0, 0).await?;
    assert_eq!(list.count().await?, 1);
    assert_eq!(data.list("none").pop_front().await?, None);

    let set = data.set_of("set");
    assert_eq!(set.insert(&["a", "b", "a"]).await?, 2);
    assert!(set.contains("a").await? && !set.contains("c").await?);
    assert_eq!(set.remove(&["a", "c"]).await?, 1);
    assert_eq!(texts(&set.all().await?), ["b"]);
    assert_eq!(set.count().await?, 1);

    let scores = data.sorted_set("scores");
    for (name, score) in [("a", 1.5), ("b", f64::INFINITY), ("c", -2.0)] {
        scores.insert(name, score).await?;
    }
    assert_eq!(scores.add("a", 1.0).await?, 2.5);
    assert_eq!(scores.score("b").await?, Some(f64::INFINITY));
    assert_eq!(scores.score("d").await?, None);
    let (c, a, b) = (
        ("c".into(), -2.0),
        ("a".into(), 2.5),
        ("b".into(), f64::INFINITY),
    );
    assert_eq!(
        scores.range(0, -1).await?,
        [c.clone(), a.clone(), b.clone()]
    );
    assert_eq!(scores.top(2).await?, [b, a.clone()]);
    assert_eq!(scores.between(-10.0, 10.0, 1).await?, [c]);
    assert_eq!(scores.remove_between(-10.0, 0.0).await?, 1);
    assert_eq!(scores.remove(&["b"]).await?, 1);
    assert_eq!(scores.count().await?, 1);
    Ok(())
}

#[tokio::test]
async fn each_tenant_has_its_own_names() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.acme().set("name", "Acme").await?;
    world.globex().set("name", "Globex").await?;
    assert_eq!(world.acme().get("name").await?, Some("Acme".into()));
    assert_eq!(world.globex().get("name").await?, Some("Globex".into()));
    world.acme().remove(&["name"]).await?;
    assert_eq!(world.globex().get("name").await?, Some("Globex".into()));
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_asked_is_said_and_not_asked() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();
    let long = vec![b'x'; 1 << 20];
    let none: [&str; 0] = [];
    let many = vec!["x"; 1_001];
    let refused = [
        data.set(&long, "x").await.unwrap_err(),
        data.get(&long).await.unwrap_err(),
        data.list(&long).push_back(&["x"]).await.unwrap_err(),
        data.publish("x".repeat(1 << 20), "x").await.unwrap_err(),
        data.subscribe("x".repeat(1 << 20)).await.unwrap_err(),
        data.try_lock(&long, LONG).await.unwrap_err(),
        data.set_for("x", "x", Duration::ZERO).await.unwrap_err(),
        data.set_for("x", "x", Duration::MAX).await.unwrap_err(),
        data.try_lock("x", Duration::ZERO).await.unwrap_err(),
        data.remove(&none).await.unwrap_err(),
        data.set_of("x").insert(&many).await.unwrap_err(),
        data.sorted_set("x")
            .insert("x", f64::NAN)
            .await
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), RedisErrorKind::Invalid, "{error}");
    }
    assert_eq!(world.dump().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn errors_and_debug_hold_no_values() -> anyhow::Result<()> {
    let world = World::new().await?;
    let data = world.acme();
    data.set("name-s3cret", "value-s3cret").await?;
    let wrong = data
        .list("name-s3cret")
        .push_back(&["s3cret"])
        .await
        .unwrap_err();
    assert_eq!(wrong.kind(), RedisErrorKind::Refused);
    let stored = data.get("name-s3cret").await?.unwrap();
    let no_number = stored.number().unwrap_err();
    let no_json = stored.json::<u32>().unwrap_err();
    let hash = data.hash("name-s3cret");
    let shown = format!("{wrong} {wrong:?} {no_number} {no_json} {stored:?} {data:?} {hash:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_context_of_another_engine_names_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let other = engine(&world.audit)?;
    let stranger = context(&other, "acme").await?;
    let error = world.redis.tenant(&stranger).unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::WrongEngine);
    assert!(
        TenantRedis::new(&world.client, &other)
            .tenant(&stranger)
            .is_ok()
    );
    Ok(())
}
