//! A key as it is cached: its record, and the principal it makes.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    Actor, AllowedTenants, PermissionRegistry, Principal, Timestamp,
    engine::context::{Parts, Whole},
    key::{ApiKey, KeyDigest},
    quota::{OwnLimits, QuotaService},
};

/// Uses closer together than this are one.
const RESOLUTION: Duration = Duration::from_secs(1);

/// A key that was loaded. Whether it can be used is asked anew for every request.
pub(crate) struct CachedKey {
    pub(crate) record: ApiKey,
    pub(crate) principal: Arc<Principal>,
    /// The digest to store in place of one that was made with the previous pepper.
    renewed: OnceLock<KeyDigest>,
    renewal_stored: AtomicBool,
    last_used: AtomicI64,
    /// The network of its last use, as a number; 0 for none.
    network: AtomicU64,
    /// Whether a use waits to be written.
    queued: AtomicBool,
    /// What was decided about a request with this key, to be compared with how things stand now. It stands here
    /// so that one look-up tells both.
    decided: Mutex<Option<Arc<Whole>>>,
}

impl CachedKey {
    pub(crate) fn new(
        record: ApiKey,
        permissions: &PermissionRegistry,
        quotas: Option<&QuotaService>,
    ) -> Self {
        let mut principal = Principal::new(
            Actor::Key(record.id),
            AllowedTenants::Bound(record.tenant.into()),
            "api-key",
        );
        principal.on_behalf_of = Some(record.creator);
        principal.project = record.project;
        principal.open_projects_only = record.open_projects_only;
        principal.issued_at = Some(record.created_at);
        principal.expires_at = record.ends_at();
        principal.scope = permissions.scope(record.scopes.iter().map(crate::Grant::as_str));
        principal.limits = OwnLimits::of_key(record.id, record.tenant, &record.limits, quotas);
        let last_used = record
            .last_used_at
            .map_or(i64::MIN, Timestamp::as_unix_micros);
        Self {
            record,
            principal: Arc::new(principal),
            renewed: OnceLock::new(),
            renewal_stored: AtomicBool::new(false),
            last_used: AtomicI64::new(last_used),
            network: AtomicU64::new(0),
            queued: AtomicBool::new(false),
            decided: Mutex::default(),
        }
    }

    /// The bytes that it takes, on the heap and by itself, about.
    pub(crate) fn weight(&self) -> usize {
        let record = &self.record;
        let scopes = record
            .scopes
            .iter()
            .map(|grant| size_of_val(grant) + grant.as_str().len());
        let metadata = record
            .metadata
            .iter()
            .map(|(name, value)| 64 + name.len() + value.to_string().len());
        let texts = record.name.len() + scopes.sum::<usize>() + metadata.sum::<usize>();
        let decided = size_of::<Whole>() + size_of::<Parts>() + 64;
        // A limit and its name take less than 200.
        let limits = record.limits.as_slice().len() * 200;
        // A digest and an address take less than this.
        let rest = 256;
        size_of::<Self>() + self.principal.weight() + texts + limits + decided + rest
    }

    /// The hash of the secret, of an imported key.
    #[cfg(feature = "argon2")]
    pub(crate) fn hash(&self) -> Option<&crate::key::SecretHash> {
        self.record.verifier.hash()
    }

    /// Takes note of a digest that should replace the stored one.
    pub(crate) fn renew(&self, digest: impl FnOnce() -> KeyDigest) {
        self.renewed.get_or_init(digest);
    }

    /// The digest that waits to be stored.
    pub(crate) fn renewal(&self) -> Option<&KeyDigest> {
        let stored = self.renewal_stored.load(Ordering::Relaxed);
        self.renewed.get().filter(|_| !stored)
    }

    pub(crate) fn renewal_is_stored(&self) {
        self.renewal_stored.store(true, Ordering::Relaxed);
    }

    /// What was decided last; `None` if nothing was, or another thread looks at it: then the slow way is as good.
    pub(crate) fn last_decided(&self) -> Option<Arc<Whole>> {
        self.decided.try_lock().ok()?.clone()
    }

    /// Keeps what was decided.
    pub(crate) fn keep_decided(&self, whole: &Arc<Whole>) {
        if let Ok(mut decided) = self.decided.try_lock() {
            *decided = Some(Arc::clone(whole));
        }
    }

    /// Notes a use; returns whether it has to be queued for writing.
    pub(crate) fn used(&self, now: Timestamp) -> bool {
        let now_micros = now.as_unix_micros();
        let last = Timestamp::from_unix_micros(self.last_used.load(Ordering::Relaxed));
        if now.since(last) < RESOLUTION && self.renewal().is_none() {
            return false;
        }
        self.last_used.fetch_max(now_micros, Ordering::Relaxed);
        self.queue()
    }

    /// Whether it was last used from this network.
    pub(crate) fn was_last_in(&self, network: u64) -> bool {
        self.network.load(Ordering::Relaxed) == network
    }

    /// Notes the network of a use.
    pub(crate) fn is_in(&self, network: u64) {
        self.network.store(network, Ordering::Relaxed);
    }

    /// Claims a place in the queue; false if it has one.
    pub(crate) fn queue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Leaves the queue, and tells the newest use: one that comes after is queued anew.
    pub(crate) fn dequeue(&self) -> Timestamp {
        self.queued.store(false, Ordering::Release);
        Timestamp::from_unix_micros(self.last_used.load(Ordering::Acquire))
    }
}

impl fmt::Debug for CachedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedKey")
            .field("id", &self.record.id)
            .finish_non_exhaustive()
    }
}
