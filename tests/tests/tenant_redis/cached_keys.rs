//! Records of API keys that processes share through Redis: a revocation counts, and nothing of them can be read there.

use tenancy_core::{
    KeyId, SystemRole, UserId,
    key::{
        ApiKey, Environment, IssuedKey, KeyChange, KeyDirectory as _, KeyHandle, KeyStore as _,
        KeyVerifier, NewKey, SecretHash,
    },
    testing::{FakeRequest, service, unattributed},
};
use tenancy_redis::RedisNews;
use tenancy_tests::{RedisServer, logwatch};
use tokio::time::{Duration, Instant, sleep};

use super::{
    LONG, bytes,
    cache::{Process, Service},
    patient,
};

/// Whether a key is admitted, and whether the directory was asked.
async fn used(process: &Process, key: &IssuedKey) -> (Result<(), u16>, bool) {
    let before = process.directory.questions();
    let request = FakeRequest::new("/notes").bearer(key.expose());
    let answer = process.answer(&request).await.map(drop);
    (answer, process.directory.questions() > before)
}

async fn issue(shared: &Service, creator: UserId) -> anyhow::Result<IssuedKey> {
    let new = NewKey::new(shared.acme.id, creator, "a key", std::iter::empty());
    let key = shared.here.engine.keys()?.by(service()).issue(new).await?;
    logwatch::issued_key(&key);
    Ok(key)
}

