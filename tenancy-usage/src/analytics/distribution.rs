//! How usage is spread over tenants.

use rust_decimal::Decimal;
use tenancy_core::{TenantId, quota::Window};

use super::{
    Analytics,
    reading::{different, float, sum},
};
use crate::{
    RollupQuery, UsageError,
    forecast::numbers::{count, quantile},
};

/// What each of many tenants used of a meter.
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_usage::analytics::Distribution;
///
/// let used = [0, 10, 10, 20, 160].map(|quantity| (TenantId::new(), quantity.into()));
/// let spread = Distribution::of(used);
/// assert_eq!(spread.total(), 200.into());
/// assert_eq!(spread.quantile(0.5), Some(10.0));
/// assert_eq!(spread.share_of_top(1), Some(0.8));
/// assert_eq!(Distribution::of([]).gini(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Distribution {
    /// The largest first; equal ones by id.
    used: Vec<(TenantId, Decimal)>,
}

impl Distribution {
    /// What these tenants used.
    pub fn of(used: impl IntoIterator<Item = (TenantId, Decimal)>) -> Self {
        let mut used: Vec<_> = used.into_iter().collect();
        used.sort_by(|(id, one), (other_id, other)| other.cmp(one).then(id.cmp(other_id)));
        Self { used }
    }

    /// The tenants and what they used, the largest first.
    pub fn tenants(&self) -> impl Iterator<Item = (TenantId, Decimal)> {
        self.used.iter().copied()
    }

    /// How many used something.
    #[must_use]
    pub fn active(&self) -> usize {
        let used = self.used.iter();
        used.filter(|(_, quantity)| *quantity > Decimal::ZERO)
            .count()
    }

    /// What all used together.
    #[must_use]
    pub fn total(&self) -> Decimal {
        let used = self.used.iter();
        used.fold(Decimal::ZERO, |sum, (_, quantity)| {
            sum.saturating_add(*quantity)
        })
    }

    /// What a part of the tenants, from 0 to 1, does not use more than; between two tenants by linear interpolation. Tenants without usage
    /// count. `None` without a tenant.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let used = self.used.iter().map(|(_, quantity)| float(*quantity));
        (!self.used.is_empty() && !part.is_nan()).then(|| quantile(used, part))
    }

    /// Which part of the total the largest tenants have, from 0 to 1. `None` if nothing was used.
    #[must_use]
    pub fn share_of_top(&self, tenants: usize) -> Option<f64> {
        let total = float(self.total());
        let top = self.used.iter().take(tenants);
        let top: f64 = top.map(|(_, quantity)| float(*quantity)).sum();
        (total > 0.0).then(|| (top / total).min(1.0))
    }

    /// How unequally usage is spread (the Gini coefficient): 0 where all use the same, and near 1 where one of many uses all. `None` if
    /// nothing was used.
    #[must_use]
    pub fn gini(&self) -> Option<f64> {
        let number = count(self.used.len());
        let mut above = 0.0;
        let mut sum = 0.0;
        // The smallest first, each with its rank from 1.
        for (rank, (_, quantity)) in (1..).zip(self.used.iter().rev()) {
            above += count(rank) * float(*quantity);
            sum += float(*quantity);
        }
        (sum > 0.0).then(|| ((2.0 * above / sum - number - 1.0) / number).clamp(0.0, 1.0))
    }
}

impl Analytics<'_> {
    /// How the usage of a meter in a range is spread over tenants. A tenant that is given twice counts once.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) for a meter that is not declared, a range that
    /// does not begin and end with a full minute, and more than [`MAX_TENANTS`](Self::MAX_TENANTS) tenants.
    pub async fn distribution(
        self,
        tenants: &[TenantId],
        meter: &str,
        range: Window,
    ) -> Result<Distribution, UsageError> {
        let tenants = different(tenants)?;
        let used = self.used(&tenants, meter, range).await?;
        Ok(Distribution::of(tenants.into_iter().zip(used)))
    }

    /// What each tenant used, in their order.
    pub(super) async fn used(
        &self,
        tenants: &[TenantId],
        meter: &str,
        range: Window,
    ) -> Result<Vec<Decimal>, UsageError> {
        let of = |tenant: &TenantId| RollupQuery::total(*tenant, meter, range);
        let queries: Vec<_> = tenants.iter().map(of).collect();
        self.each(&queries, |rollups| sum(&rollups)).await
    }
}
