//! Ceilings: an amount, what may be used beyond it, and the thresholds below it.

use super::{MAX_AMOUNT, Overage};
use crate::ConfigError;

/// How much may be used, in a period or at all.
///
/// ```
/// use tenancy_core::quota::{Ceiling, Overage};
///
/// let month = Ceiling::new(1_000, Overage::AllowedUpTo(200))?;
/// assert_eq!((month.amount(), month.most()), (1_000, Some(1_200)));
/// assert_eq!(Ceiling::new(1_000, Overage::Allowed)?.most(), None);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    amount: u64,
    overage: Overage,
}

impl Ceiling {
    /// This amount, and what may be used beyond it.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is more than [`MAX_AMOUNT`], overage included.
    pub fn new(amount: u64, overage: Overage) -> Result<Self, ConfigError> {
        let beyond = match overage {
            Overage::AllowedUpTo(beyond) => beyond,
            Overage::Denied | Overage::Allowed => 0,
        };
        if amount
            .checked_add(beyond)
            .is_none_or(|most| most > MAX_AMOUNT)
        {
            return Err(ConfigError::new(format!(
                "a limit of {amount} with an overage of {beyond} is too large to be counted; give at \
                 most {MAX_AMOUNT}, or `Limit::unlimited`"
            )));
        }
        Ok(Self { amount, overage })
    }

    /// What is included.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    pub(super) const fn overage(&self) -> Overage {
        self.overage
    }

    /// What may be used at most, overage included; `None` for no end.
    #[must_use]
    pub const fn most(&self) -> Option<u64> {
        match self.overage {
            Overage::Denied => Some(self.amount),
            Overage::AllowedUpTo(beyond) => Some(self.amount.saturating_add(beyond)),
            Overage::Allowed => None,
        }
    }

    /// Whether more can be used once so much is.
    pub(super) fn admits(&self, used: u64, more: u64) -> bool {
        let most = self.most().unwrap_or(MAX_AMOUNT);
        used.checked_add(more).is_some_and(|sum| sum <= most)
    }

    /// Whether it can never be used at once.
    pub(super) fn is_below(&self, amount: u64) -> bool {
        amount > self.most().unwrap_or(MAX_AMOUNT)
    }
}

/// The highest of the thresholds that so much use reaches, in percent; 0 for none.
pub(super) fn reached(thresholds: &[u8], limit: u64, used: u64) -> u8 {
    let reaches = |percent: &u8| {
        u128::from(used) * 100 >= u128::from(limit) * u128::from(*percent) && used > 0
    };
    thresholds
        .iter()
        .copied()
        .filter(reaches)
        .max()
        .unwrap_or(0)
}
