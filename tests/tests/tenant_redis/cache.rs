//! Answers that processes share through Redis: never older than what a process knows of, and never made up.

use std::time::Duration;

use tenancy_core::{
    Admission, Admitted, Identification, Membership, MemoryDirectory, RouteNeeds, SystemRole,
    Tenancy, TenantContext, TenantRecord, UserId,
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
    testing::{FakeRequest, SwitchedDirectory, TestTenant, TestTokens, service},
};
use tenancy_redis::{CachedDirectory, RedisClient, RedisNews, danger::RawReply};
use tenancy_tests::{RedisServer, logwatch};
use tokio::time::{Instant, sleep};

use super::{LONG, World, bytes, list, patient};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(24 * 3600);

const SECRET: [u8; 32] = [0x51; 32];

const PEPPER: [u8; 32] = [0x4e; 32];

/// A process: it hears of others' changes when it is told to ask.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) engine: Tenancy,
    pub(super) cached: CachedDirectory<SwitchedDirectory>,
    pub(super) directory: SwitchedDirectory,
    tokens: TestTokens,
}

impl Process {
    async fn start(
        shared: &MemoryDirectory,
        tokens: &TestTokens,
        client: &RedisClient,
    ) -> anyhow::Result<Self> {
        Self::start_telling(shared, tokens, client, None).await
    }

    /// One that tells of its changes, if it is given what with.
    async fn start_telling(
        shared: &MemoryDirectory,
        tokens: &TestTokens,
        client: &RedisClient,
        news: Option<&RedisNews>,
    ) -> anyhow::Result<Self> {
        logwatch::issued(SECRET);
        logwatch::issued(PEPPER);
        let hasher = HmacKeyHasher::new(Pepper::new(1, PEPPER)?);
        let format = KeyFormat::new("notes", Environment::Live)?;
        let directory = SwitchedDirectory::new(shared.clone());
        let cached = CachedDirectory::new(directory.clone(), client, &SECRET)?
            .keep_for(Duration::from_secs(3600))
            .max_staleness(NEVER * 2);
        let engine = Tenancy::builder(cached.clone())
            .keys(ApiKeys::new(format, hasher, cached.clone()))
            .authenticator(tokens.verifier().build()?)
            .identification(Identification::new().subdomains_of("notes.example"))
            .poll_interval(NEVER)
            .max_staleness(NEVER * 2);
        let engine = match news {
            Some(news) => engine.announcer(news.clone()).build()?,
            None => engine.build()?,
        };
        let process = Self {
            engine,
            cached,
            directory,
            tokens: tokens.clone(),
        };
        // The first request has the directory asked; the next would within a day.
        process.engine.catch_up().await?;
        drop(process.admit(UserId::new()).await);
        let deadline = Instant::now() + LONG;
        while process.directory.pages() < 2 {
            anyhow::ensure!(Instant::now() < deadline, "the feed is not asked");
            sleep(Duration::from_millis(1)).await;
        }
        process.engine.catch_up().await?;
        Ok(process)
    }

    async fn admit(&self, user: UserId) -> Result<TenantContext, u16> {
        self.admit_at("acme", user).await
    }

    /// Admits, or tells the status of the refusal.
    async fn admit_at(&self, slug: &str, user: UserId) -> Result<TenantContext, u16> {
        let request = FakeRequest::new("/notes")
            .header("host", format!("{slug}.notes.example"))
            .bearer(&self.tokens.sign(user));
        self.answer(&request).await
    }

    /// Admits whoever calls, or tells the status of the refusal.
    pub(super) async fn answer(&self, request: &FakeRequest) -> Result<TenantContext, u16> {
        let answer = match self.engine.admit(request, RouteNeeds::tenant()) {
            Admission::Ready(answer) => answer,
            Admission::Pending(pending) => pending.resolve().await,
        };
        match answer {
            Ok(Admitted::Tenant(context)) => Ok(context),
            Ok(Admitted::NoTenant(_)) => panic!("a route that needs a tenant got none"),
            Err(refusal) => Err(refusal.kind().status()),
        }
    }

    /// The role in which a user is admitted, and whether the directory was asked.
    async fn role(&self, user: UserId) -> (Result<String, u16>, bool) {
        let before = self.directory.questions();
        let role = self.admit(user).await;
        let role = role.map(|context| context.role().expect("a user has one").to_string());
        (role, self.directory.questions() > before)
    }

    pub(super) async fn put(
        &self,
        tenant: &TenantRecord,
        user: UserId,
        role: SystemRole,
    ) -> anyhow::Result<()> {
        let membership = Membership::new(tenant.id, user, role.name());
        self.engine
            .admin(service())
            .put_membership(&membership)
            .await?;
        Ok(())
    }

    async fn remove(&self, tenant: &TenantRecord, user: UserId) -> anyhow::Result<()> {
        self.engine
            .admin(service())
            .remove_membership(tenant.id, user)
            .await?;
        Ok(())
    }
}

pub(super) struct Service {
    pub(super) here: Process,
    pub(super) there: Process,
    pub(super) acme: TenantRecord,
    /// Beside the service: another engine, for a look at the same Redis.
    pub(super) beside: World,
}

