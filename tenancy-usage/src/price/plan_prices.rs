//! The prices of a plan.

use rust_decimal::Decimal;
use tenancy_core::{ConfigError, Price, document::Position};

use super::{Currency, MeterPrice};
use crate::digest::Canonical;

/// What becomes of amounts and quantities per period when a tenant has a plan for a part of the period.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::price::{PriceVersion, Proration};
///
/// let version = PriceVersion::new("2027-01", Timestamp::EPOCH).proration(Proration::LastPlan);
/// # let _ = version;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Proration {
    /// They are scaled by the part of the period, in time: flat amounts, minimums, what is included, and the edges of
    /// tiers. Each plan prices what was used while the tenant had it. Amounts are rounded half to even to the smallest
    /// unit, quantities to nine digits after the point. The default.
    #[default]
    ByTime,
    /// Each plan of the period counts as if the tenant had had it for all of the period, for what was used meanwhile.
    Full,
    /// The plan that the tenant has at the end of the period prices all of it.
    LastPlan,
}

impl Proration {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ByTime => "by time",
            Self::Full => "full",
            Self::LastPlan => "last plan",
        }
    }
}

/// What a plan costs, and what usage costs in it.
///
/// ```
/// use tenancy_usage::{Decimal, price::{MeterPrice, PlanPrices}};
///
/// let pro = PlanPrices::new("pro")
///     .flat("base fee", 29)
///     .price(MeterPrice::per_unit("tokens", Decimal::new(1, 5)))
///     .minimum(40); // an invoice of 32.10 becomes one of 40.00
/// # let _ = pro;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PlanPrices {
    pub(crate) name: Box<str>,
    pub(super) currency_code: Option<Box<str>>,
    /// Set when the book is built.
    pub(crate) currency: Option<Currency>,
    pub(crate) flats: Vec<Flat>,
    pub(crate) prices: Vec<MeterPrice>,
    pub(crate) minimum: Decimal,
    pub(crate) upgrades_automatically: bool,
    pub(super) at: Position,
}

/// An amount in each period.
#[derive(Debug, Clone)]
pub(crate) struct Flat {
    pub(crate) name: Box<str>,
    pub(crate) amount: Decimal,
    pub(super) at: Position,
}

impl PlanPrices {
    /// A plan of this name, which is the one of the [plan book](tenancy_core::PlanBook), without a price yet.
    pub fn new(plan: impl Into<Box<str>>) -> Self {
        Self {
            name: plan.into(),
            currency_code: None,
            currency: None,
            flats: Vec::new(),
            prices: Vec::new(),
            minimum: Decimal::ZERO,
            upgrades_automatically: false,
            at: Position::NONE,
        }
    }

    /// Adds what each period costs, whatever is used. May be called several times, with different names.
    pub fn flat(self, name: impl Into<Box<str>>, amount: impl Into<Decimal>) -> Self {
        self.flat_at(name.into(), amount.into(), Position::NONE)
    }

    /// Adds what the [plan book](tenancy_core::PlanBook) says that the plan costs, as the flat amount `plan`, and takes its currency: so
    /// that a page of prices and the invoices say the same. It is for billing periods as long as the price says.
    ///
    /// ```
    /// use tenancy_core::Price;
    /// use tenancy_usage::price::PlanPrices;
    ///
    /// let pro = PlanPrices::new("pro").plan_price(&Price::per_month(2_900, "EUR"))?; // 29.00 in each period
    /// # let _ = pro;
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A [`ConfigError`] for a price by agreement, which has no amount, and for a code that is none of a currency.
    pub fn plan_price(self, price: &Price) -> Result<Self, ConfigError> {
        let Price::Fixed {
            minor_units,
            currency,
            ..
        } = price
        else {
            return Err(ConfigError::new(format!(
                "the price of plan `{}` is by agreement; say with `flat` what was agreed",
                self.name
            )));
        };
        let digits = Currency::new(currency)?.minor_digits();
        let amount = Decimal::from_i128_with_scale(i128::from(*minor_units), digits);
        Ok(self.currency(currency.clone()).flat("plan", amount))
    }

    pub(super) fn flat_at(mut self, name: Box<str>, amount: Decimal, at: Position) -> Self {
        self.flats.push(Flat { name, amount, at });
        self
    }

    /// Adds the price of a meter.
    pub fn price(mut self, price: MeterPrice) -> Self {
        self.prices.push(price);
        self
    }

    /// How much the plan costs at least in each period, flat amounts included. Default: 0.
    pub fn minimum(mut self, amount: impl Into<Decimal>) -> Self {
        self.minimum = amount.into();
        self
    }

    /// Says that tenants of this plan change to a larger one without being asked, where [advice](crate::upgrade) is to: they have agreed
    /// to that with the plan. The library changes no plan; it says [so](crate::upgrade::UpgradeAdvice::is_automatic). It is no price, and no
    /// part of the version's digest. Default: they are asked.
    pub const fn upgrade_automatically(mut self) -> Self {
        self.upgrades_automatically = true;
        self
    }

    /// The currency of its prices, by ISO 4217. The same in all versions. Default: the book's.
    pub fn currency(mut self, code: impl Into<Box<str>>) -> Self {
        self.currency_code = Some(code.into());
        self
    }

    #[cfg(feature = "toml")]
    pub(super) fn placed(self, at: Position) -> Self {
        Self { at, ..self }
    }

    pub(super) fn digest(&self, canonical: Canonical) -> Canonical {
        let currency = self.currency.map(|it| it.code().to_owned());
        let canonical = canonical
            .text(&self.name)
            .text(&currency.unwrap_or_default())
            .decimal(self.minimum)
            .decimal(self.flats.len().into());
        let canonical = self.flats.iter().fold(canonical, |it, flat| {
            it.text(&flat.name).decimal(flat.amount)
        });
        let canonical = canonical.decimal(self.prices.len().into());
        self.prices
            .iter()
            .fold(canonical, |it, price| price.digest(it))
    }
}
