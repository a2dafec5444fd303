//! One cache: positive entries by weight, separate negative entries, loads under way.

use std::{fmt, future::Future, hash::Hash, mem::size_of, time::Duration};

use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{
    CacheVersion, MaxAge,
    single_flight::{SingleFlight, Work},
};
use crate::{DirectoryError, Timestamp};

/// How long "there is none" is believed at most; the key may come to exist without a change
/// that this process hears of in time. Default of [`TenancyBuilder`](crate::TenancyBuilder): 5 s.
pub(crate) type NegativeTtl = Duration;

/// What a cache can say at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe<V> {
    /// A value, and the moment at which it began to be read.
    Found(V, Timestamp),
    Absent,
    Unknown,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    version: CacheVersion,
    read_at: Timestamp,
    weight: u32,
    value: V,
}

/// What a load tells, and when it began.
type Told<V> = (Timestamp, Result<Option<V>, DirectoryError>);

/// What an entry costs beside what it owns on the heap: its place in a table, which grows by doubling.
const OVERHEAD: usize = 64;

/// What an entry is taken to weigh when the cache is laid out.
const TYPICAL: usize = 512;

/// How many bytes are remembered of keys of which there is none: some 30 to some 4,000.
const MIN_ABSENT: usize = 8 << 10;
const MAX_ABSENT: usize = 1 << 20;

/// The least that a part of a cache has, where the budget is as large: a record that is larger may not fit.
const PART: usize = 1 << 20;

/// What an entry weighs whose key and value own so many bytes on the heap.
fn weight_of<K, V>(heap: usize) -> u32 {
    let own = size_of::<(K, Entry<V>)>() * 2 + OVERHEAD;
    u32::try_from(heap.saturating_add(own)).unwrap_or(u32::MAX)
}

#[derive(Clone)]
struct ByWeight;

impl<K, V> Weighter<K, Entry<V>> for ByWeight {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        u64::from(entry.weight)
    }
}

/// A cache of look-ups in a directory, within a budget of bytes.
///
/// Negative entries live in a smaller cache of their own, because a caller chooses the keys:
/// random keys can't push out what is known to exist. An error is never kept.
pub(crate) struct Lookup<K, V: Clone> {
    found: Cache<K, Entry<V>, ByWeight>,
    absent: Cache<K, Entry<()>, ByWeight>,
    /// Loads by the version they began under: a load that began under an older one is not joined,
    /// because it may have read what has changed.
    single_flight: SingleFlight<(K, CacheVersion), Told<V>>,
    negative_ttl: NegativeTtl,
    max_age: MaxAge,
}

/// A cache of so many bytes, in as many parts as threads want, and no more than leave room for a large record.
fn within<K: Eq + Hash, V: Clone>(bytes: usize) -> Cache<K, Entry<V>, ByWeight> {
    let threads = std::thread::available_parallelism().map_or(4, usize::from);
    let options = OptionsBuilder::new()
        .shards((threads * 4).min(bytes / PART).max(1))
        .estimated_items_capacity((bytes / TYPICAL).max(1))
        .weight_capacity(bytes as u64)
        .build();
    match options {
        Ok(options) => Cache::with_options(
            options,
            ByWeight,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ),
        // Both sizes are given.
        Err(_) => Cache::with_weighter((bytes / TYPICAL).max(1), bytes as u64, ByWeight),
    }
}

