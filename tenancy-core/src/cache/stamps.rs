//! Stamps: how everything cached about one tenant grows old with one addition.
//!
//! An entry remembers the stamp that was current before its load began. Dropping a tenant's
//! entries is adding one to the counter its id leads to: entries with an older stamp, and loads
//! that began before, no longer count. A counter is shared by several tenants; the neighbours'
//! entries are then loaded once more than needed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::TenantId;

/// Counters among which tenants are spread.
const STRIPES: usize = 4096;

/// The state of a counter at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

#[derive(Debug)]
pub(crate) struct Stamps {
    stripes: Box<[AtomicU64]>,
    /// Added to whenever any tenant changes: for what is not known to belong to one tenant.
    any: AtomicU64,
    /// Added to when everything is dropped.
    all: AtomicU64,
}

impl Stamps {
    pub(crate) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            any: AtomicU64::new(0),
            all: AtomicU64::new(0),
        }
    }

    fn stripe(&self, tenant: TenantId) -> Option<&AtomicU64> {
        // The low bits of a UUID are random, or at least differ from tenant to tenant.
        let number = tenant.as_uuid().as_u128() % STRIPES as u128;
        self.stripes.get(usize::try_from(number).unwrap_or(0))
    }

    /// The stamp of what belongs to one tenant.
    pub(crate) fn of(&self, tenant: TenantId) -> Stamp {
        let own = self
            .stripe(tenant)
            .map_or(0, |stripe| stripe.load(Ordering::Acquire));
        // Both only grow, so that the sum changes whenever either does.
        Stamp(own.wrapping_add(self.all.load(Ordering::Acquire)))
    }

    /// The stamp of what may belong to any tenant, or to none.
    pub(crate) fn of_any(&self) -> Stamp {
        Stamp(
            self.any
                .load(Ordering::Acquire)
                .wrapping_add(self.all.load(Ordering::Acquire)),
        )
    }

    /// Drops everything about one tenant.
    pub(crate) fn drop_tenant(&self, tenant: TenantId) {
        if let Some(stripe) = self.stripe(tenant) {
            stripe.fetch_add(1, Ordering::AcqRel);
        }
        self.any.fetch_add(1, Ordering::AcqRel);
    }

    /// Drops everything.
    pub(crate) fn drop_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_changes_the_stamps_it_should() {
        let stamps = Stamps::new();
        let (one, other) = (
            TenantId::new(),
            loop {
                let other = TenantId::new();
                let apart = stamps.stripe(other).map(std::ptr::from_ref)
                    != stamps.stripe(TenantId::new()).map(std::ptr::from_ref);
                if apart {
                    break other;
                }
            },
        );
        let before = (stamps.of(one), stamps.of_any());
        stamps.drop_tenant(one);
        assert_ne!(stamps.of(one), before.0);
        assert_ne!(stamps.of_any(), before.1);

        let before = stamps.of(other);
        stamps.drop_all();
        assert_ne!(stamps.of(other), before);
    }
}
