//! No name that an application gives leads to what is another tenant's.

use tenancy_redis::{OperatorRedis, TenantData};
use tenancy_tests::{Random, seed};

use super::{LONG, World};

/// What names are put together from.
const PIECES: &[&[u8]] = &[
    b"",
    b"{",
    b"}",
    b"{}",
    b":",
    b"*",
    b"?",
    b"[",
    b"]",
    b"\\",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b" ",
    b"\"",
    b"'",
    b"-",
    b"0",
    b"%",
    b"%s",
    b"..",
    b"/",
    b"tn:{",
    b"}:d:",
    b":e",
    b"}:e",
    b"}:l:",
    b"}:p:",
    b"tn:{-}:d:0:",
    b"\r\nFLUSHALL\r\n",
    b"*1\r\n$8\r\nFLUSHALL\r\n",
    b"return redis.call('FLUSHALL')",
    b"name",
];

/// Names that try to be another tenant's, and names by chance.
fn hostile(random: &mut Random, other: &str, epoch: &str) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        format!("tn:{{{other}}}:d:{epoch}:name"),
        format!("tn:{{{other}}}:e"),
        format!("}}:{{{other}}}:d:{epoch}:name"),
        format!("../{other}/name"),
        format!("\n{other}\n"),
        format!("tn:{{{other}}}:*"),
        String::new(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    for _ in 0..40 {
        let mut name = Vec::new();
        for _ in 0..random.below(6) {
            name.extend_from_slice(random.one_of(PIECES).unwrap());
            if random.below(8) == 0 {
                name.extend_from_slice(other.as_bytes());
            }
        }
        names.push(name);
    }
    names.push(vec![b'}'; 4_096]);
    names
}

/// Every call that changes something. Those that find another type fail, as they should.
async fn everything(data: &TenantData, name: &[u8]) -> anyhow::Result<()> {
    data.set(name, name).await?;
    assert_eq!(data.get(name).await?, Some(name.to_vec().into()));
    data.get_many(&[name, b"name"]).await?;
    let _ = data.set_if_absent(name, name, LONG).await;
    let _ = data.add(name, 1).await;
    data.expire(name, LONG).await?;
    assert_eq!(data.remove(&[name]).await?, 1);
    let hash = data.hash(name);
    hash.set(name, name).await?;
    hash.add("n", 1).await?;
    assert_eq!(hash.get(name).await?, Some(name.to_vec().into()));
    data.remove(&[name]).await?;
    let list = data.list(name);
    list.push_back(&[name, b"x"]).await?;
    list.trim(0, 0).await?;
    assert_eq!(list.pop_front().await?, Some(name.to_vec().into()));
    let set = data.set_of(name);
    set.insert(&[name, b"x"]).await?;
    set.remove(&[name]).await?;
    data.remove(&[name]).await?;
    let sorted = data.sorted_set(name);
    sorted.insert(name, 1.0).await?;
    sorted.remove_between(0.0, 2.0).await?;
    let stream = data.stream(name);
    stream.append(&[(name, name)], 10).await?;
    let group = stream.group(name, name);
    let read = group.read(10).await?;
    assert_eq!(
        read[0].fields,
        [(name.to_vec().into(), name.to_vec().into())]
    );
    group.done(&[read[0].id]).await?;
    data.remove(&[name]).await?;
    let lock = data
        .try_lock(name, LONG)
        .await?
        .expect("nobody else has it");
    assert!(lock.extend(LONG).await?);
    assert!(lock.release().await?);
    let channel = String::from_utf8_lossy(name);
    let channel = channel.get(..1_000).unwrap_or(&channel);
    let mut heard = data.subscribe(channel).await?;
    data.publish(channel, name).await?;
    let told = tokio::time::timeout(LONG, heard.next()).await??;
    assert_eq!(told, name.to_vec().into());
    Ok(())
}

#[tokio::test]
async fn hostile_names_touch_no_name_of_another_tenant() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (acme, globex) = (world.acme(), world.globex());
    globex.set("name", "Globex").await?;
    globex.set("", "nothing").await?;
    globex.set_for("*", "all", LONG * 60).await?;
    globex.hash("hash").set("name", "Globex").await?;
    globex.list("list").push_back(&["a", "b"]).await?;
    globex.stream("stream").append(&[("a", "b")], 10).await?;
    let held = globex
        .try_lock("lock", LONG * 60)
        .await?
        .expect("nobody has it");
    let raw = world.raw().await?;
    raw.ask(&["SET", "name", "nobody's"]).await?;
    let before = world.dump().await?;
    assert_eq!(before.len(), 9);
    let key = format!("tn:{{{}}}:e", world.globex.tenant_id());
    let epoch = raw.ask(&["GET", &key]).await?;
    let epoch = String::from_utf8(super::bytes(epoch))?;
    let mut silent = globex.subscribe("name").await?;

    let mut random = Random::new(seed()?);
    for name in hostile(&mut random, &world.globex.tenant_id().to_string(), &epoch) {
        everything(&acme, &name).await?;
        // What it leaves for the comparison at the end.
        acme.set(&name, "acme").await?;
    }
    acme.flush().await?;
    acme.set("kept", "acme").await?;
    let operators = OperatorRedis::new(&world.client);
    assert!(operators.sweep(world.acme.tenant_id()).await? > 10);

    let own = format!("tn:{{{}}}:", world.acme.tenant_id());
    let (mine, others): (Vec<_>, Vec<_>) =
        (world.dump().await?.into_iter()).partition(|(name, ..)| name.starts_with(&own));
    assert!(
        others == before,
        "{:?}",
        others.iter().map(|it| &it.0).collect::<Vec<_>>()
    );
    assert!(mine.len() > 10);
    // What was told before this would have been heard before.
    globex.publish("name", "Globex").await?;
    let told = tokio::time::timeout(LONG, silent.next()).await??;
    assert_eq!(told, "Globex".into());
    assert!(held.release().await?);
    Ok(())
}

#[tokio::test]
async fn names_are_listed_by_how_they_begin_and_never_as_patterns() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (acme, globex) = (world.acme(), world.globex());
    for name in ["a*b", "a*c", "axb", "[a]", "\n", ""] {
        acme.set(name, "x").await?;
        globex.set(format!("{name}globex"), "x").await?;
    }
    for number in 0..1_200 {
        acme.set_for(format!("n:{number}"), "x", LONG * 60).await?;
    }
    let operators = OperatorRedis::new(&world.client);
    let mut found = Vec::new();
    for beginning in ["a*", "[a]", "\n", "n:", ""] {
        let mut names = std::collections::BTreeSet::new();
        let mut scan = operators.keys(&acme, beginning);
        while let Some(some) = scan.next().await? {
            names.extend(some);
        }
        let first = names
            .iter()
            .take(2)
            .map(|name| String::from_utf8_lossy(name).into_owned());
        found.push((first.collect::<Vec<_>>().join(" "), names.len()));
    }
    let expected = [
        ("a*b a*c", 2),
        ("[a]", 1),
        ("\n", 1),
        ("n:0 n:1", 1_200),
        (" \n", 1_206),
    ];
    assert_eq!(
        found,
        expected.map(|(names, count)| (names.to_owned(), count))
    );
    Ok(())
}