impl<K: Eq + Hash + Clone, V: Clone + Send + Sync + 'static> Lookup<K, V> {
    /// A cache that keeps so many bytes.
    pub(crate) fn new(bytes: usize, negative_ttl: NegativeTtl, max_age: MaxAge) -> Self {
        Self {
            found: within(bytes),
            absent: within((bytes / 8).clamp(MIN_ABSENT, MAX_ABSENT)),
            single_flight: SingleFlight::new(),
            negative_ttl: negative_ttl.min(max_age.as_duration()),
            max_age,
        }
    }

    /// Looks a key up; `version` tells the version under which a found value would have to stand.
    #[inline]
    pub(crate) fn probe<Q>(
        &self,
        key: &Q,
        version: impl FnOnce(&V) -> CacheVersion,
        absent_stamp: impl FnOnce() -> CacheVersion,
        now: Timestamp,
    ) -> Probe<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        if let Some(entry) = self.found.get(key)
            && entry.version == version(&entry.value)
            && self.max_age.allows(entry.read_at, now)
        {
            return Probe::Found(entry.value, entry.read_at);
        }
        if let Some(entry) = self.absent.get(key)
            && entry.version == absent_stamp()
            && now >= entry.read_at
            && now.since(entry.read_at) < self.negative_ttl
        {
            return Probe::Absent;
        }
        Probe::Unknown
    }

    /// The value that is kept, of whatever age.
    pub(crate) fn peek(&self, key: &K) -> Option<V> {
        self.found.peek(key).map(|entry| entry.value)
    }

    /// Whether there was once a value, of whatever age, or somebody is asking under this version: a look-up
    /// is then none that a caller has made up.
    pub(crate) fn has_heard_of(&self, key: &K, before: CacheVersion) -> bool {
        self.found.get(key).is_some() || self.single_flight.is_under_way(&(key.clone(), before))
    }

    /// Loads a key, or waits for the load that is under way since the same version. Returns when it began.
    pub(crate) async fn load<L>(
        &self,
        key: &K,
        before: CacheVersion,
        now: Timestamp,
        load: impl FnOnce() -> L,
    ) -> Told<V>
    where
        L: Future<Output = Result<Option<V>, DirectoryError>> + Send + 'static,
    {
        let begin = || {
            let load = load();
            let told = async move { (now, load.await) };
            Box::pin(told) as Work<Told<V>>
        };
        self.single_flight.join(&(key.clone(), before), begin).await
    }

    /// Keeps a value that owns so many bytes on the heap, unless it is too large for the budget.
    pub(crate) fn keep(
        &self,
        key: &K,
        value: V,
        heap: usize,
        version: CacheVersion,
        read_at: Timestamp,
    ) {
        self.absent.remove(key);
        let entry = Entry {
            version,
            read_at,
            weight: weight_of::<K, V>(heap),
            value,
        };
        self.found.insert(key.clone(), entry);
    }

    /// Keeps that there is none under a key that owns so many bytes on the heap.
    pub(crate) fn keep_absent(
        &self,
        key: &K,
        heap: usize,
        version: CacheVersion,
        read_at: Timestamp,
    ) {
        self.found.remove(key);
        let entry = Entry {
            version,
            read_at,
            weight: weight_of::<K, ()>(heap),
            value: (),
        };
        self.absent.insert(key.clone(), entry);
    }
}

