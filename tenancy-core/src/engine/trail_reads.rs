//! Who reads the audit trail: each reading leaves an entry in it, and does not fill it.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::{
    Actor, AuditFilter, TenantId, Timestamp,
    quota::{Holder, Rate, Throttle, Throttled},
};

/// How often readings of one reader in one tenant are recorded. A page that polls the trail is no reason to fill it.
const OF_A_READER: Rate = Rate::in_seconds(10, 60);

/// How many readers are told apart.
const READERS: usize = 1 << 14;

/// How many listings are known that may go on.
const LISTINGS: usize = 1 << 14;

/// The readings of an engine's trail.
pub(super) struct TrailReads {
    throttle: Throttle,
    suppressed: AtomicU64,
    /// Where pages ended that were told, by who may go on behind them.
    ends: Cache<u64, ()>,
    keys: RandomState,
}

impl TrailReads {
    pub(super) fn new() -> Self {
        Self {
            throttle: Throttle::with_capacity(READERS),
            suppressed: AtomicU64::new(0),
            ends: Cache::new(LISTINGS),
            keys: RandomState::new(),
        }
    }

    /// Whether to record a reading, and then how many were left out since the last one that was recorded.
    pub(super) fn admit(
        &self,
        reader: &Actor,
        tenant: Option<TenantId>,
        now: Timestamp,
    ) -> Option<u64> {
        let name = reader.to_string();
        let holder = match reader.id() {
            Some(_) => Holder::caller(tenant, Some(reader), None),
            None => Holder::named("reader", &format!("{name} {tenant:?}")),
        };
        match self.throttle.take(&[OF_A_READER.one(holder, "reads")], now) {
            // Whom there is no room to count is recorded each time.
            Ok(_) | Err(Throttled::Full) => Some(self.suppressed.swap(0, Ordering::Relaxed)),
            Err(Throttled::For(_)) => {
                self.suppressed.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Whether this reader was told a page of the same listing that ended with this entry. A place to go on from that
    /// nobody was told is one that the caller has made up, and a reading of its own.
    pub(super) fn goes_on(&self, listing: &Listing<'_>, after: Uuid) -> bool {
        let end = self.keys.hash_one((listing, after));
        self.ends.get(&end).is_some()
    }

    /// Remembers where a page ended.
    pub(super) fn ended(&self, listing: &Listing<'_>, last: Uuid) {
        self.ends.insert(self.keys.hash_one((listing, last)), ());
    }
}

/// A listing: of whom, where and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Listing<'a> {
    pub(super) reader: &'a Actor,
    pub(super) tenant: Option<TenantId>,
    pub(super) filter: &'a AuditFilter,
}

impl fmt::Debug for TrailReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrailReads").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;

    #[test]
    fn a_reader_who_polls_is_recorded_a_few_times_and_others_all_the_same() {
        let reads = TrailReads::new();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let (ann, bob) = (Actor::User(UserId::new()), Actor::User(UserId::new()));
        let tenant = Some(TenantId::new());
        let recorded = (0..1_000).filter(|_| reads.admit(&ann, tenant, now).is_some());
        assert_eq!(recorded.count() as u64, OF_A_READER.burst());
        assert_eq!(
            reads.admit(&bob, tenant, now),
            Some(1_000 - OF_A_READER.burst())
        );
        // In another tenant she is another reader, and so are two that have no id.
        assert!(reads.admit(&ann, Some(TenantId::new()), now).is_some());
        assert!(reads.admit(&Actor::System, tenant, now).is_some());
        assert!(reads.admit(&ann, tenant, now).is_none());
        assert!(reads.admit(&ann, tenant, now + OF_A_READER.per()).is_some());
    }

    #[test]
    fn a_listing_goes_on_only_where_its_page_ended() {
        let reads = TrailReads::new();
        let (ann, bob) = (Actor::User(UserId::new()), Actor::User(UserId::new()));
        let (all, keys) = (AuditFilter::new(), AuditFilter::new().action("key.issue"));
        let tenant = Some(TenantId::new());
        let listing = |reader, tenant, filter| Listing {
            reader,
            tenant,
            filter,
        };
        let last = Uuid::now_v7();
        reads.ended(&listing(&ann, tenant, &keys), last);
        assert!(reads.goes_on(&listing(&ann, tenant, &keys), last));
        for (other, after) in [
            (listing(&ann, tenant, &all), last),
            (listing(&bob, tenant, &keys), last),
            (listing(&ann, None, &keys), last),
            (listing(&ann, tenant, &keys), Uuid::max()),
        ] {
            assert!(!reads.goes_on(&other, after), "{other:?}");
        }
    }
}
