//! Thresholds: that a tenant has used 50, 80, 100 or 120 percent of what it should, told once in a period.
//!
//! [`Limit::warn_at`](tenancy_core::quota::Limit::warn_at) tells the same of limits, while they are counted. These thresholds are for
//! usage and money, which are known afterwards, and they tell each one that was crossed, not the highest alone.

use std::{cmp::Ordering, fmt};

use rust_decimal::Decimal;
use tenancy_core::{ConfigError, TenantId, Timestamp};

use crate::exact;

/// Parts of an amount, in percent.
///
/// ```
/// use tenancy_usage::threshold::Thresholds;
///
/// let thresholds = Thresholds::default();
/// let crossed: Vec<_> = thresholds.crossed(45.into(), 85.into(), 100.into()).collect();
/// assert_eq!(crossed, [50, 80]);
/// assert_eq!(thresholds.crossed(85.into(), 90.into(), 100.into()).count(), 0);
/// assert!(Thresholds::new([0, 50]).is_err());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Thresholds(Vec<u8>);

impl Thresholds {
    /// These percents, in any order.
    ///
    /// # Errors
    /// A [`ConfigError`] for 0 percent, which is always reached, and for none.
    pub fn new(percents: impl IntoIterator<Item = u8>) -> Result<Self, ConfigError> {
        let mut percents: Vec<_> = percents.into_iter().collect();
        percents.sort_unstable();
        percents.dedup();
        match percents.first() {
            None => Err(ConfigError::new(
                "there is no threshold; give one or more, such as 80",
            )),
            Some(0) => Err(ConfigError::new(
                "a threshold of 0 percent is always reached; give 1 to 255",
            )),
            Some(_) => Ok(Self(percents)),
        }
    }

    /// Those that a step from an amount to another crosses, the lowest first: reached by what there is after, and not by what there
    /// was before. Usage that is exactly at a threshold has reached it; usage of 0 reaches none. Where the limit is 0, any usage
    /// reaches all.
    ///
    /// A step back crosses none. One that goes forward again crosses them again: the [key](ThresholdKey) tells that it was said.
    pub fn crossed(
        &self,
        before: Decimal,
        after: Decimal,
        limit: Decimal,
    ) -> impl Iterator<Item = u8> {
        let percents = self.0.iter().copied();
        percents.filter(move |percent| {
            reaches(after, limit, *percent) && !reaches(before, limit, *percent)
        })
    }
}

/// 50, 80, 100 and 120 percent.
impl Default for Thresholds {
    fn default() -> Self {
        Self(vec![50, 80, 100, 120])
    }
}

fn reaches(used: Decimal, limit: Decimal, percent: u8) -> bool {
    let order = exact::compare((used, 100), (limit, percent.into()));
    used > Decimal::ZERO && order != Ordering::Less
}

/// Under what a [store](crate::billing::ThresholdStore) remembers that a threshold was told: it tells it if, and only if, this is not
/// there yet, and writes it in the same transaction.
///
/// As text, which is the same for good, it is `<tenant>/<meter>/<start of the period>/<percent>`.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::threshold::ThresholdKey;
///
/// let tenant: TenantId = "0190a6e4-2b3c-7d4e-8f50-617283940516".parse()?;
/// let key = ThresholdKey::new(tenant, "tokens", Timestamp::from_unix_seconds(1_798_761_600), 80);
/// assert_eq!(
///     key.to_string(),
///     "0190a6e4-2b3c-7d4e-8f50-617283940516/tokens/2027-01-01T00:00:00.000000Z/80"
/// );
/// # Ok::<(), tenancy_core::ParseIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct ThresholdKey {
    /// Whose usage.
    pub tenant: TenantId,
    /// Of which meter.
    pub meter: Box<str>,
    /// The start of the billing period.
    pub period: Timestamp,
    /// The threshold.
    pub percent: u8,
}

impl ThresholdKey {
    /// Of a tenant, a meter, the start of a billing period and a threshold.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        meter: impl Into<Box<str>>,
        period: Timestamp,
        percent: u8,
    ) -> Self {
        Self {
            tenant,
            meter: meter.into(),
            period,
            percent,
        }
    }
}

impl fmt::Display for ThresholdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tenant,
            meter,
            period,
            percent,
        } = self;
        write!(f, "{tenant}/{meter}/{period}/{percent}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the steps, with a key for each that was told, each threshold that was reached was told, once.
        #[test]
        fn each_threshold_is_told_once(steps in proptest::collection::vec(-30_i64..60, 0..40), limit in 0_i64..500) {
            let tenant = TenantId::new();
            let (mut used, mut highest) = (0, 0);
            let (mut told, mut times) = (BTreeSet::new(), 0);
            for step in steps {
                let after = (used + step).max(0);
                for percent in Thresholds::default().crossed(used.into(), after.into(), limit.into()) {
                    let key = ThresholdKey::new(tenant, "tokens", Timestamp::EPOCH, percent);
                    times += usize::from(told.insert(key));
                }
                used = after;
                highest = highest.max(used);
            }
            let reached: BTreeSet<_> = [50, 80, 100, 120]
                .into_iter()
                .filter(|percent| highest > 0 && highest * 100 >= limit * percent)
                .collect();
            prop_assert_eq!(times, reached.len());
            let told: BTreeSet<_> = told.iter().map(|key| i64::from(key.percent)).collect();
            prop_assert_eq!(told, reached);
        }
    }

    #[test]
    fn a_threshold_is_reached_exactly_at_its_percent() {
        let crossed = |before: &str, after: &str, limit: &str| {
            let [before, after, limit] = [before, after, limit].map(|it| it.parse().unwrap());
            Thresholds::default()
                .crossed(before, after, limit)
                .collect::<Vec<_>>()
        };
        assert_eq!(crossed("0", "49.999999999", "100"), [] as [u8; 0]);
        assert_eq!(crossed("0", "50", "100"), [50]);
        assert_eq!(crossed("50", "79.999999999", "100"), [] as [u8; 0]);
        assert_eq!(crossed("0", "120", "100"), [50, 80, 100, 120]);
        assert_eq!(crossed("0", "0", "0"), [] as [u8; 0]);
        assert_eq!(crossed("0", "0.000000001", "0"), [50, 80, 100, 120]);
        assert_eq!(crossed("120", "10", "100"), [] as [u8; 0]);
        // As large as sums become.
        let most = "70000000000000000000";
        assert_eq!(crossed("0", "69999999999.999999999", most), [] as [u8; 0]);
        assert_eq!(crossed("0", "56000000000000000000", most), [50, 80]);
        assert_eq!(
            crossed(
                "55999999999999999999.999999999",
                "56000000000000000000",
                most
            ),
            [80]
        );
    }
}
