//! Takes that outlive the call in which they were asked for.

use super::{Algorithm, Holder, OnOutage, Take};

/// A [`Take`] with a name of its own.
#[derive(Debug, Clone)]
pub(super) struct OwnedTake {
    holder: Holder,
    limit: Box<str>,
    algorithm: Algorithm,
    amount: u64,
    warn_at: Box<[u8]>,
    on_outage: OnOutage,
    is_estimate: bool,
}

impl OwnedTake {
    pub(super) fn of(take: &Take<'_>) -> Self {
        Self {
            holder: take.holder,
            limit: take.limit.into(),
            algorithm: take.algorithm,
            amount: take.amount,
            warn_at: take.warn_at.into(),
            on_outage: take.on_outage,
            is_estimate: take.is_estimate,
        }
    }

    pub(super) fn all_of(takes: &[Take<'_>]) -> Box<[Self]> {
        takes.iter().map(Self::of).collect()
    }

    pub(super) fn take(&self) -> Take<'_> {
        let mut take = Take::new(self.holder, &self.limit, self.algorithm, self.amount);
        take.warn_at = &self.warn_at;
        take.on_outage = self.on_outage;
        take.is_estimate = self.is_estimate;
        take
    }
}