impl Service {
    pub(super) async fn start() -> anyhow::Result<Self> {
        Self::start_on(RedisServer::start().await?, None).await
    }

    pub(super) async fn start_on(
        redis: RedisServer,
        news: Option<[&RedisNews; 2]>,
    ) -> anyhow::Result<Self> {
        let [of_here, of_there] = news.map_or([None; 2], |news| news.map(Some));
        let client = patient(&redis.url()).build()?;
        let (shared, tokens) = (MemoryDirectory::new(), TestTokens::new("notes"));
        let here = Process::start_telling(&shared, &tokens, &client, of_here).await?;
        let acme = TestTenant::create(&here.engine, "acme").await?;
        let there = Process::start_telling(&shared, &tokens, &client, of_there).await?;
        // A tenant keeps an owner: with this one, others may go.
        here.put(acme.record(), UserId::new(), SystemRole::Owner)
            .await?;
        Ok(Self {
            here,
            there,
            acme: acme.record().clone(),
            beside: World::on(redis).await?,
        })
    }

    /// A member, by an answer in Redis that both processes use.
    pub(super) async fn shared_member(&self, role: SystemRole) -> anyhow::Result<UserId> {
        let deadline = Instant::now() + LONG;
        loop {
            let user = UserId::new();
            self.here.put(&self.acme, user, role).await?;
            let expected = Ok(role.name().to_string());
            assert_eq!(self.here.role(user).await, (expected.clone(), true));
            let (role, asked) = self.there.role(user).await;
            assert_eq!(role, expected);
            if !asked {
                return Ok(user);
            }
            // Too soon after the other process began to listen.
            anyhow::ensure!(Instant::now() < deadline, "no answer is ever shared");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn kept(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let names = self.beside.raw().await?.ask(&["KEYS", "tn:{c*"]).await?;
        Ok(list(names).into_iter().map(bytes).collect())
    }

    /// The name under which the answer about a user is kept; there is no other.
    async fn kept_of(&self, process: &Process, user: UserId) -> anyhow::Result<Vec<u8>> {
        let before = self.kept().await?;
        assert!(process.admit(user).await.is_ok());
        let mut new = self.kept().await?;
        new.retain(|name| !before.contains(name));
        assert_eq!(new.len(), 1);
        Ok(new.remove(0))
    }
}

#[tokio::test]
async fn an_answer_of_one_process_serves_the_other_and_ends() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.shared_member(SystemRole::Owner).await?;
    let raw = service.beside.raw().await?;
    let kept = service.kept().await?;
    assert!(!kept.is_empty());
    for name in kept {
        assert!(matches!(
            raw.ask(&[b"PTTL", &*name]).await?,
            RawReply::Int(1..)
        ));
    }
    Ok(())
}

#[tokio::test]
async fn a_change_counts_at_once_where_it_is_made() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let user = service.shared_member(SystemRole::Owner).await?;
    for _ in 0..10 {
        service.here.remove(&service.acme, user).await?;
        assert_eq!(service.here.role(user).await.0, Err(404));
        service
            .here
            .put(&service.acme, user, SystemRole::Viewer)
            .await?;
        assert_eq!(service.here.role(user).await.0, Ok("viewer".to_owned()));
        service
            .here
            .put(&service.acme, user, SystemRole::Owner)
            .await?;
        assert_eq!(service.here.role(user).await.0, Ok("owner".to_owned()));
    }
    service
        .here
        .engine
        .admin(tenancy_core::testing::service())
        .suspend(service.acme.id)
        .await?;
    assert_eq!(service.here.role(user).await.0, Err(403));
    Ok(())
}

#[tokio::test]
async fn a_change_counts_elsewhere_once_it_is_heard_of() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let user = service.shared_member(SystemRole::Owner).await?;
    service.here.remove(&service.acme, user).await?;
    // What Redis has is from before.
    assert!(!service.kept().await?.is_empty());
    assert!(service.there.admit(user).await.is_ok());
    service.there.engine.catch_up().await?;
    assert_eq!(service.there.role(user).await, (Err(404), true));
    Ok(())
}

#[tokio::test]
async fn a_process_that_starts_later_does_not_believe_what_was_read_before() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let user = service.shared_member(SystemRole::Owner).await?;
    service.there.remove(&service.acme, user).await?;
    let (shared, tokens) = (service.here.directory.directory(), &service.here.tokens);
    let later = Process::start(shared, tokens, &service.beside.client).await?;
    assert_eq!(later.role(user).await, (Err(404), true));
    Ok(())
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let user = UserId::new();
    service
        .here
        .put(&service.acme, user, SystemRole::Owner)
        .await?;
    let here = service.here.clone();
    // The tenant is one question, and the membership the next.
    let asked = here.directory.questions();
    here.directory.hold_answer(1);
    let reading = tokio::spawn({
        let here = here.clone();
        async move { here.admit(user).await.is_ok() }
    });
    let deadline = Instant::now() + LONG;
    while here.directory.questions() < asked + 2 {
        anyhow::ensure!(Instant::now() < deadline, "nothing is asked");
        sleep(Duration::from_millis(1)).await;
    }
    here.remove(&service.acme, user).await?;
    here.directory.tell();
    reading.await?;
    assert_eq!(service.kept().await?.len(), 0);
    assert_eq!(here.role(user).await.0, Err(404));
    Ok(())
}

