//! `OwnedTake`: takes that outlive the call in which they were asked for.

use super::{Algorithm, Holder, OnOutage, Take};

/// A [`Take`] with a name of its own, for stores that answer after I/O. It has everything that the take has.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{TenantId, quota::{Algorithm, Holder, OwnedTake, Rate, Take}};
///
/// let minute = Algorithm::Rate(Rate::new(60, Duration::from_secs(60), 10)?);
/// let take = Take::new(Holder::tenant(TenantId::new()), "requests-per-minute", minute, 1).estimated();
/// let later = OwnedTake::of(&take);
/// assert_eq!(later.take(), take);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OwnedTake {
    /// See [`Take::holder`].
    pub holder: Holder,
    /// See [`Take::limit`].
    pub limit: Box<str>,
    /// See [`Take::algorithm`].
    pub algorithm: Algorithm,
    /// See [`Take::amount`].
    pub amount: u64,
    /// See [`Take::warn_at`].
    pub warn_at: Box<[u8]>,
    on_outage: OnOutage,
    is_estimate: bool,
}

impl OwnedTake {
    /// A copy of a take.
    #[must_use]
    pub fn of(take: &Take<'_>) -> Self {
        let Take {
            holder,
            limit,
            algorithm,
            amount,
            warn_at,
            on_outage,
            is_estimate,
        } = *take;
        Self {
            holder,
            limit: limit.into(),
            algorithm,
            amount,
            warn_at: warn_at.into(),
            on_outage,
            is_estimate,
        }
    }

    /// Copies of takes, in their order.
    #[must_use]
    pub fn all_of(takes: &[Take<'_>]) -> Vec<Self> {
        takes.iter().map(Self::of).collect()
    }

    /// The take.
    #[must_use]
    pub fn take(&self) -> Take<'_> {
        let mut take = Take::new(self.holder, &self.limit, self.algorithm, self.amount);
        take.warn_at = &self.warn_at;
        take.on_outage = self.on_outage;
        take.is_estimate = self.is_estimate;
        take
    }
}
