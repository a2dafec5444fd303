//! Prices: what a plan costs.

use crate::{ConfigError, quota::MAX_AMOUNT};

/// What a plan costs. In a plan: [`PlanBook::price`](crate::PlanBook::price).
///
/// The library charges nobody. A page of prices and a job that writes invoices ask the
/// [plan](crate::Plan::prices).
///
/// ```
/// use tenancy_core::{Price, PricePeriod};
///
/// // 29 euros a month, or 290 a year.
/// let prices = [Price::per_month(2_900, "EUR"), Price::per_year(29_000, "EUR")];
/// let Price::Fixed { minor_units, per, .. } = &prices[1] else { unreachable!() };
/// assert_eq!((*minor_units, *per), (29_000, PricePeriod::Year));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Price {
    /// So much in each period, whatever is used.
    Fixed {
        /// The amount in the smallest unit of the currency: 2,900 for 29 euros, and 2,900 for 2,900 yen. 0 costs
        /// nothing.
        minor_units: u64,
        /// The code of the currency by ISO 4217: three capital letters.
        currency: Box<str>,
        /// How often it is due.
        per: PricePeriod,
    },
    /// What seller and buyer agree on.
    ByAgreement,
}

/// How often a [price](Price) is due.
///
/// ```
/// use tenancy_core::{Price, PricePeriod};
///
/// let yearly = Price::per_year(29_000, "EUR");
/// assert!(matches!(yearly, Price::Fixed { per: PricePeriod::Year, .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PricePeriod {
    /// Each month.
    Month,
    /// Each year.
    Year,
}

impl PricePeriod {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

impl Price {
    /// So many of the currency's smallest unit a month. The currency is a code by ISO 4217, such as `EUR`.
    #[must_use]
    pub fn per_month(minor_units: u64, currency: impl Into<Box<str>>) -> Self {
        Self::fixed(minor_units, currency, PricePeriod::Month)
    }

    /// So many of the currency's smallest unit a year.
    #[must_use]
    pub fn per_year(minor_units: u64, currency: impl Into<Box<str>>) -> Self {
        Self::fixed(minor_units, currency, PricePeriod::Year)
    }

    pub(super) fn fixed(minor_units: u64, currency: impl Into<Box<str>>, per: PricePeriod) -> Self {
        let currency = currency.into();
        Self::Fixed {
            minor_units,
            currency,
            per,
        }
    }

    /// Makes sure that it can be meant, beside others of its plan.
    pub(super) fn check(&self, beside: &[Self]) -> Result<(), ConfigError> {
        if self == &Self::ByAgreement || beside.contains(&Self::ByAgreement) {
            return match beside {
                [] => Ok(()),
                _ => Err(ConfigError::new(
                    "a price by agreement stands beside another price; keep one of them",
                )),
            };
        }
        let Self::Fixed {
            minor_units,
            currency,
            per,
        } = self
        else {
            return Ok(());
        };
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(ConfigError::new(format!(
                "`{currency}` is no code of a currency; give three capital letters by ISO 4217, such as EUR"
            )));
        }
        if *minor_units > MAX_AMOUNT {
            return Err(ConfigError::new(format!(
                "a price of {minor_units} is too large; give at most {MAX_AMOUNT}"
            )));
        }
        let is_same = |other: &Self| match other {
            Self::Fixed {
                currency: theirs,
                per: of,
                ..
            } => theirs == currency && of == per,
            Self::ByAgreement => false,
        };
        if beside.iter().any(is_same) {
            return Err(ConfigError::new(format!(
                "it has two prices a {} in {currency}; keep one of them",
                per.as_str()
            )));
        }
        Ok(())
    }
}