#[tokio::test]
async fn what_another_process_keeps_too_late_is_not_believed() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let user = UserId::new();
    service
        .here
        .put(&service.acme, user, SystemRole::Owner)
        .await?;
    let there = service.there.clone();
    let asked = there.directory.questions();
    there.directory.hold_answer(1);
    let reading = tokio::spawn({
        let there = there.clone();
        async move { there.admit(user).await.map(drop) }
    });
    let deadline = Instant::now() + LONG;
    while there.directory.questions() < asked + 2 {
        anyhow::ensure!(Instant::now() < deadline, "nothing is asked");
        sleep(Duration::from_millis(1)).await;
    }
    // This one has read it before the change, and does not know of it.
    service.here.remove(&service.acme, user).await?;
    there.directory.tell();
    assert_eq!(reading.await?, Ok(()));
    assert_eq!(service.kept().await?.len(), 1);
    assert_eq!(service.here.role(user).await, (Err(404), true));
    Ok(())
}

#[tokio::test]
async fn what_is_made_up_or_in_anothers_place_is_not_believed() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.shared_member(SystemRole::Owner).await?;
    let raw = service.beside.raw().await?;
    let owner = UserId::new();
    service
        .here
        .put(&service.acme, owner, SystemRole::Owner)
        .await?;
    let name = service.kept_of(&service.here, owner).await?;
    let owners = bytes(raw.ask(&[b"GET", &*name]).await?);
    type Forge = fn(&[u8], &[u8]) -> Vec<u8>;
    let forgeries: [Forge; 7] = [
        |own, _| with_last_flipped(own),
        |_, owners| owners.to_vec(),
        |own, owners| [&own[..57], &owners[57..]].concat(),
        |own, _| own[..own.len() / 2].to_vec(),
        |_, _| Vec::new(),
        |_, _| b"9999999999999999".to_vec(),
        |_, _| vec![0; 100],
    ];
    for forge in forgeries {
        // Nothing else than the value is wrong: the other process has not read it, and knows of no change since.
        let user = UserId::new();
        service
            .here
            .put(&service.acme, user, SystemRole::Viewer)
            .await?;
        let name = service.kept_of(&service.here, user).await?;
        let own = bytes(raw.ask(&[b"GET", &*name]).await?);
        raw.ask(&[b"SET", &*name, &*forge(&own, &owners)]).await?;
        let (role, asked) = service.there.role(user).await;
        assert_eq!((role, asked), (Ok("viewer".to_owned()), true));
    }
    // A list in its place is an error of Redis, and no answer either.
    let user = UserId::new();
    service
        .here
        .put(&service.acme, user, SystemRole::Viewer)
        .await?;
    let name = service.kept_of(&service.here, user).await?;
    raw.ask(&[b"DEL", &*name]).await?;
    raw.ask(&[b"LPUSH", &*name, b"x"]).await?;
    assert_eq!(
        service.there.role(user).await,
        (Ok("viewer".to_owned()), true)
    );
    // What was not touched is believed still.
    service.shared_member(SystemRole::Owner).await?;
    // With another secret, nothing is shared.
    assert!(
        CachedDirectory::new(MemoryDirectory::new(), &service.beside.client, &[1; 31]).is_err()
    );
    Ok(())
}

fn with_last_flipped(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    *changed.last_mut().expect("it is not empty") ^= 1;
    changed
}

#[tokio::test]
async fn nothing_is_kept_for_strangers_and_names_that_nobody_has() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let stranger = UserId::new();
    for slug in ["acme", "nobody", "acme"] {
        assert_eq!(
            service.here.admit_at(slug, stranger).await.unwrap_err(),
            404
        );
    }
    assert_eq!(service.kept().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn while_the_feed_is_silent_the_directory_is_asked() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.shared_member(SystemRole::Owner).await?;
    service.there.directory.silence_feed(true);
    assert!(service.there.engine.catch_up().await.is_err());
    let user = UserId::new();
    service
        .here
        .put(&service.acme, user, SystemRole::Owner)
        .await?;
    assert!(service.here.admit(user).await.is_ok());
    assert_eq!(
        service.there.role(user).await,
        (Ok("owner".to_owned()), true)
    );
    Ok(())
}

#[tokio::test]
async fn without_redis_the_directory_answers() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let user = service.shared_member(SystemRole::Owner).await?;
    service.beside.server.stop();
    let (shared, tokens) = (service.here.directory.directory(), &service.here.tokens);
    let client = RedisClient::new(&service.beside.server.url())?;
    let process = Process::start(shared, tokens, &client).await?;
    assert_eq!(process.role(user).await, (Ok("owner".to_owned()), true));
    process.remove(&service.acme, user).await?;
    assert_eq!(process.role(user).await.0, Err(404));
    Ok(())
}
