//! Keys that are fetched, kept, and fetched again.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::{
    super::keyset::KeySet,
    builder::{RemoteKeysBuilder, Timing},
    document::{self, BadSet},
    fetcher::JwksFetcher,
    jwk::KeyRule,
    pace::{Fetching, Pace},
    status::RemoteKeysStatus,
};
use crate::{LookupError, Timestamp};

/// How many ids are remembered that the keys lack.
const UNKNOWN_IDS: usize = 128;

/// How far apart two readings of the clock may be, and how much later one is noted.
const TICK: Duration = Duration::from_millis(500);

/// The keys that an issuer publishes as a JSON Web Key Set, kept up to date under traffic.
///
/// Clones share the keys, so that several authenticators of one issuer share one. There is no task
/// to start: a request that finds the keys old has them fetched. It needs a tokio runtime with its
/// timer enabled.
///
/// ```
/// # use tenancy_core::{async_trait, jwt::{FetchError, JwksFetcher}};
/// # #[derive(Debug)]
/// # struct Fetcher;
/// # #[async_trait]
/// # impl JwksFetcher for Fetcher {
/// #     async fn fetch(&self, _: usize) -> Result<Vec<u8>, FetchError> {
/// #         Err(FetchError::new("nobody there"))
/// #     }
/// # }
/// use tenancy_core::jwt::{JwtAuthenticator, RemoteKeys};
///
/// # let fetcher = Fetcher;
/// let keys = RemoteKeys::new(fetcher);
/// let tokens = JwtAuthenticator::builder("https://login.example.com", "https://api.example.com")
///     .remote_keys(keys.clone())
///     .build()?;
/// assert_eq!(keys.status().fetched_at, None);
/// # let _ = tokens;
/// # Ok::<(), tenancy_core::jwt::JwtConfigError>(())
/// ```
///
/// # When keys are fetched
/// | the keys are | and | a request |
/// |---|---|---|
/// | not there | | waits for a fetch; 503 if it fails |
/// | younger than [`max_age`](RemoteKeysBuilder::max_age) | | uses them |
/// | older | | uses them and has them fetched in the background |
/// | more than twice as old | the last fetch succeeded | waits for a fetch; if that fails, uses them |
/// | older | the last fetch failed | uses them, up to [`stale_for`](RemoteKeysBuilder::stale_for) |
/// | older than `stale_for` | | waits for a fetch; 503 if it fails |
/// | there, without the id a token names | the cool-down is over | waits for a fetch; 401 if the id is unknown then, 503 if the issuer did not answer |
/// | there, without the id a token names | they were fetched since the id was first named | 401 |
/// | there, without the id a token names | they were fetched before | 503 with `Retry-After`: the rest of the cool-down |
///
/// There is one fetch at a time, which all wait for, and at most one per
/// [`cool_down`](RemoteKeysBuilder::cool_down), 30 seconds by default. A fetch goes on when the
/// request that began it is dropped.
///
/// # Which keys are used
/// A key with `use` other than `sig`, with `key_ops` that lack `verify`, without `alg` (unless
/// [assumed](RemoteKeysBuilder::assume_algorithm)) or with one that is unknown, not its kind's or
/// not [allowed](RemoteKeysBuilder::algorithm), a shared secret, a private key, a weak RSA key
/// and every key whose `kid` stands twice are passed over. A set of more than 256 KiB or 100 keys,
/// one that is no key set, and one without a usable key are failed fetches: they replace nothing.
///
/// # Security
/// - Requests with invented key ids cause at most one fetch per cool-down, and keep nobody out: an
///   id that is published is found before any memory of unknown ones is asked. A key counts within one
///   cool-down after it was published, also if tokens had named it before. A caller with an invented id may
///   be answered 503 for so long, and 401 afterwards.
/// - When the set changes, every remembered token is verified anew: the tokens of a withdrawn key
///   die with it.
/// - Errors and logs never show what the other side sent.
#[derive(Clone)]
pub struct RemoteKeys(Arc<Inner>);

struct Inner {
    fetcher: Box<dyn JwksFetcher>,
    rule: KeyRule,
    timing: Timing,
    held: RwLock<Option<Held>>,
    /// The latest moment that the clock has shown, in microseconds; at most a [`TICK`] too early.
    shown: AtomicI64,
    pace: Mutex<Pace>,
    /// Ids that a token has named and the keys lacked, with the time at which each was first named.
    unknown: Cache<Box<str>, Timestamp>,
}

