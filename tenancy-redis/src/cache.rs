//! `CachedDirectory`: answers about members and API keys, shared among the processes of a service.

mod freshness;
mod kept_entry;
mod kept_key;
mod keys;
mod seal;

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use redis::Value;
use serde::{Serialize, de::DeserializeOwned};
use tenancy_core::{
    ConfigError, Directory, DirectoryError, Entry, EntryDirectory, EntryQuery, FeedCursor,
    FeedPage, GenerationFeed, Membership, MembershipDirectory, Project, ProjectDirectory,
    ProjectId, RevokedBefore, RoleDefinition, RoleDirectory, RoleName, Stores, TenantDirectory,
    TenantId, TenantKey, TenantRecord, TokenRevocationDirectory, TokenSubject, UserId,
};
use tokio::time::Instant;

use crate::{
    RedisClient, RedisError,
    data::{bytes, parts, text},
    layout,
    link::Link,
    script::Script,
};
use freshness::{Asking, Freshness};
use kept_entry::KeptEntry;
use seal::{Secret, Stamp};

/// What is kept, and the time of the server in microseconds.
static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]) or '', string.format('%.0f', now[1] * 1000000 + now[2])}",
    )
});

/// Keeps `ARGV[1]` for `ARGV[2]` milliseconds, unless what is kept began to be read later. The first 16 characters say
/// when that was.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
if redis.call('GETRANGE', KEYS[1], 0, 15) >= string.sub(ARGV[1], 1, 16) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1",
    )
});

/// A directory whose answers about members and API keys are kept in Redis for a short time, so that the processes of a
/// service share them: for a directory that is slow to ask.
///
/// It stands between the engine and the directory, and behind the caches that each engine has. Kept are the answers to
/// [`find_entry`](EntryDirectory::find_entry) about a tenant's active members: the record, the membership, the roles and
/// the project. Kept are the records of API keys too, if the engine finds its keys here: give
/// [`ApiKeys::new`](tenancy_core::key::ApiKeys::new) a clone. Everything else goes to the directory each time: strangers,
/// names and keys that nobody has, listings and changes. Where Redis does not answer, so does everything.
///
/// ```no_run
/// use tenancy_core::{
///     Directory, Tenancy,
///     key::{ApiKeys, HmacKeyHasher, KeyFormat, KeyStore},
/// };
/// use tenancy_redis::{CachedDirectory, RedisClient, RedisNews};
///
/// # async fn start(
/// #     slow: impl Directory + KeyStore, format: KeyFormat, hasher: HmacKeyHasher, secret: &[u8],
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let client = RedisClient::new("redis://127.0.0.1:6379")?;
/// let news = RedisNews::new(&client);
/// let directory = CachedDirectory::new(slow, &client, secret)?;
/// let tenancy = Tenancy::builder(directory.clone())
///     .keys(ApiKeys::new(format, hasher, directory))
///     .announcer(news.clone())
///     .build()?;
/// let _listening = news.listen(&tenancy).await?;
/// # Ok(())
/// # }
/// ```
///
/// # How old an answer may be
/// No older than the last change that this process knows of. Each answer carries when it began to be read, by the clock
/// of Redis. The engine says what it changes and what it is told of, and the feed passes through here: an answer that
/// began to be read before one of these is refused. So a change counts at once in the process that makes it, and
/// elsewhere within [`max_staleness`](tenancy_core::Tenancy::max_staleness), as without this. While the feed is silent, no
/// answer from Redis is used. What the directory has said is believed for up to
/// [`keep_for`](Self::keep_for) longer than [`max_cache_age`](tenancy_core::TenancyBuilder::max_cache_age) says.
///
/// If the clock of Redis is set back, or a replica takes over whose clock is behind, an answer looks younger than it is, by
/// as much. It is then believed at most a minute and [`keep_for`](Self::keep_for) after it was read.
///
/// Clones are one: what one hears, all have heard. One engine for each value: what another one hears is not heard here.
///
/// # Security
/// Answers are encrypted (XChaCha20-Poly1305), with a key that is derived from the secret. Under which name an answer
/// stands, and when it was read, is authenticated with it. Names are digests under the secret. So whoever can read the
/// Redis, and does not have the secret, learns how many answers there are, how long each is, and when it was read.
/// Whoever can write to it can neither make an answer up nor put one in another's place. Whoever controls the Redis can
/// give an old answer again for a minute and `keep_for`. Have the same secret in all processes of a service, and no other
/// service.
pub struct CachedDirectory<D> {
    directory: Arc<D>,
    link: Arc<Link>,
    secret: Secret,
    keep_for: Duration,
    bound: Duration,
    freshness: Arc<Freshness>,
}

