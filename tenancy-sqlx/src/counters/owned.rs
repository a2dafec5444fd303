//! Takes that outlive the call in which they were asked for.

use tenancy_core::quota::{Algorithm, Holder, Take};

/// A [`Take`] with a name of its own.
#[derive(Debug, Clone)]
pub(super) struct OwnedTake {
    pub(super) holder: Holder,
    pub(super) limit: Box<str>,
    pub(super) algorithm: Algorithm,
    pub(super) amount: u64,
    pub(super) warn_at: Box<[u8]>,
}

impl OwnedTake {
    pub(super) fn of(take: &Take<'_>) -> Self {
        Self {
            holder: take.holder,
            limit: take.limit.into(),
            algorithm: take.algorithm,
            amount: take.amount,
            warn_at: take.warn_at.into(),
        }
    }

    pub(super) fn all_of(takes: &[Take<'_>]) -> Vec<Self> {
        takes.iter().map(Self::of).collect()
    }

    pub(super) fn take(&self) -> Take<'_> {
        Take::new(self.holder, &self.limit, self.algorithm, self.amount).warning_at(&self.warn_at)
    }
}