/// A key set that was fetched.
#[derive(Clone)]
pub(in crate::jwt) struct Held {
    pub(in crate::jwt) keys: Arc<KeySet>,
    /// Changes with the content of the set.
    pub(in crate::jwt) version: u64,
    digest: [u8; 32],
    number: u64,
    fetched_at: Timestamp,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jwt) enum Wanting {
    /// A fetch has to be waited for.
    Fetch,
    /// A fetch has to be waited for that may not begin before this time has passed.
    Later(Duration),
    /// The issuer has no such key.
    Unknown,
}

impl RemoteKeys {
    /// Keys with the default timing.
    #[must_use]
    pub fn new(fetcher: impl JwksFetcher + 'static) -> Self {
        Self::from_parts(Box::new(fetcher), KeyRule::default(), Timing::default())
    }

    /// Starts from what fetches.
    pub fn builder(fetcher: impl JwksFetcher + 'static) -> RemoteKeysBuilder {
        RemoteKeysBuilder::new(Box::new(fetcher))
    }

    pub(super) fn from_parts(fetcher: Box<dyn JwksFetcher>, rule: KeyRule, timing: Timing) -> Self {
        Self(Arc::new(Inner {
            fetcher,
            rule,
            timing,
            held: RwLock::default(),
            shown: AtomicI64::new(i64::MIN),
            pace: Mutex::default(),
            unknown: Cache::new(UNKNOWN_IDS),
        }))
    }

    /// How the keys stand.
    #[must_use]
    pub fn status(&self) -> RemoteKeysStatus {
        let held = self.0.held();
        let pace = self.0.pace.lock().unwrap_or_else(PoisonError::into_inner);
        RemoteKeysStatus {
            keys: held.as_ref().map_or(0, |held| held.keys.len()),
            fetched_at: held.map(|held| held.fetched_at),
            failing: pace.failure.is_some(),
            fetches: pace.begun,
            failures: pace.failed,
        }
    }

    /// Fetches the keys, or waits for the fetch under way; within the cool-down after a fetch it
    /// answers as that one did. For a service that wants its keys before its first request.
    ///
    /// # Errors
    /// [`LookupError`] if the keys could not be fetched. The service can start all the same: the
    /// next request after the cool-down tries again.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), LookupError> {
        match self.0.begin(now) {
            Ok(fetching) => fetching.await,
            Err(answer) => answer,
        }
    }

    /// The keys that count at `now`; has them fetched in the background when that is due.
    pub(in crate::jwt) fn current(&self, now: Timestamp) -> Result<Held, Wanting> {
        self.0.notice(now);
        let held = self.0.held().ok_or(Wanting::Fetch)?;
        let Timing {
            max_age, stale_for, ..
        } = self.0.timing;
        let age = now.since(held.fetched_at);
        // A clock that was set back tells no age.
        if age < max_age && now >= held.fetched_at {
            return Ok(held);
        }
        if age >= stale_for || (age >= 2 * max_age && self.0.is_worth_waiting(now)) {
            return Err(Wanting::Fetch);
        }
        self.0.fetch_in_background(now);
        Ok(held)
    }

    /// What to do about an id that is not in the set of this version.
    pub(in crate::jwt) fn lacks(&self, id: &str, version: u64, now: Timestamp) -> Wanting {
        let inner = &*self.0;
        let cool_down = inner.timing.cool_down;
        let pace = inner.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let first = inner.first_named(id, now);
        let held = match inner.held() {
            Some(held) if held.version == version => held,
            // A set came in between, and may have it.
            _ => return Wanting::Fetch,
        };
        // What the issuer was not able to say is not "unknown".
        if pace.failure.is_some() || pace.under_way().is_some() || pace.may_fetch(now, cool_down) {
            return Wanting::Fetch;
        }
        // The issuer was asked when a token had named it, and the answer was that there is none.
        if held.fetched_at >= first {
            return Wanting::Unknown;
        }
        let attempted = pace.attempted.unwrap_or(now);
        Wanting::Later((attempted + cool_down).since(now))
    }

    #[cfg(test)]
    pub(in crate::jwt) fn publish(
        &self,
        number: u64,
        body: &[u8],
        at: Timestamp,
    ) -> Result<(), LookupError> {
        self.0.publish(number, body, at).map_err(LookupError::new)
    }

    #[cfg(test)]
    pub(in crate::jwt) fn remembered_unknown(&self) -> usize {
        self.0.unknown.len()
    }
}

