//! Tiers: what a unit costs, by how many there are.

use rust_decimal::Decimal;

use crate::digest::Canonical;

/// A tier of a graduated or a volume price: from above the tier before it up to, and including, its own edge.
///
/// ```
/// use tenancy_usage::{Decimal, price::Tier};
///
/// // The first 1,000 for nothing; the 1,001st and each after it for 0.002.
/// let tiers = [Tier::up_to(1_000, 0), Tier::rest(Decimal::new(2, 3))];
/// # let _ = tiers;
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Tier {
    pub(super) above: Option<Decimal>,
    pub(crate) up_to: Option<Decimal>,
    pub(crate) unit_price: Decimal,
    pub(crate) flat: Decimal,
}

impl Tier {
    /// The tier that ends with this quantity, which is in it.
    pub fn up_to(quantity: impl Into<Decimal>, unit_price: impl Into<Decimal>) -> Self {
        Self {
            up_to: Some(quantity.into()),
            ..Self::rest(unit_price)
        }
    }

    /// The last tier, which has no end.
    pub fn rest(unit_price: impl Into<Decimal>) -> Self {
        Self {
            above: None,
            up_to: None,
            unit_price: unit_price.into(),
            flat: Decimal::ZERO,
        }
    }

    /// Says where it begins, which is above this quantity. A book whose tiers then leave a gap, or overlap, is not built.
    /// Default: where the tier before it ends.
    pub fn above(mut self, quantity: impl Into<Decimal>) -> Self {
        self.above = Some(quantity.into());
        self
    }

    /// What the tier costs once, as soon as something is in it. Default: 0.
    pub fn flat(mut self, amount: impl Into<Decimal>) -> Self {
        self.flat = amount.into();
        self
    }

    pub(super) fn digest(&self, canonical: Canonical) -> Canonical {
        canonical
            .maybe(self.up_to, Canonical::decimal)
            .decimal(self.unit_price)
            .decimal(self.flat)
    }
}