/// A key whose record is in Redis, and that both processes use from there.
async fn shared_key(shared: &Service) -> anyhow::Result<IssuedKey> {
    let deadline = Instant::now() + LONG;
    loop {
        let creator = shared.shared_member(SystemRole::Owner).await?;
        let key = issue(shared, creator).await?;
        assert_eq!(used(&shared.here, &key).await, (Ok(()), true));
        let (answer, asked) = used(&shared.there, &key).await;
        assert_eq!(answer, Ok(()));
        if !asked {
            return Ok(key);
        }
        // Too soon after the other process began to listen.
        anyhow::ensure!(Instant::now() < deadline, "no record is ever shared");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A key whose record is in Redis, where each change is told to both processes: what is read while that is heard of is
/// not kept.
async fn kept_key(shared: &Service) -> anyhow::Result<IssuedKey> {
    let deadline = Instant::now() + LONG;
    loop {
        let creator = UserId::new();
        let here = &shared.here;
        here.put(&shared.acme, creator, SystemRole::Owner).await?;
        let key = issue(shared, creator).await?;
        sleep(Duration::from_millis(100)).await;
        let before = shared.kept().await?.len();
        assert_eq!(used(&shared.here, &key).await.0, Ok(()));
        // The key, and its creator.
        if shared.kept().await?.len() == before + 2 {
            return Ok(key);
        }
        anyhow::ensure!(Instant::now() < deadline, "no record is ever kept");
    }
}

async fn revoke(process: &Process, key: &IssuedKey) -> anyhow::Result<()> {
    let keys = process.engine.keys()?.by(service());
    keys.revoke(key.record().tenant, key.record().id).await?;
    Ok(())
}

/// All values in Redis, whatever their names.
async fn values(shared: &Service) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let raw = shared.beside.raw().await?;
    let mut values = Vec::new();
    for name in shared.kept().await? {
        let value = bytes(raw.ask(&[b"GET", &*name]).await?);
        values.push((name, value));
    }
    Ok(values)
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_here_and_elsewhere_once_that_is_heard_of()
-> anyhow::Result<()> {
    let shared = Service::start().await?;
    let key = shared_key(&shared).await?;
    revoke(&shared.here, &key).await?;
    // What Redis has is from before.
    assert!(!shared.kept().await?.is_empty());
    assert_eq!(used(&shared.here, &key).await, (Err(401), true));
    assert_eq!(used(&shared.there, &key).await.0, Ok(()));
    shared.there.engine.catch_up().await?;
    assert_eq!(used(&shared.there, &key).await, (Err(401), true));
    Ok(())
}

#[tokio::test]
async fn a_revocation_that_is_told_is_heard_in_the_other_process() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let client = patient(&redis.url()).build()?;
    let (here, there) = (RedisNews::new(&client), RedisNews::new(&client));
    let shared = Service::start_on(redis, Some([&here, &there])).await?;
    let _here = here.listen(&shared.here.engine).await?;
    let _there = there.listen(&shared.there.engine).await?;
    let key = kept_key(&shared).await?;
    assert_eq!(used(&shared.there, &key).await.0, Ok(()));
    revoke(&shared.here, &key).await?;
    assert_eq!(used(&shared.here, &key).await.0, Err(401));
    let deadline = Instant::now() + LONG;
    while used(&shared.there, &key).await.0.is_ok() {
        anyhow::ensure!(Instant::now() < deadline, "the key is good still");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(used(&shared.there, &key).await.0, Err(401));
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_switched_off_and_on_is_never_read_from_before() -> anyhow::Result<()> {
    let shared = Service::start().await?;
    let key = shared_key(&shared).await?;
    let (tenant, id) = (key.record().tenant, key.record().id);
    let keys = shared.here.engine.keys()?.by(service());
    for _ in 0..5 {
        keys.disable(tenant, id).await?;
        assert_eq!(used(&shared.here, &key).await.0, Err(401));
        keys.enable(tenant, id).await?;
        assert_eq!(used(&shared.here, &key).await.0, Ok(()));
    }
    Ok(())
}

#[tokio::test]
async fn nobody_can_read_in_redis_what_a_key_is_compared_with_or_whose_it_is() -> anyhow::Result<()>
{
    let shared = Service::start().await?;
    let key = shared_key(&shared).await?;
    let record = key.record();
    let digest = record.verifier.digest().expect("it has one").as_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = serde_json::to_string(&digest[..8])?;
    let listed = listed.trim_matches(['[', ']']);
    let ids = [
        record.id.as_uuid(),
        shared.acme.id.as_uuid(),
        record.creator.as_uuid(),
    ];
    let mut secrets: Vec<Vec<u8>> = vec![
        digest[..8].to_vec(),
        hex.into_bytes(),
        listed.as_bytes().to_vec(),
        key.expose().as_bytes().to_vec(),
        b"acme".to_vec(),
        b"a key".to_vec(),
        b"owner".to_vec(),
        b"tenant".to_vec(),
    ];
    for id in ids {
        secrets.extend([id.as_bytes().to_vec(), id.to_string().into_bytes()]);
    }
    let values = values(&shared).await?;
    // The key and its creator, at least, and each is as long as what it says.
    assert!(values.len() >= 2);
    for (name, value) in values {
        assert!(value.len() > 200, "this says nothing");
        for secret in &secrets {
            let shows = |text: &[u8]| text.windows(secret.len()).any(|part| part == secret);
            assert!(!shows(&name) && !shows(&value), "{secret:?} is in Redis");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_made_up_or_in_anothers_place_is_not_believed() -> anyhow::Result<()> {
    let shared = Service::start().await?;
    let other = shared_key(&shared).await?;
    let raw = shared.beside.raw().await?;
    type Forge = fn(&[u8], &[u8]) -> Vec<u8>;
    let forgeries: [Forge; 5] = [
        // Another key's record.
        |_, other| other.to_vec(),
        // Each part of it changed.
        |own, _| with_flipped(own, own.len() - 1),
        |own, _| with_flipped(own, 15),
        // The format before this one: a MAC, and what it says in the clear.
        |own, _| {
            [
                &own[..32],
                &[0; 32],
                br#"{"id":"00000000-0000-0000-0000-000000000000"}"#,
            ]
            .concat()
        },
        |_, _| Vec::new(),
    ];
    let of_other = {
        let before = shared.kept().await?;
        let creator = shared.shared_member(SystemRole::Owner).await?;
        let key = issue(&shared, creator).await?;
        assert_eq!(used(&shared.here, &key).await.0, Ok(()));
        let new = newest(&shared, &before).await?;
        bytes(raw.ask(&[b"GET", &*new]).await?)
    };
    for forge in forgeries {
        let creator = shared.shared_member(SystemRole::Owner).await?;
        let key = issue(&shared, creator).await?;
        let before = shared.kept().await?;
        // Its creator is known here already.
        assert_eq!(used(&shared.here, &key).await.0, Ok(()));
        let name = newest(&shared, &before).await?;
        let own = bytes(raw.ask(&[b"GET", &*name]).await?);
        raw.ask(&[b"SET", &*name, &*forge(&own, &of_other)]).await?;
        assert_eq!(used(&shared.there, &key).await, (Ok(()), true));
    }
    // What was not touched is believed still.
    let (answer, _) = used(&shared.there, &other).await;
    assert_eq!(answer, Ok(()));
    shared_key(&shared).await.map(drop)
}

/// The longest of the names that are there since.
async fn newest(shared: &Service, before: &[Vec<u8>]) -> anyhow::Result<Vec<u8>> {
    let mut new = shared.kept().await?;
    new.retain(|name| !before.contains(name));
    let raw = shared.beside.raw().await?;
    // The record of the key is what names a digest: 32 numbers. No entry is as long.
    let mut longest: Option<(usize, Vec<u8>)> = None;
    for name in new {
        let length = bytes(raw.ask(&[b"GET", &*name]).await?).len();
        if longest.as_ref().is_none_or(|(known, _)| length > *known) {
            longest = Some((length, name));
        }
    }
    longest
        .map(|(_, name)| name)
        .ok_or_else(|| anyhow::anyhow!("nothing was kept"))
}

fn with_flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= 1;
    changed
}

#[tokio::test]
async fn keys_that_nobody_has_are_asked_for_each_time_and_not_kept() -> anyhow::Result<()> {
    let shared = Service::start().await?;
    drop(shared_key(&shared).await?);
    let kept = shared.kept().await?.len();
    let unknown: KeyHandle = "4711".parse()?;
    for _ in 0..2 {
        let before = shared.here.directory.questions();
        let cached = &shared.here.cached;
        assert_eq!(cached.find_key(KeyId::new()).await?, None);
        let found = cached.find_imported_key(Environment::Live, &unknown);
        assert_eq!(found.await?, None);
        assert_eq!(shared.here.directory.questions(), before + 2);
    }
    assert_eq!(shared.kept().await?.len(), kept);
    Ok(())
}

/// An imported key of the tenant, in the directory.
async fn imported(shared: &Service, handle: &KeyHandle) -> anyhow::Result<ApiKey> {
    let key = shared_key(shared).await?;
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";
    let mut key = key.record().clone();
    key.id = KeyId::new();
    key.verifier = KeyVerifier::Argon2id {
        handle: handle.clone(),
        hash: SecretHash::from_stored(hash),
    };
    shared.here.cached.insert_key(&key, &unattributed()).await?;
    Ok(key)
}

#[tokio::test]
async fn an_imported_key_is_shared_by_its_handle_and_its_environment() -> anyhow::Result<()> {
    let shared = Service::start().await?;
    let handle: KeyHandle = "4711".parse()?;
    let key = imported(&shared, &handle).await?;
    let (here, there) = (&shared.here, &shared.there);
    let live = Environment::Live;
    let found = here.cached.find_imported_key(live, &handle).await?;
    assert_eq!(found.as_ref(), Some(&key));
    let before = there.directory.questions();
    let found = there.cached.find_imported_key(live, &handle).await?;
    assert_eq!(found.as_ref(), Some(&key));
    assert_eq!(there.directory.questions(), before, "Redis had it");
    let elsewhere = there.cached.find_imported_key(Environment::Test, &handle);
    assert_eq!(elsewhere.await?, None);
    for (_, value) in values(&shared).await? {
        let shows = value.windows(8).any(|part| part == b"argon2id");
        assert!(!shows, "a hash can be read in Redis");
    }
    Ok(())
}

#[tokio::test]
async fn a_write_past_the_engine_ends_what_was_read_before() -> anyhow::Result<()> {
    let shared = Service::start().await?;
    let handle: KeyHandle = "4712".parse()?;
    let key = imported(&shared, &handle).await?;
    let cached = &shared.here.cached;
    let live = Environment::Live;
    assert!(cached.find_imported_key(live, &handle).await?.is_some());
    assert!(!shared.kept().await?.is_empty());
    let now = key.created_at;
    let change = KeyChange::Revoked(now);
    cached
        .change_key(key.tenant, key.id, &change, &unattributed())
        .await?;
    let found = cached.find_imported_key(live, &handle).await?;
    assert_eq!(found.and_then(|key| key.revoked_at), Some(now));
    Ok(())
}