impl<D> Clone for CachedDirectory<D> {
    fn clone(&self) -> Self {
        Self {
            directory: Arc::clone(&self.directory),
            link: Arc::clone(&self.link),
            secret: self.secret.clone(),
            keep_for: self.keep_for,
            bound: self.bound,
            freshness: Arc::clone(&self.freshness),
        }
    }
}

/// An answer as it is kept.
trait Kept: Serialize + DeserializeOwned + Sized {
    /// What the directory answers.
    type Answer: PartialEq;

    /// Whose changes end it.
    fn tenant(&self) -> TenantId;

    /// `None` if this answer is not to be kept.
    fn of(answer: &Self::Answer) -> Option<Self>;

    /// `None` if it says what this version can't read.
    fn answer(self) -> Option<Self::Answer>;
}

/// An answer as JSON, and whose it is; `None` if it is not to be kept, or would be another one when it is read again. A
/// role that could not be read, for one, is written as a role that is empty.
fn json_of<K: Kept>(answer: &K::Answer) -> Option<(TenantId, Vec<u8>)> {
    let kept = K::of(answer)?;
    let json = serde_json::to_vec(&kept).ok()?;
    let again: K = serde_json::from_slice(&json).ok()?;
    (again.answer()? == *answer).then(|| (kept.tenant(), json))
}

/// What Redis has of an answer.
enum Look<A> {
    Found(A),
    /// Ask the directory. Its answer may be kept under this name, if Redis has answered.
    Missing(Option<Missing>),
}

/// An answer that Redis does not have.
struct Missing {
    name: String,
    began: Stamp,
    asked: Instant,
}

impl<D: Directory> CachedDirectory<D> {
    /// Keeps a directory's answers for 30 seconds at most.
    ///
    /// # Errors
    /// A [`ConfigError`] if the secret has less than 32 bytes.
    pub fn new(directory: D, client: &RedisClient, secret: &[u8]) -> Result<Self, ConfigError> {
        Ok(Self {
            directory: Arc::new(directory),
            link: Arc::new(client.beside()),
            secret: Secret::new(secret)?,
            keep_for: Duration::from_secs(30),
            bound: Duration::from_secs(5),
            freshness: Arc::new(Freshness::new()),
        })
    }

    /// How long answers are kept at most. Default: 30 seconds; one second at least, and an hour at most.
    #[must_use]
    pub fn keep_for(mut self, time: Duration) -> Self {
        self.keep_for = time.clamp(Duration::from_secs(1), Duration::from_secs(3600));
        self
    }

    /// The engine's [`max_staleness`](tenancy_core::TenancyBuilder::max_staleness): after so long without news, no answer
    /// from Redis is used. Default: 5 seconds, as the engine's. Give it where the engine's is less.
    #[must_use]
    pub fn max_staleness(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }
}

impl<D> CachedDirectory<D> {
    /// Looks for the answer to a question. `is_of_it` says whether what was found answers it.
    async fn look_for<K: Kept>(
        &self,
        question: &str,
        is_of_it: impl FnOnce(&K) -> bool,
    ) -> Look<K::Answer> {
        let asked = Instant::now();
        if !self.freshness.is_heard(asked, self.bound) {
            return Look::Missing(None);
        }
        let name = layout::answer(&self.secret.digest(question));
        let Ok((kept, now)) = self.look(&name).await else {
            return Look::Missing(None);
        };
        let found: Option<K> = self.open(&name, &kept, now, asked);
        match found.filter(is_of_it).and_then(K::answer) {
            Some(answer) => Look::Found(answer),
            None => Look::Missing(Some(Missing {
                name,
                began: now,
                asked,
            })),
        }
    }

    /// What is kept, and what Redis' clock shows.
    async fn look(&self, name: &str) -> Result<(Vec<u8>, Stamp), RedisError> {
        let none: [&str; 0] = [];
        let answer: Value = self.link.eval(&LOOK, &[name], &none).await?;
        let [kept, now] = parts(answer)?;
        let now = text(now)?.parse().ok().and_then(Stamp::new);
        let now = now.ok_or_else(|| RedisError::unexpected("this is no time"))?;
        Ok((bytes(kept)?, now))
    }

