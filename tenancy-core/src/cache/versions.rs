//! CacheVersions: how everything cached about one tenant grows old with one addition.
//!
//! An entry remembers the version that was current before its load began. Dropping a tenant's
//! entries is adding one to the counter its id leads to: entries with an older version, and loads
//! that began before, no longer count. A counter is shared by several tenants; the neighbours'
//! entries are then loaded once more than needed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::TenantId;

/// Counters among which tenants are spread.
const STRIPES: usize = 4096;

/// The state of a counter at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheVersion(u64);

#[derive(Debug)]
pub(crate) struct CacheVersions {
    stripes: Box<[AtomicU64]>,
    /// Added to before and after any tenant's entries are dropped: for what is not known to belong
    /// to one tenant, and to notice a drop that is under way.
    begun: AtomicU64,
    ended: AtomicU64,
    /// Added to when everything is dropped.
    all: AtomicU64,
}

impl CacheVersions {
    pub(crate) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            all: AtomicU64::new(0),
        }
    }

    fn stripe(&self, tenant: TenantId) -> Option<&AtomicU64> {
        // The low bits of a UUID are random, or at least differ from tenant to tenant.
        let number = tenant.as_uuid().as_u128() % STRIPES as u128;
        self.stripes.get(usize::try_from(number).unwrap_or(0))
    }

    /// The version of what belongs to one tenant.
    pub(crate) fn of(&self, tenant: TenantId) -> CacheVersion {
        let own = self
            .stripe(tenant)
            .map_or(0, |stripe| stripe.load(Ordering::SeqCst));
        // Both only grow, so that the sum changes whenever either does.
        CacheVersion(own.wrapping_add(self.all.load(Ordering::SeqCst)))
    }

    /// The version of what may belong to any tenant, or to none.
    pub(crate) fn of_any(&self) -> CacheVersion {
        self.total(&self.ended)
    }

    /// Whether no drop was under way at `before`, a version of any tenant, and none has begun since.
    ///
    /// To be asked after [`of`](Self::of): then that version is as old as `before`. A drop adds to
    /// the tenant's counter in between its other two additions, so that one of them is noticed.
    pub(crate) fn undisturbed_since(&self, before: CacheVersion) -> bool {
        self.total(&self.begun) == before
    }

    fn total(&self, drops: &AtomicU64) -> CacheVersion {
        let all = self.all.load(Ordering::SeqCst);
        CacheVersion(drops.load(Ordering::SeqCst).wrapping_add(all))
    }

    /// Drops everything about one tenant.
    pub(crate) fn drop_tenant(&self, tenant: TenantId) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if let Some(stripe) = self.stripe(tenant) {
            stripe.fetch_add(1, Ordering::SeqCst);
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    /// Drops everything.
    pub(crate) fn drop_all(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_never_older_than_its_stamp() {
        use std::sync::{Arc, atomic::AtomicBool};
        let (versions, done) = (
            Arc::new(CacheVersions::new()),
            Arc::new(AtomicBool::new(false)),
        );
        let (tenant, record) = (TenantId::new(), Arc::new(AtomicU64::new(0)));
        let writer = std::thread::spawn({
            let (versions, done, record) = (
                Arc::clone(&versions),
                Arc::clone(&done),
                Arc::clone(&record),
            );
            move || {
                for _ in 0..200_000 {
                    record.fetch_add(1, Ordering::SeqCst);
                    versions.drop_tenant(tenant);
                }
                done.store(true, Ordering::SeqCst);
            }
        });
        // What a cache would hold: a value with the version under which it was kept.
        let mut kept = Vec::new();
        while !done.load(Ordering::SeqCst) {
            let before = versions.of_any();
            let value = record.load(Ordering::SeqCst);
            let version = versions.of(tenant);
            if versions.undisturbed_since(before) {
                kept.push((value, version));
            }
        }
        writer.join().unwrap();
        for (value, version) in kept {
            // After n drops the value is n, or n + 1 whose drop is still to come.
            let drops = version.0;
            assert!(
                value >= drops,
                "a value of {value} kept after {drops} drops"
            );
        }
    }

    /// The tenant whose counter has this number; `turn` tells those that share it apart.
    fn tenant(stripe: usize, turn: usize) -> TenantId {
        let id = (stripe + turn * STRIPES) as u128;
        TenantId::from_uuid(uuid::Uuid::from_u128(id))
    }

    /// The stamps of two tenants of each counter, next to each other.
    fn all(versions: &CacheVersions) -> Vec<[CacheVersion; 2]> {
        let both = |stripe| [0, 1].map(|turn| versions.of(tenant(stripe, turn)));
        (0..STRIPES).map(both).collect()
    }

    #[test]
    fn a_drop_changes_the_stamps_of_its_counter_and_no_others() {
        let versions = CacheVersions::new();
        for dropped in [0, 1, 77, STRIPES - 2, STRIPES - 1] {
            let (before, of_any) = (all(&versions), versions.of_any());
            versions.drop_tenant(tenant(dropped, 0));
            for (stripe, (before, after)) in before.iter().zip(all(&versions)).enumerate() {
                let [own, sharer] = [0, 1].map(|turn| before[turn] != after[turn]);
                let expected = stripe == dropped;
                assert_eq!(
                    (own, sharer),
                    (expected, expected),
                    "{stripe} when {dropped} is dropped"
                );
            }
            assert_ne!(versions.of_any(), of_any);
        }
    }

    #[test]
    fn dropping_everything_changes_every_stamp() {
        let versions = CacheVersions::new();
        let (before, of_any) = (all(&versions), versions.of_any());
        versions.drop_all();
        let changed = |(before, after): (&[CacheVersion; 2], [CacheVersion; 2])| {
            before[0] != after[0] && before[1] != after[1]
        };
        assert!(before.iter().zip(all(&versions)).all(changed));
        assert_ne!(versions.of_any(), of_any);
    }
}
