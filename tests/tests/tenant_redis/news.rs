//! What one engine changes counts in the other at once, through Redis, for a directory that tells nobody.

use std::time::Duration;

use tenancy_core::{
    Admission, Admitted, MemoryDirectory, PermissionRegistry, Refusal, RouteNeeds, SystemRole,
    Tenancy, TenantContext,
    key::{ApiKeys, Environment, HmacKeyHasher, IssuedKey, KeyFormat, NewKey, Pepper},
    testing::{FakeRequest, TestTenant, service},
};
use tenancy_redis::{NewsListener, RedisNews};
use tenancy_tests::{RedisServer, logwatch};
use tokio::time::{Instant, sleep};

use super::{LONG, patient};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(24 * 3600);

const PEPPER: [u8; 32] = [0x3d; 32];

/// A process: it would not poll within a day.
struct Process {
    engine: Tenancy,
    news: RedisNews,
    listening: Option<NewsListener>,
}

impl Process {
    async fn start(directory: &MemoryDirectory, url: &str) -> anyhow::Result<Self> {
        logwatch::issued(PEPPER);
        let hasher = HmacKeyHasher::new(Pepper::new(1, PEPPER)?);
        let format = KeyFormat::new("acme", Environment::Live)?;
        let news = RedisNews::new(&patient(url).build()?);
        let engine = Tenancy::builder(directory.clone())
            .keys(ApiKeys::new(format, hasher, directory.clone()))
            .permissions(
                PermissionRegistry::builder()
                    .permission("notes:read", SystemRole::Viewer)
                    .build()?,
            )
            .announcer(news.clone())
            .poll_interval(NEVER)
            .max_staleness(NEVER * 2)
            .build()?;
        let listening = Some(news.listen(&engine).await?);
        Ok(Self {
            engine,
            news,
            listening,
        })
    }

    async fn admit(&self, key: &IssuedKey) -> Result<TenantContext, Refusal> {
        let request = FakeRequest::new("/notes").bearer(key.expose());
        let admitted = match self.engine.admit(&request, RouteNeeds::tenant()) {
            Admission::Ready(answer) => answer?,
            Admission::Pending(pending) => pending.resolve().await?,
        };
        match admitted {
            Admitted::Tenant(context) => Ok(context),
            Admitted::NoTenant(_) => panic!("a route that needs a tenant got none"),
        }
    }

    async fn comes_to_refuse(&self, key: &IssuedKey) -> anyhow::Result<()> {
        let deadline = Instant::now() + LONG;
        while self.admit(key).await.is_ok() {
            anyhow::ensure!(Instant::now() < deadline, "the key is good still");
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn revoke(&self, key: &IssuedKey) -> anyhow::Result<()> {
        let keys = self.engine.keys()?.by(service());
        keys.revoke(key.record().tenant, key.record().id).await?;
        Ok(())
    }
}

async fn two(url: &str) -> anyhow::Result<(Process, Process, TestTenant)> {
    let directory = MemoryDirectory::new();
    let here = Process::start(&directory, url).await?;
    let there = Process::start(&directory, url).await?;
    let acme = TestTenant::create(&here.engine, "acme").await?;
    Ok((here, there, acme))
}

async fn issue(process: &Process, tenant: &TestTenant) -> anyhow::Result<IssuedKey> {
    let user = tenant.member(SystemRole::Owner).await?;
    let new = NewKey::new(tenant.record().id, user, "a key", ["*".parse()?]);
    let key = process.engine.keys()?.by(service()).issue(new).await?;
    logwatch::issued_key(&key);
    Ok(key)
}

/// Admits until the answer comes from caches: what was announced before has been heard.
async fn warm(process: &Process, key: &IssuedKey) -> anyhow::Result<()> {
    let deadline = Instant::now() + LONG;
    let mut in_a_row = 0;
    while in_a_row < 20 {
        anyhow::ensure!(Instant::now() < deadline, "nothing is ever cached");
        let request = FakeRequest::new("/notes").bearer(key.expose());
        match process.engine.admit(&request, RouteNeeds::tenant()) {
            Admission::Ready(Ok(_)) => in_a_row += 1,
            Admission::Ready(Err(refusal)) => anyhow::bail!("{refusal}"),
            Admission::Pending(pending) => {
                drop(pending.resolve().await?);
                in_a_row = 0;
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_one_engine_revokes_is_refused_by_the_other() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let (here, there, acme) = two(&redis.url()).await?;
    for _ in 0..5 {
        let key = issue(&here, &acme).await?;
        warm(&there, &key).await?;
        here.revoke(&key).await?;
        assert!(here.admit(&key).await.is_err());
        there.comes_to_refuse(&key).await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_news_the_other_engine_goes_on() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let (here, mut there, acme) = two(&redis.url()).await?;
    // So it is the news that tells, in the other tests, and neither the poll nor the directory.
    there.listening = None;
    let key = issue(&here, &acme).await?;
    warm(&there, &key).await?;
    here.revoke(&key).await?;
    // What was on its way has come before this has.
    here.news.tell(None).await?;
    assert!(there.admit(&key).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn what_changed_while_nobody_was_heard_counts_after_it() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let (here, there, acme) = two(&redis.url()).await?;
    let key = issue(&here, &acme).await?;
    warm(&there, &key).await?;
    redis.stop();
    here.revoke(&key).await?;
    assert!(there.admit(&key).await.is_ok());
    redis.start_again().await?;
    there.comes_to_refuse(&key).await
}

#[tokio::test]
async fn after_a_cut_everything_is_dropped() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let (here, there, acme) = two(&redis.url()).await?;
    let key = issue(&here, &acme).await?;
    warm(&there, &key).await?;
    let request = FakeRequest::new("/notes").bearer(key.expose());
    let world = super::World::on(redis).await?;
    world
        .raw()
        .await?
        .ask(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await?;
    let deadline = Instant::now() + LONG;
    while matches!(
        there.engine.admit(&request, RouteNeeds::tenant()),
        Admission::Ready(_)
    ) {
        anyhow::ensure!(Instant::now() < deadline, "it is cached still");
        sleep(Duration::from_millis(2)).await;
    }
    // And what comes after it is heard.
    warm(&there, &key).await?;
    here.revoke(&key).await?;
    there.comes_to_refuse(&key).await
}

#[tokio::test]
async fn messages_that_nobody_of_ours_sends_change_no_decision() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let (here, there, acme) = two(&redis.url()).await?;
    let key = issue(&here, &acme).await?;
    warm(&there, &key).await?;
    let world = super::World::on(redis).await?;
    let raw = world.raw().await?;
    let tenant = acme.record().id.to_string();
    for message in [
        "",
        "1",
        "1 x",
        "1 x y z",
        "2 new format",
        &format!("1 x {tenant}"),
        &"x".repeat(100_000),
    ] {
        raw.ask(&["PUBLISH", "tn:{-}:n", message]).await?;
    }
    raw.ask(&[b"PUBLISH", &b"tn:{-}:n"[..], b"\xff\xfe\0"])
        .await?;
    warm(&there, &key).await?;
    here.revoke(&key).await?;
    there.comes_to_refuse(&key).await
}