impl Inner {
    fn held(&self) -> Option<Held> {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// When an id was first named that the keys lack, as far as that is remembered.
    fn first_named(&self, id: &str, now: Timestamp) -> Timestamp {
        match self.unknown.get(id) {
            Some(first) if first <= now => first,
            _ => {
                self.unknown.insert(id.into(), now);
                now
            }
        }
    }

    /// Takes note of what the clock shows. If it was set back, what is held keeps the age that it had, lest
    /// keys be used for longer than they may.
    fn notice(&self, now: Timestamp) {
        let shown = Timestamp::from_unix_micros(self.shown.load(Ordering::Acquire));
        if now > shown + TICK {
            self.shown.fetch_max(now.as_unix_micros(), Ordering::AcqRel);
        }
        if now + TICK >= shown {
            return;
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever was first has done it.
        let (order, micros) = (Ordering::AcqRel, now.as_unix_micros());
        let first = (self.shown)
            .compare_exchange(shown.as_unix_micros(), micros, order, Ordering::Relaxed)
            .is_ok();
        if let (true, Some(held)) = (first, &mut *held) {
            held.fetched_at = now - shown.since(held.fetched_at);
        }
    }

    /// Whether the next fetch is likely to succeed, so that a request may wait for it.
    fn is_worth_waiting(&self, now: Timestamp) -> bool {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let comes = pace.under_way().is_some() || pace.may_fetch(now, self.timing.cool_down);
        pace.failure.is_none() && comes
    }

    fn fetch_in_background(self: &Arc<Self>, now: Timestamp) {
        // Whoever waits for it learns how it ends; so does the log.
        let _ = self.begin(now);
    }

    /// Begins a fetch or joins the one under way; without either, says how the last one ended.
    fn begin(self: &Arc<Self>, now: Timestamp) -> Result<Fetching, Result<(), LookupError>> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetching) = pace.under_way() {
            return Ok(fetching.clone());
        }
        if !pace.may_fetch(now, self.timing.cool_down) {
            return Err(pace.failure.clone().map_or(Ok(()), Err));
        }
        // In a task of its own: a caller that gives up would otherwise end it for everybody, and
        // could do so again after each cool-down.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            let error = "keys are fetched in a tokio runtime, and there is none";
            return Err(Err(LookupError::new(error)));
        };
        let number = pace.begin(now);
        let inner = Arc::clone(self);
        let task = runtime.spawn(async move { inner.fetch(number, now).await });
        let handle = task.abort_handle();
        let fetching = async { task.await.unwrap_or_else(|end| Err(LookupError::new(end))) };
        let fetching = fetching.boxed().shared();
        pace.is_under_way(handle, fetching.clone());
        Ok(fetching)
    }

    async fn fetch(&self, number: u64, now: Timestamp) -> Result<(), LookupError> {
        let result = self.fetched(number, now).await;
        if let Err(error) = &result {
            let age = self.held().map(|held| now.since(held.fetched_at));
            tracing::warn!(
                %error, fetcher = ?self.fetcher, age_s = age.as_ref().map(Duration::as_secs),
                "an issuer's keys could not be fetched"
            );
        }
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.ended(&result);
        result
    }

    async fn fetched(&self, number: u64, now: Timestamp) -> Result<(), LookupError> {
        let fetch = self.fetcher.fetch(document::MAX_BYTES);
        let body = tokio::time::timeout(self.timing.timeout, fetch)
            .await
            .map_err(|_| LookupError::new("the issuer did not answer in time"))?
            .map_err(LookupError::new)?;
        self.publish(number, &body, now).map_err(LookupError::new)
    }

    /// Puts a set that was asked for at `now` to use, unless one asked for later is there.
    fn publish(&self, number: u64, body: &[u8], now: Timestamp) -> Result<(), BadSet> {
        let document = document::read(body, &self.rule)?;
        let digest = Sha256::digest(body).into();
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(newer) if newer.number > number => {}
            Some(same) if same.digest == digest => {
                same.number = number;
                same.fetched_at = now;
            }
            former => {
                let version = former.as_ref().map_or(1, |former| former.version + 1);
                tracing::info!(
                    fetcher = ?self.fetcher, keys = document.keys.len(),
                    skipped = ?document.skipped, version, "an issuer's keys are new"
                );
                *former = Some(Held {
                    keys: Arc::new(document.keys),
                    version,
                    digest,
                    number,
                    fetched_at: now,
                });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("fetcher", &self.0.fetcher)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
