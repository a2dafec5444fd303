//! `CachedDirectory`: answers about members, shared among the processes of a service.

mod freshness;
mod seal;

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use redis::Value;
use serde::{Deserialize, Serialize};
use tenancy_core::{
    ConfigError, Directory, DirectoryError, Entry, EntryDirectory, EntryQuery, FeedCursor,
    FeedPage, GenerationFeed, Membership, MembershipDirectory, MembershipStatus, Project,
    ProjectDirectory, ProjectId, RevokedBefore, RoleDefinition, RoleDirectory, RoleName, Stores,
    TenantDirectory, TenantId, TenantKey, TenantRecord, TokenRevocationDirectory, TokenSubject,
    UserId,
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

/// A directory whose answers about members are kept in Redis for a short time, so that the processes of a service share
/// them: for a directory that is slow to ask.
///
/// It stands between the engine and the directory, and behind the caches that each engine has. Kept are the answers to
/// [`find_entry`](EntryDirectory::find_entry) about a tenant's active members: the record, the membership, the roles and
/// the project. Everything else goes to the directory each time: strangers, names that nobody has, API keys, listings
/// and changes. Where Redis does not answer, so does everything.
///
/// ```no_run
/// use tenancy_core::{Directory, Tenancy};
/// use tenancy_redis::{CachedDirectory, RedisClient, RedisNews};
///
/// # async fn start(slow: impl Directory, secret: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let client = RedisClient::new("redis://127.0.0.1:6379")?;
/// let news = RedisNews::new(&client);
/// let tenancy = Tenancy::builder(CachedDirectory::new(slow, &client, secret)?)
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
/// One engine for each value: what another one hears is not heard here.
///
/// # Security
/// Answers are authenticated with the secret, together with their question: whoever can write to the Redis, and does not
/// have it, can neither make an answer up nor put one in another's place. Whoever controls the Redis can give an old answer
/// again for a minute and `keep_for`, and can read records, settings and memberships, which are not encrypted.
/// Have the same secret in all processes of a service, and no other service.
pub struct CachedDirectory<D> {
    directory: Arc<D>,
    link: Link,
    secret: Secret,
    keep_for: Duration,
    freshness: Freshness,
}

/// An answer about an active member, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    tenant: TenantRecord,
    membership: Membership,
    roles: Option<Vec<RoleDefinition>>,
    project: Option<(Project, Option<RoleName>)>,
}

impl Kept {
    fn entry(self) -> Entry {
        let mut entry = Entry::default();
        entry.tenant = Some(self.tenant);
        entry.membership = Some(self.membership);
        entry.roles = self.roles;
        entry.project = self.project;
        entry
    }

    /// As JSON, if the entry is about an active member and is the same when it is read again.
    fn json_of(entry: &Entry) -> Option<Vec<u8>> {
        let membership = entry.membership.clone();
        let kept = Self {
            tenant: entry.tenant.clone()?,
            membership: membership.filter(|it| it.status == MembershipStatus::Active)?,
            roles: entry.roles.clone(),
            project: entry.project.clone(),
        };
        let json = serde_json::to_vec(&kept).ok()?;
        // A role that could not be read, for one, is written as a role that is empty.
        let again: Self = serde_json::from_slice(&json).ok()?;
        (again.entry() == *entry).then_some(json)
    }
}

impl<D: Directory> CachedDirectory<D> {
    /// Keeps a directory's answers for 30 seconds at most.
    ///
    /// # Errors
    /// A [`ConfigError`] if the secret has less than 32 bytes.
    pub fn new(directory: D, client: &RedisClient, secret: &[u8]) -> Result<Self, ConfigError> {
        Ok(Self {
            directory: Arc::new(directory),
            link: client.beside(),
            secret: Secret::new(secret)?,
            keep_for: Duration::from_secs(30),
            freshness: Freshness::new(),
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
        self.freshness.bound(bound);
        self
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

    /// An answer from Redis that may be used.
    fn open(
        &self,
        query: &EntryQuery,
        name: &str,
        kept: &[u8],
        now: Stamp,
        asked: Instant,
    ) -> Option<Entry> {
        let (began, json) = self.secret.open(name, kept, self.keep_for)?;
        let age = now.since(began).filter(|age| *age <= self.keep_for)?;
        let kept: Kept = serde_json::from_slice(json).ok()?;
        let is_of_it = kept.membership.tenant == kept.tenant.id
            && Some(kept.membership.user) == query.user
            && kept.membership.status == MembershipStatus::Active;
        let is_fresh = self.freshness.is_fresh(kept.tenant.id, asked, age);
        (is_of_it && is_fresh).then(|| kept.entry())
    }

    async fn keep(&self, name: &str, began: Stamp, asked: Instant, entry: &Entry) {
        let Some(json) = Kept::json_of(entry) else {
            return;
        };
        let tenant = entry.tenant.as_ref().map(|tenant| tenant.id);
        // It changed while it was read.
        if !tenant.is_some_and(|tenant| self.freshness.is_fresh(tenant, asked, Duration::ZERO)) {
            return;
        }
        let value = self.secret.seal(name, began, &json);
        let time = self.keep_for.as_millis().to_string().into_bytes();
        if let Err(error) = self.link.eval(&KEEP, &[name], &[value, time]).await {
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
        let asked = Instant::now();
        if query.user.is_none() || !self.freshness.is_heard(asked) {
            return self.directory.find_entry(query).await;
        }
        // All there is of the question, whatever it may have in a later version; but for the name of nobody, which is
        // another one each time, and for the roles, which one process knows and the other does not.
        let known = query.known_roles;
        let query = &query.clone().without_roles_of(None);
        let mut question = query.clone();
        question.nobody = TenantId::from_uuid(uuid::Uuid::nil());
        let name = layout::answer(&self.secret.digest(&format!("{question:?}")));
        let Ok((kept, now)) = self.look(&name).await else {
            return self.directory.find_entry(query).await;
        };
        if let Some(entry) = self.open(query, &name, &kept, now, asked) {
            return Ok(without_known(entry, known));
        }
        let entry = self.directory.find_entry(query).await?;
        self.keep(&name, now, asked, &entry).await;
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