    /// An answer from Redis that is no older than what is known.
    fn open<K: Kept>(&self, name: &str, kept: &[u8], now: Stamp, asked: Instant) -> Option<K> {
        let (began, json) = self.secret.open(name, kept, self.keep_for)?;
        let age = now.since(began).filter(|age| *age <= self.keep_for)?;
        let kept: K = serde_json::from_slice(&json).ok()?;
        let is_fresh = self.freshness.is_fresh(kept.tenant(), asked, age);
        is_fresh.then_some(kept)
    }

    /// Keeps what the directory has answered, if it may be kept.
    async fn keep<K: Kept>(&self, missing: Option<Missing>, answer: Option<&K::Answer>) {
        let Some((missing, (tenant, json))) = missing.zip(answer.and_then(json_of::<K>)) else {
            return;
        };
        let Missing { name, began, asked } = missing;
        // It changed while it was read.
        if !self.freshness.is_fresh(tenant, asked, Duration::ZERO) {
            return;
        }
        let Some(value) = self.secret.seal(&name, began, &json) else {
            return;
        };
        let time = self.keep_for.as_millis().to_string().into_bytes();
        if let Err(error) = self.link.eval(&KEEP, &[&name], &[value, time]).await {
            tracing::debug!(%error, "an answer of the directory was not kept");
        }
    }
}

/// An entry without the roles that are known.
fn without_known(mut entry: Entry, known: Option<TenantId>) -> Entry {
    if known.is_some() && known == entry.tenant.as_ref().map(|tenant| tenant.id) {
        entry.roles = None;
    }
    entry
}

#[async_trait]
impl<D: Directory> EntryDirectory for CachedDirectory<D> {
    async fn find_entry(&self, query: &EntryQuery) -> Result<Entry, DirectoryError> {
        if query.user.is_none() {
            return self.directory.find_entry(query).await;
        }
        // All there is of the question, whatever it may have in a later version; but for the name of nobody, which is
        // another one each time, and for the roles, which one process knows and the other does not.
        let known = query.known_roles;
        let whole = query.clone().without_roles_of(None);
        let mut question = whole.clone();
        question.nobody = TenantId::from_uuid(uuid::Uuid::nil());
        let question = format!("entry {question:?}");
        let is_of_it = |kept: &KeptEntry| kept.is_about(whole.user);
        let missing = match self.look_for(&question, is_of_it).await {
            Look::Found(entry) => return Ok(without_known(entry, known)),
            // Nothing is kept: then nothing is read that is not asked for.
            Look::Missing(None) => return self.directory.find_entry(query).await,
            Look::Missing(missing) => missing,
        };
        let entry = self.directory.find_entry(&whole).await?;
        self.keep::<KeptEntry>(missing, Some(&entry)).await;
        Ok(without_known(entry, known))
    }
}

#[async_trait]
impl<D: Directory> GenerationFeed for CachedDirectory<D> {
    async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
        let asking = Asking::begin(&self.freshness, cursor.clone());
        let page = self.directory.changes_since(cursor).await?;
        asking.told(&page);
        Ok(page)
    }
}

impl<D: Directory> Directory for CachedDirectory<D> {
    fn stores(self: Arc<Self>) -> Stores {
        Arc::clone(&self.directory).stores()
    }

    fn changed(&self, tenant: Option<TenantId>) {
        self.freshness.changed(tenant);
        self.directory.changed(tenant);
    }
}

#[async_trait]
impl<D: Directory> TenantDirectory for CachedDirectory<D> {
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError> {
        self.directory.find_tenant(key).await
    }
}

#[async_trait]
impl<D: Directory> MembershipDirectory for CachedDirectory<D> {
    async fn find_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.directory.find_membership(tenant, user).await
    }
}

#[async_trait]
impl<D: Directory> ProjectDirectory for CachedDirectory<D> {
    async fn find_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Option<Project>, DirectoryError> {
        self.directory.find_project(tenant, project).await
    }

    async fn find_project_role(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<RoleName>, DirectoryError> {
        self.directory
            .find_project_role(tenant, project, user)
            .await
    }
}

#[async_trait]
impl<D: Directory> RoleDirectory for CachedDirectory<D> {
    async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
        self.directory.find_roles(tenant).await
    }
}

#[async_trait]
impl<D: Directory> TokenRevocationDirectory for CachedDirectory<D> {
    async fn find_token_revocation(
        &self,
        of: &[TokenSubject],
    ) -> Result<RevokedBefore, DirectoryError> {
        self.directory.find_token_revocation(of).await
    }
}

impl<D: fmt::Debug> fmt::Debug for CachedDirectory<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedDirectory")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
