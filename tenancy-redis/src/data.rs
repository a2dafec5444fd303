//! `TenantData`: what one tenant keeps in Redis.

mod call;
mod channel;
mod collections;
mod flush;
mod hash;
mod list;
mod lock;
mod reply;
mod set;
mod sorted_set;
mod stored;
mod stream;
mod throttle;

use std::{fmt, sync::Arc, time::Duration};

use tenancy_core::TenantContext;

use crate::{RedisError, TenantRedis, layout};
use call::Call;
pub(crate) use call::{EPOCH, LONGEST_NAME, millis};
pub use channel::Subscription;
use collections::collection;
pub use hash::TenantHash;
pub use list::TenantList;
pub use lock::TenantLock;
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
pub(crate) use reply::optional;
pub(crate) use reply::{bytes, int, list as values, parts, text};
pub use set::TenantSet;
pub use sorted_set::TenantSortedSet;
pub use stored::Stored;
pub use stream::{StreamEntry, StreamGroup, StreamId, TenantStream};

/// When a name ends: see [`TenantData::expiry`].
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_redis::Expiry;
///
/// let is_kept = |expiry| matches!(expiry, Expiry::Never | Expiry::In(_));
/// assert!(is_kept(Expiry::In(Duration::from_secs(60))));
/// assert!(!is_kept(Expiry::Missing));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else to be")]
pub enum Expiry {
    /// There is nothing of this name.
    Missing,
    /// Not by itself.
    Never,
    /// After this time.
    In(Duration),
}

/// What one tenant keeps in Redis: strings, hashes, lists, sets, sorted sets, streams, channels and locks, each by a name
/// of the application's. Cheap to clone.
///
/// A name is text or bytes, up to 4,096 of them (a channel's is text); there is no character that means anything. What is kept under it is in
/// Redis under `tn:{<tenant>}:d:<epoch>:<name>`, and no name leads anywhere else. All types share the names: a list can't
/// be read as a hash.
///
/// ```no_run
/// # async fn example(redis: &tenancy_redis::TenantRedis, context: &tenancy_core::TenantContext) -> Result<(), tenancy_redis::RedisError> {
/// use std::time::Duration;
///
/// let data = redis.tenant(context)?;
/// data.set_for("report:7", "rows", Duration::from_secs(600)).await?;
/// let rows = data.get("report:7").await?;
/// data.hash("cart:42").set("apple", "3").await?;
/// data.list("to-do").push_back(&["call", "write"]).await?;
/// # drop(rows);
/// # Ok(())
/// # }
/// ```
///
/// # What is done once, and what again
/// Where a repetition would change nothing, a lost answer is asked for again. Else – [`add`](Self::add), a push, an append
/// – it is not: after [`RedisErrorKind::Unavailable`](crate::RedisErrorKind::Unavailable) such a call may have been done.
///
/// # Cost
/// One round trip for each call. Redis finds the tenant's epoch and runs the command in one script.
///
/// # Expiry
/// [`set`](Self::set), and everything but strings, is kept until it is removed; [`set_for`](Self::set_for) and
/// [`expire`](Self::expire) give it a time. Where Redis has a limit of memory, choose `volatile-lru` as its
/// `maxmemory-policy`: what has no expiry is then never thrown away. What has one may go early: locks, sessions and counters
/// too. Where that must not be, choose `noeviction`.
///
/// # Bounds
/// A call takes up to 1,000 names, fields, members or values.
#[derive(Clone)]
pub struct TenantData {
    inner: Arc<Inner>,
}

struct Inner {
    redis: TenantRedis,
    context: TenantContext,
    /// `tn:{<tenant>}:d:`
    start: String,
    epoch: String,
}

impl TenantData {
    pub(crate) fn new(redis: TenantRedis, context: TenantContext) -> Self {
        let tenant = context.tenant_id();
        Self {
            inner: Arc::new(Inner {
                start: layout::of_tenant(tenant, 'd'),
                epoch: layout::epoch_of(tenant),
                redis,
                context,
            }),
        }
    }

    /// The context whose tenant this is.
    #[must_use]
    pub fn context(&self) -> &TenantContext {
        &self.inner.context
    }

    pub(crate) fn redis(&self) -> &TenantRedis {
        &self.inner.redis
    }

    pub(crate) fn start(&self) -> &str {
        &self.inner.start
    }

    pub(crate) fn epoch_name(&self) -> &str {
        &self.inner.epoch
    }