impl<K, V: Clone> fmt::Debug for Lookup<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{TenantId, cache::CacheVersions};

    const BYTES: usize = 64 * 1024;
    const TTL: Duration = Duration::from_secs(5);
    const MAX_AGE: Duration = Duration::from_secs(60);

    struct Fixture {
        cache: Arc<Lookup<TenantId, u32>>,
        versions: Arc<CacheVersions>,
        loads: Arc<AtomicUsize>,
        now: Timestamp,
    }

    async fn load_and_keep(
        cache: &Lookup<TenantId, u32>,
        before: CacheVersion,
        key: TenantId,
        now: Timestamp,
        answer: impl Future<Output = Result<Option<u32>, DirectoryError>> + Send + 'static,
    ) -> Result<Option<u32>, DirectoryError> {
        let (read_at, found) = cache.load(&key, before, now, || answer).await;
        match found.as_ref() {
            Ok(Some(value)) => cache.keep(&key, *value, 0, before, read_at),
            Ok(None) => cache.keep_absent(&key, 0, before, read_at),
            Err(_) => {}
        }
        found
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                cache: Arc::new(Lookup::new(BYTES, TTL, MaxAge::new(MAX_AGE))),
                versions: Arc::new(CacheVersions::new()),
                loads: Arc::default(),
                now: Timestamp::from_unix_seconds(1_000),
            }
        }

        fn probe(&self, key: TenantId) -> Probe<u32> {
            let version = || self.versions.of(key);
            self.cache.probe(&key, |_| version(), version, self.now)
        }

        async fn load(
            &self,
            key: TenantId,
            answer: impl Future<Output = Result<Option<u32>, DirectoryError>> + Send + 'static,
        ) -> Result<Option<u32>, DirectoryError> {
            let loads = Arc::clone(&self.loads);
            let answer = async move {
                loads.fetch_add(1, Ordering::SeqCst);
                answer.await
            };
            load_and_keep(&self.cache, self.versions.of(key), key, self.now, answer).await
        }
    }

    #[tokio::test]
    async fn an_error_is_never_not_found() {
        let f = Fixture::new();
        let key = TenantId::new();
        assert!(
            f.load(key, async { Err(DirectoryError::new("down")) })
                .await
                .is_err()
        );
        assert_eq!(f.probe(key), Probe::Unknown);
        assert_eq!(f.load(key, async { Ok(None) }).await.unwrap(), None);
        assert_eq!(f.probe(key), Probe::Absent);
    }

    #[tokio::test]
    async fn absence_is_believed_for_a_while() {
        let mut f = Fixture::new();
        let key = TenantId::new();
        f.load(key, async { Ok(None) }).await.unwrap();
        f.now = f.now + TTL;
        assert_eq!(f.probe(key), Probe::Unknown);
    }

    #[tokio::test]
    async fn a_value_is_believed_until_it_is_too_old() {
        let mut f = Fixture::new();
        let (key, read_at) = (TenantId::new(), f.now);
        f.load(key, async { Ok(Some(1)) }).await.unwrap();
        f.now = read_at + MAX_AGE - Duration::from_micros(1);
        assert_eq!(f.probe(key), Probe::Found(1, read_at));
        f.now = read_at + MAX_AGE;
        assert_eq!(f.probe(key), Probe::Unknown);
    }

    #[tokio::test]
    async fn whoever_joins_a_load_late_makes_its_answer_no_younger() {
        let mut f = Fixture::new();
        let (key, began) = (TenantId::new(), f.now);
        let (go, gate) = tokio::sync::oneshot::channel::<()>();
        let version = f.versions.of(key);
        let (cache, later) = (Arc::clone(&f.cache), began + Duration::from_secs(9));
        let first = load_and_keep(&cache, version, key, began, async move {
            let _ = gate.await;
            Ok(Some(1))
        });
        let second = load_and_keep(&cache, version, key, later, async { Ok(Some(2)) });
        let open = async {
            let _ = go.send(());
        };
        let (first, second, ()) = futures_util::join!(first, second, open);
        assert_eq!((first.unwrap(), second.unwrap()), (Some(1), Some(1)));
        f.now = later;
        assert_eq!(f.probe(key), Probe::Found(1, began));
    }

    #[tokio::test]
    async fn a_value_loaded_while_its_tenant_changed_is_not_believed() {
        let f = Fixture::new();
        let key = TenantId::new();
        let (go, gate) = tokio::sync::oneshot::channel::<()>();
        let loading = f.load(key, async move {
            let _ = gate.await;
            Ok(Some(1))
        });
        let revoke = async {
            f.versions.drop_tenant(key);
            let _ = go.send(());
        };
        let (loaded, ()) = futures_util::join!(loading, revoke);
        assert_eq!(loaded.unwrap(), Some(1));
        assert_eq!(
            f.probe(key),
            Probe::Unknown,
            "what was read before the change must not stay"
        );
    }

    #[tokio::test]
    async fn many_callers_wait_for_one_load() {
        let f = Fixture::new();
        let key = TenantId::new();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let callers = (0..50).map(|_| {
            let gate = Arc::clone(&gate);
            f.load(key, async move {
                let _open = gate.acquire().await;
                Ok(Some(7))
            })
        });
        let mut callers = Box::pin(futures_util::future::join_all(callers));
        for _ in 0..10 {
            assert!(futures_util::poll!(&mut callers).is_pending());
        }
        gate.add_permits(50);
        let answers = callers.await;
        assert!(answers.into_iter().all(|a| a.unwrap() == Some(7)));
        assert_eq!(f.loads.load(Ordering::SeqCst), 1);
        assert_eq!(f.probe(key), Probe::Found(7, f.now));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_does_not_stop_the_others() {
        let f = Fixture::new();
        let key = TenantId::new();
        let (go, gate) = tokio::sync::oneshot::channel::<()>();
        let mut first = Box::pin(f.load(key, async move {
            let _ = gate.await;
            Ok(Some(3))
        }));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(f.load(key, async { Ok(Some(4)) }));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let _ = go.send(());
        assert_eq!(second.await.unwrap(), Some(3));
    }

    #[tokio::test]
    async fn random_keys_do_not_push_out_what_exists() {
        let f = Fixture::new();
        let known = TenantId::new();
        f.load(known, async { Ok(Some(1)) }).await.unwrap();
        for _ in 0..10_000 {
            f.load(TenantId::new(), async { Ok(None) }).await.unwrap();
        }
        assert_eq!(f.probe(known), Probe::Found(1, f.now));
        assert!(f.cache.absent.len() <= 64, "{}", f.cache.absent.len());
    }

    #[test]
    fn large_values_take_the_room_of_many_small_ones() {
        let kept = |heap: usize| {
            let f = Fixture::new();
            let keys: Vec<_> = (0..1_000).map(|_| TenantId::new()).collect();
            for key in &keys {
                let version = f.versions.of(*key);
                f.cache.keep(key, 1, heap, version, f.now);
            }
            let known = keys.iter().filter(|key| f.probe(**key) != Probe::Unknown);
            known.count()
        };
        let (small, large) = (kept(0), kept(4_000));
        assert!((200..1_000).contains(&small), "{small}");
        assert!((4..=16).contains(&large), "{large}");
        assert_eq!(
            kept(BYTES),
            0,
            "one that is larger than the budget is not kept"
        );
    }

    /// As `directory_cache_bytes` says: what fits into the budget, and into a megabyte, is kept.
    #[test]
    fn a_record_that_takes_half_of_the_budget_is_kept() {
        let f = Fixture::new();
        let key = TenantId::new();
        f.cache.keep(&key, 1, BYTES / 2, f.versions.of(key), f.now);
        assert_eq!(
            f.probe(key),
            Probe::Found(1, f.now),
            "a part of the cache holds {} of {BYTES}",
            f.cache.found.shard_capacity()
        );
    }

    /// What there is none of is named by a caller, who may name it at length.
    #[test]
    fn long_names_of_which_there_is_none_are_kept_within_the_budget() {
        use crate::TenantKey;
        let cache: Lookup<TenantKey, u32> = Lookup::new(BYTES, TTL, MaxAge::new(MAX_AGE));
        let (versions, now) = (CacheVersions::new(), Timestamp::from_unix_seconds(1_000));
        for number in 0..1_000 {
            let key = TenantKey::External {
                provider: "crm".into(),
                id: format!("{number:010240}").into(),
            };
            cache.keep_absent(&key, key.heap(), versions.of_any(), now);
        }
        let bytes: usize = cache.absent.iter().map(|(key, _)| key.heap()).sum();
        assert!(
            bytes <= BYTES,
            "{bytes} bytes of names, of a budget of {BYTES}"
        );
    }
}
