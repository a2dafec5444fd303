//! Costs that tenants share, divided to the smallest unit of the currency.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use tenancy_core::TenantId;

use crate::{
    exact,
    invoice::{RatingError, RatingErrorKind},
    price::Currency,
};

/// A cost that all tenants have together, such as a database, to be divided by a driver: the usage by which it grows.
///
/// The parts add up to the cost, to the smallest unit: each tenant's part is rounded down, and what is then missing goes, one
/// unit each, to those whose parts lost most (the method of the largest remainder); of two that lost the same, to the one with
/// the smaller id.
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_usage::{cost::SharedCost, price::Currency};
///
/// let database = SharedCost::new("database", Currency::new("EUR")?, 100);
/// let tenants = [TenantId::new(), TenantId::new(), TenantId::new()];
/// let parts = database.divide(tenants.map(|tenant| (tenant, 7.into())))?;
/// assert_eq!(tenants.map(|tenant| parts.of(tenant).to_string()), ["33.34", "33.33", "33.33"]);
///
/// // Nobody used it, and nobody bears it.
/// let parts = database.divide([(tenants[0], 0.into())])?;
/// assert_eq!(parts.unallocated(), 100.into());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SharedCost {
    name: Box<str>,
    currency: Currency,
    amount: Decimal,
}

/// What each tenant bears of a shared cost: see [`SharedCost::divide`].
///
/// ```
/// use tenancy_usage::cost::SharedParts;
///
/// fn report(parts: &SharedParts) {
///     for (tenant, amount) in parts.iter() {
///         println!("{tenant} bears {amount}");
///     }
/// }
/// # let _ = report;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedParts {
    parts: BTreeMap<TenantId, Decimal>,
    unallocated: Decimal,
}

impl SharedCost {
    /// So much, for something of this name.
    pub fn new(name: impl Into<Box<str>>, currency: Currency, amount: impl Into<Decimal>) -> Self {
        Self {
            name: name.into(),
            currency,
            amount: amount.into(),
        }
    }

    /// Divides it by how much of the driver each tenant used. A tenant that is given several times used the sum.
    ///
    /// # Errors
    /// A [`RatingError`] if the amount or a quantity is below 0, or more than can be computed without rounding.
    pub fn divide(
        &self,
        driver: impl IntoIterator<Item = (TenantId, Decimal)>,
    ) -> Result<SharedParts, RatingError> {
        let name = &self.name;
        let error = |kind, text: String| {
            RatingError::new(kind, format!("the shared cost `{name}`: {text}"))
        };
        let overflow = || {
            let text = "it has more digits than can be computed without rounding; give the driver in a larger unit";
            error(RatingErrorKind::Overflow, text.to_owned())
        };
        let mut used = BTreeMap::<TenantId, Decimal>::new();
        for (tenant, quantity) in driver {
            if quantity.is_sign_negative() && !quantity.is_zero() {
                let text = format!("tenant {tenant} used {quantity} of its driver; give 0 or more");
                return Err(error(RatingErrorKind::Usage, text));
            }
            let sum = used.entry(tenant).or_default();
            *sum = exact::sum(*sum, quantity).ok_or_else(overflow)?;
        }
        let amount = self.currency.round(self.amount);
        if amount.is_sign_negative() && !amount.is_zero() {
            let text = format!("it is {amount}; give 0 or more");
            return Err(error(RatingErrorKind::Usage, text));
        }
        let total = exact::total(used.values().copied()).ok_or_else(overflow)?;
        if total.is_zero() {
            return Ok(SharedParts {
                parts: used
                    .into_keys()
                    .map(|tenant| (tenant, self.currency.round(Decimal::ZERO)))
                    .collect(),
                unallocated: amount,
            });
        }
        let digits = self.currency.minor_digits();
        let parts = divided(amount.mantissa(), &used, total).ok_or_else(overflow)?;
        let parts = parts.into_iter().map(|(tenant, units)| {
            Some((
                tenant,
                Decimal::try_from_i128_with_scale(units, digits).ok()?,
            ))
        });
        Ok(SharedParts {
            parts: parts.collect::<Option<_>>().ok_or_else(overflow)?,
            unallocated: self.currency.round(Decimal::ZERO),
        })
    }
}