    /// The value of a name; `None` if there is none. `GET`.
    ///
    /// # Errors
    /// A [`RedisError`], as for all calls: no answer, a refusal (a name of another type among them), or a name that is
    /// too long.
    pub async fn get(&self, name: impl AsRef<[u8]>) -> Result<Option<Stored>, RedisError> {
        let answer = Call::read("GET").name(name).ask(self).await?;
        reply::optional(answer)
    }

    /// The values of names, in their order. `MGET`.
    ///
    /// # Errors
    /// As [`get`](Self::get); what has another type has no value.
    pub async fn get_many<N: AsRef<[u8]>>(
        &self,
        names: &[N],
    ) -> Result<Vec<Option<Stored>>, RedisError> {
        let answer = Call::read("MGET").names(names).ask(self).await?;
        let values = reply::list(answer)?.into_iter();
        values.map(reply::optional).collect()
    }

    /// Keeps a value until it is removed. An expiry that it had before ends. `SET`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn set(
        &self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), RedisError> {
        let call = Call::again("SET").name(name).word(value);
        reply::done(call.ask(self).await?)
    }

    /// Keeps a value for a time. `SET PX`.
    ///
    /// # Errors
    /// As [`get`](Self::get); also for a time of nothing.
    pub async fn set_for(
        &self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<(), RedisError> {
        let call = Call::again("SET").name(name).word(value).word("PX");
        reply::done(call.millis(time).ask(self).await?)
    }

    /// Keeps a value for a time, if the name has none; whether it does so. `SET NX PX`.
    ///
    /// For work that must not be done twice at once, [`try_lock`](Self::try_lock) is better.
    ///
    /// # Errors
    /// As [`set_for`](Self::set_for).
    pub async fn set_if_absent(
        &self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<bool, RedisError> {
        let call = Call::once("SET")
            .name(name)
            .word(value)
            .word("NX")
            .word("PX");
        reply::did(call.millis(time).ask(self).await?)
    }

    /// Adds to a whole number, which is 0 where there is none, and returns the sum. The number keeps its expiry, and
    /// has none if it is new. `INCRBY`.
    ///
    /// # Errors
    /// As [`get`](Self::get); also if it is no number. Sums above 2<sup>53</sup> are told rounded.
    pub async fn add(&self, name: impl AsRef<[u8]>, by: i64) -> Result<i64, RedisError> {
        let call = Call::once("INCRBY").name(name).number(by);
        reply::int(call.ask(self).await?)
    }

    /// Removes names of any type, and returns how many there were. `UNLINK`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn remove<N: AsRef<[u8]>>(&self, names: &[N]) -> Result<u64, RedisError> {
        let answer = Call::read("UNLINK").names(names).ask(self).await?;
        reply::count(answer)
    }

    /// Ends a name of any type after a time; `false` if there is none. `PEXPIRE`.
    ///
    /// # Errors
    /// As [`set_for`](Self::set_for).
    pub async fn expire(&self, name: impl AsRef<[u8]>, time: Duration) -> Result<bool, RedisError> {
        let call = Call::read("PEXPIRE").name(name).millis(time);
        reply::did(call.ask(self).await?)
    }

    /// When a name of any type ends. `PTTL`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn expiry(&self, name: impl AsRef<[u8]>) -> Result<Expiry, RedisError> {
        let answer = Call::read("PTTL").name(name).ask(self).await?;
        Ok(match reply::int(answer)? {
            -2 => Expiry::Missing,
            -1 => Expiry::Never,
            left => Expiry::In(Duration::from_millis(u64::try_from(left).unwrap_or(0))),
        })
    }

    /// A hash: values by field.
    pub fn hash(&self, name: impl AsRef<[u8]>) -> TenantHash {
        TenantHash::new(self, name)
    }

    /// A list: values in an order.
    pub fn list(&self, name: impl AsRef<[u8]>) -> TenantList {
        TenantList::new(self, name)
    }

    /// A set: members, each once.
    pub fn set_of(&self, name: impl AsRef<[u8]>) -> TenantSet {
        TenantSet::new(self, name)
    }

    /// A sorted set: members by score.
    pub fn sorted_set(&self, name: impl AsRef<[u8]>) -> TenantSortedSet {
        TenantSortedSet::new(self, name)
    }

    /// A stream: entries that are read by many, or shared among a group.
    pub fn stream(&self, name: impl AsRef<[u8]>) -> TenantStream {
        TenantStream::new(self, name)
    }
}

impl fmt::Debug for TenantData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantData")
            .field("tenant", &self.inner.context.tenant_id())
            .finish_non_exhaustive()
    }
}
