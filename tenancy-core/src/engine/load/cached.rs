//! Things that are kept in a cache of look-ups.

use std::{fmt, future::Future, hash::Hash, time::Duration};

use quick_cache::Equivalent;

use super::{
    Fact, KeyRecord, LoadContext, MembershipOf, OverridesOf, ProjectOf, RolesOf, TenantNamed,
};
use crate::{
    DirectoryError, TenantId, Timestamp,
    cache::{CacheVersion, Lookup, MaxAge, Probe},
    engine::{Inner, Tenancy},
};

/// A thing that is kept in a cache of look-ups, for as long as nothing changes about its tenant.
///
/// Its tenant is known from its key or from its value. Where only the value tells, a change of any
/// tenant while it was being loaded may have been this one's, and it is not kept.
pub(in crate::engine) trait CachedFact: Sized + 'static {
    type Key: Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static;
    type Found: Clone + Send + Sync + 'static;

    /// Where it is kept.
    fn cache(caches: &Caches) -> &Lookup<Self::Key, Self::Found>;

    /// The tenant that a key names.
    fn tenant_of_key(_: &Self::Key) -> Option<TenantId> {
        None
    }

    /// The tenant whose it turns out to be, where the key does not tell.
    fn tenant_of(_: &Self::Found) -> Option<TenantId> {
        None
    }

    /// How many bytes a key owns on the heap.
    fn heap_of_key(_: &Self::Key) -> usize {
        0
    }

    /// How many bytes a value owns on the heap.
    fn heap(found: &Self::Found) -> usize;

    /// Asks the directory; `None` if there is none. Goes on for whoever else waits if the request that
    /// began it is gone.
    fn read(
        engine: Tenancy,
        key: Self::Key,
    ) -> impl Future<Output = Result<Option<Self::Found>, DirectoryError>> + Send + 'static;
}

impl<F: CachedFact> Fact for F {
    type Key = <F as CachedFact>::Key;
    type Value = Option<F::Found>;
    type Error = DirectoryError;

    async fn load(
        context: LoadContext<'_>,
        key: &Self::Key,
    ) -> Result<(Timestamp, Self::Value), Self::Error> {
        let inner = context.engine.inner();
        let version = Version::before::<F>(inner, key);
        let cache = F::cache(&inner.caches);
        let engine = context.engine.clone();
        let (read_at, found) = cache
            .load(key, version.before, context.now, || {
                F::read(engine, key.clone())
            })
            .await;
        let found = found?;
        version.keep::<F>(inner, key, found.as_ref(), read_at);
        Ok((read_at, found))
    }
}

/// How things stood before a load.
#[derive(Clone, Copy)]
pub(super) struct Version {
    tenant: Option<TenantId>,
    before: CacheVersion,
}

impl Version {
    fn before<F: CachedFact>(inner: &Inner, key: &<F as CachedFact>::Key) -> Self {
        match F::tenant_of_key(key) {
            Some(tenant) => Self {
                tenant: Some(tenant),
                before: inner.versions.of(tenant),
            },
            None => Self::before_any(inner),
        }
    }

    /// The same where nothing tells yet which tenant it is about.
    pub(super) fn before_any(inner: &Inner) -> Self {
        Self {
            tenant: None,
            before: inner.versions.of_any(),
        }
    }

    /// The same for a tenant that turned out to be the one; `None` if it may have changed meanwhile.
    pub(super) fn of_tenant(self, inner: &Inner, tenant: TenantId) -> Option<Self> {
        let before = inner.versions.of(tenant);
        let now_known = Self {
            tenant: Some(tenant),
            before,
        };
        (inner.versions.undisturbed_since(self.before)).then_some(now_known)
    }

    pub(super) fn version(self) -> CacheVersion {
        self.before
    }

    /// Keeps what was loaded, unless it may have changed since.
    pub(super) fn keep<F: CachedFact>(
        self,
        inner: &Inner,
        key: &<F as CachedFact>::Key,
        found: Option<&F::Found>,
        read_at: Timestamp,
    ) {
        let cache = F::cache(&inner.caches);
        let Some(found) = found else {
            cache.keep_absent(key, F::heap_of_key(key), self.before, read_at);
            return;
        };
        let version = match self.tenant {
            Some(_) => Some(self.before),
            None => F::tenant_of(found)
                .and_then(|tenant| self.of_tenant(inner, tenant))
                .map(Self::version),
        };
        if let Some(version) = version {
            let heap = F::heap_of_key(key) + F::heap(found);
            cache.keep(key, found.clone(), heap, version, read_at);
        }
    }
}

/// The caches of look-ups.
pub(in crate::engine) struct Caches {
    pub(in crate::engine) tenants:
        Lookup<<TenantNamed as CachedFact>::Key, <TenantNamed as CachedFact>::Found>,
    pub(super) memberships:
        Lookup<<MembershipOf as CachedFact>::Key, <MembershipOf as CachedFact>::Found>,
    pub(super) roles: Lookup<<RolesOf as CachedFact>::Key, <RolesOf as CachedFact>::Found>,
    pub(super) projects: Lookup<<ProjectOf as CachedFact>::Key, <ProjectOf as CachedFact>::Found>,
    pub(super) overrides:
        Lookup<<OverridesOf as CachedFact>::Key, <OverridesOf as CachedFact>::Found>,
    pub(super) keys: Lookup<<KeyRecord as CachedFact>::Key, <KeyRecord as CachedFact>::Found>,
}

impl Caches {
    /// Caches of so many bytes each.
    pub(in crate::engine) fn new(bytes: usize, negative_ttl: Duration, max_age: MaxAge) -> Self {
        Self {
            tenants: Lookup::new(bytes, negative_ttl, max_age),
            memberships: Lookup::new(bytes, negative_ttl, max_age),
            roles: Lookup::new(bytes, negative_ttl, max_age),
            projects: Lookup::new(bytes, negative_ttl, max_age),
            overrides: Lookup::new(bytes, negative_ttl, max_age),
            keys: Lookup::new(bytes, negative_ttl, max_age),
        }
    }
}

impl Inner {
    /// What the cache says of a thing.
    #[inline]
    pub(in crate::engine) fn probe<F: CachedFact>(
        &self,
        key: &<F as CachedFact>::Key,
        now: Timestamp,
    ) -> Probe<F::Found> {
        self.probe_as::<F>(key, F::tenant_of_key(key), now)
    }

    /// The same for a key that is borrowed, with the tenant that it names, if it tells.
    #[inline]
    pub(in crate::engine) fn probe_as<F: CachedFact>(
        &self,
        key: &(impl Hash + Equivalent<<F as CachedFact>::Key> + ?Sized),
        tenant: Option<TenantId>,
        now: Timestamp,
    ) -> Probe<F::Found> {
        let version = |tenant: Option<TenantId>| match tenant {
            Some(tenant) => self.versions.of(tenant),
            None => self.versions.of_any(),
        };
        let found = |found: &F::Found| version(tenant.or_else(|| F::tenant_of(found)));
        F::cache(&self.caches).probe(key, found, || version(tenant), now)
    }
}
