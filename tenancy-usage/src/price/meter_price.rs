//! The price of a meter.

use rust_decimal::Decimal;
#[cfg(feature = "toml")]
use tenancy_core::document::Placed;
use tenancy_core::document::Position;

use super::Tier;
use crate::digest::Canonical;

/// What the usage of a meter costs. In a plan: [`PlanPrices::price`](super::PlanPrices::price).
///
/// | | costs |
/// |---|---|
/// | [`per_unit`](Self::per_unit) | each unit the same |
/// | [`graduated`](Self::graduated) | each unit what the tier says in which it lies |
/// | [`volume`](Self::volume) | all units what the tier says in which their number lies |
/// | [`package`](Self::package) | each package that is begun |
/// | [`percentage`](Self::percentage) | a part of the quantity, which is money itself |
/// | [`free`](Self::free) | nothing |
///
/// [`included`](Self::included) comes off first, and [`minimum`](Self::minimum) is filled up at the end. What costs the same
/// whatever is used is no price of a meter: see [`PlanPrices::flat`](super::PlanPrices::flat).
///
/// ```
/// use tenancy_usage::{Decimal, price::{MeterPrice, Tier}};
///
/// let tokens = MeterPrice::per_unit("tokens", Decimal::new(15, 6)).when("model", "large");
/// let exports = MeterPrice::package("exports", 100, 5).included(10);
/// let requests = MeterPrice::volume("requests", [
///     Tier::up_to(10_000, Decimal::new(2, 3)),
///     Tier::rest(Decimal::new(1, 3)),
/// ]);
/// # let _ = (tokens, exports, requests);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct MeterPrice {
    pub(crate) meter: Box<str>,
    pub(crate) model: Model,
    pub(crate) included: Decimal,
    pub(crate) minimum: Decimal,
    pub(crate) when: Option<(Box<str>, Box<str>)>,
    pub(super) currency: Option<Box<str>>,
    pub(super) at: Position,
    /// Where each tier stands.
    pub(super) tiers_at: Vec<Position>,
}

#[derive(Debug, Clone)]
pub(crate) enum Model {
    Free,
    PerUnit(Decimal),
    Graduated(Vec<Tier>),
    Volume(Vec<Tier>),
    Package { size: Decimal, price: Decimal },
    Percentage(Decimal),
}

impl MeterPrice {
    pub(super) fn new(meter: impl Into<Box<str>>, model: Model) -> Self {
        Self {
            meter: meter.into(),
            model,
            included: Decimal::ZERO,
            minimum: Decimal::ZERO,
            when: None,
            currency: None,
            at: Position::NONE,
            tiers_at: Vec::new(),
        }
    }

    /// Nothing, whatever is used. Usage of a meter without a price is no free usage: an invoice lists it as unpriced.
    pub fn free(meter: impl Into<Box<str>>) -> Self {
        Self::new(meter, Model::Free)
    }

    /// So much for each unit, and for parts of a unit their part of it.
    pub fn per_unit(meter: impl Into<Box<str>>, unit_price: impl Into<Decimal>) -> Self {
        Self::new(meter, Model::PerUnit(unit_price.into()))
    }

    /// For each unit what the tier says in which it lies: 1,001 units are 1,000 of the first tier and 1 of the second.
    pub fn graduated(meter: impl Into<Box<str>>, tiers: impl IntoIterator<Item = Tier>) -> Self {
        Self::new(meter, Model::Graduated(tiers.into_iter().collect()))
    }

    /// For all units what the tier says in which their number lies: 1,001 units are all of the second tier.
    pub fn volume(meter: impl Into<Box<str>>, tiers: impl IntoIterator<Item = Tier>) -> Self {
        Self::new(meter, Model::Volume(tiers.into_iter().collect()))
    }

    /// So much for each package of a size. A package that is begun is paid whole.
    pub fn package(
        meter: impl Into<Box<str>>,
        size: impl Into<Decimal>,
        price: impl Into<Decimal>,
    ) -> Self {
        let (size, price) = (size.into(), price.into());
        Self::new(meter, Model::Package { size, price })
    }

    /// So many percent of the quantity, which is an amount of money: of payments that go through the service.
    pub fn percentage(meter: impl Into<Box<str>>, percent: impl Into<Decimal>) -> Self {
        Self::new(meter, Model::Percentage(percent.into()))
    }

    /// How much costs nothing, in each period. Default: 0.
    pub fn included(mut self, quantity: impl Into<Decimal>) -> Self {
        self.included = quantity.into();
        self
    }

    /// How much it costs at least in each period, also if nothing is used. Default: 0.
    pub fn minimum(mut self, amount: impl Into<Decimal>) -> Self {
        self.minimum = amount.into();
        self
    }

    /// Makes it the price of usage with this value of a dimension. Usage without a price of its own has the one without a
    /// condition. All conditions of a meter in one plan are about one dimension.
    pub fn when(mut self, dimension: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.when = Some((dimension.into(), value.into()));
        self
    }

    /// Says in which currency it is. A book in which that is another than its plan's is not built. Default: the plan's.
    pub fn currency(mut self, code: impl Into<Box<str>>) -> Self {
        self.currency = Some(code.into());
        self
    }

    #[cfg(feature = "toml")]
    pub(super) fn placed(self, at: Position) -> Self {
        Self { at, ..self }
    }

    /// The same with tiers that stand somewhere.
    #[cfg(feature = "toml")]
    pub(super) fn of_tiers(
        meter: &str,
        tiers: Vec<Placed<Tier>>,
        model: fn(Vec<Tier>) -> Model,
    ) -> Self {
        let (tiers_at, tiers) = tiers.into_iter().map(|it| (it.at, it.value)).unzip();
        Self {
            tiers_at,
            ..Self::new(meter, model(tiers))
        }
    }

    /// What it is called in errors and on lines.
    pub(crate) fn label(&self) -> String {
        match &self.when {
            Some((dimension, value)) => format!("{} ({dimension} = {value})", self.meter),
            None => self.meter.to_string(),
        }
    }

    pub(super) fn digest(&self, canonical: Canonical) -> Canonical {
        let canonical = canonical
            .text(&self.meter)
            .decimal(self.included)
            .decimal(self.minimum)
            .maybe(self.when.as_ref(), |it, (dimension, value)| {
                it.text(dimension).text(value)
            });
        let of_tiers = |name: &str, tiers: &[Tier], canonical: Canonical| {
            let canonical = canonical.text(name).decimal(tiers.len().into());
            tiers.iter().fold(canonical, |it, tier| tier.digest(it))
        };
        match &self.model {
            Model::Free => canonical.text("free"),
            Model::PerUnit(price) => canonical.text("per-unit").decimal(*price),
            Model::Graduated(tiers) => of_tiers("graduated", tiers, canonical),
            Model::Volume(tiers) => of_tiers("volume", tiers, canonical),
            Model::Package { size, price } => {
                canonical.text("package").decimal(*size).decimal(*price)
            }
            Model::Percentage(percent) => canonical.text("percentage").decimal(*percent),
        }
    }
}