/// So many whole units, by shares of a total that is not 0.
fn divided(
    units: i128,
    used: &BTreeMap<TenantId, Decimal>,
    total: Decimal,
) -> Option<Vec<(TenantId, i128)>> {
    let scale = used.values().map(Decimal::scale).max()?.max(total.scale());
    let whole = |number: Decimal| {
        let missing = scale.checked_sub(number.scale())?;
        number.mantissa().checked_mul(10_i128.checked_pow(missing)?)
    };
    let total = whole(total)?;
    let mut parts = Vec::with_capacity(used.len());
    let mut missing = units;
    for (tenant, quantity) in used {
        let product = units.checked_mul(whole(*quantity)?)?;
        let (part, lost) = (
            product.checked_div_euclid(total)?,
            product.checked_rem_euclid(total)?,
        );
        missing -= part;
        parts.push((*tenant, part, lost));
    }
    parts.sort_by_key(|(tenant, _, lost)| (std::cmp::Reverse(*lost), *tenant));
    let parts = parts.into_iter().map(|(tenant, part, _)| {
        let more = i128::from(missing > 0);
        missing -= more;
        (tenant, part + more)
    });
    Some(parts.collect())
}

impl SharedParts {
    /// What a tenant bears; 0 if it used nothing.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> Decimal {
        self.parts.get(&tenant).copied().unwrap_or_default()
    }

    /// What each tenant bears, by its id.
    pub fn iter(&self) -> impl Iterator<Item = (TenantId, Decimal)> {
        self.parts.iter().map(|(tenant, amount)| (*tenant, *amount))
    }

    /// What nobody bears, because nobody used the driver.
    #[must_use]
    pub const fn unallocated(&self) -> Decimal {
        self.unallocated
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_add_up_and_are_a_unit_from_exact_at_most(
            cents in 0_i64..10_000_000,
            used in proptest::collection::vec(0_i64..1_000_000, 1..40),
        ) {
            let cost = SharedCost::new("x", Currency::new("EUR").unwrap(), Decimal::new(cents, 2));
            let tenants: Vec<_> = used.iter().map(|_| TenantId::new()).collect();
            let driver = tenants.iter().copied().zip(used.iter().map(|it| Decimal::new(*it, 3)));
            let parts = cost.divide(driver).unwrap();
            let sum: Decimal = parts.iter().map(|(_, amount)| amount).sum();
            prop_assert_eq!(sum + parts.unallocated(), Decimal::new(cents, 2));
            let total: i64 = used.iter().sum();
            for (tenant, used) in tenants.iter().zip(&used) {
                let part = i128::from(i64::try_from(parts.of(*tenant) * Decimal::ONE_HUNDRED).unwrap());
                let error = part * i128::from(total) - i128::from(cents) * i128::from(*used);
                prop_assert!(total == 0 || error.abs() < i128::from(total), "{} of {}", used, total);
            }
        }
    }

    #[test]
    fn what_can_not_be_divided_is_refused() {
        let euro = Currency::new("EUR").unwrap();
        let tenant = TenantId::new();
        let one = |amount: i64, quantity: i64| {
            SharedCost::new("x", euro, amount).divide([(tenant, quantity.into())])
        };
        assert!(one(-1, 1).is_err());
        assert!(one(1, -1).is_err());
        let huge = Decimal::new(i64::MAX, 9);
        let cost = SharedCost::new("x", euro, i64::MAX);
        let many = cost.divide([(tenant, huge), (TenantId::new(), Decimal::from(i64::MAX))]);
        assert_eq!(many.unwrap_err().kind(), RatingErrorKind::Overflow);
    }
}
