//! The book of all versions.

use std::sync::Arc;

use tenancy_core::{ConfigError, Timestamp, document::Position};

use super::{Currency, PlanPrices, PriceVersion, check};
use crate::{UsageMeter, UsageMeters};

/// What usage costs, now and at each time before. Built and checked by a [`PriceBookBuilder`], and cheap to clone.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::{
///     UsageMeter, UsageMeters,
///     price::{MeterPrice, PlanPrices, PriceBook, PriceVersion},
/// };
///
/// let meters = UsageMeters::new([UsageMeter::count("exports")])?;
/// let (winter, summer) = (Timestamp::EPOCH, Timestamp::from_unix_seconds(1_811_808_000));
/// let version = |name: &str, from, price: i64| {
///     let free = PlanPrices::new("free").price(MeterPrice::per_unit("exports", price));
///     PriceVersion::new(name, from).plan(free)
/// };
/// let now = PriceBook::builder("EUR").version(version("winter", winter, 1)).build(&meters)?;
/// let next = PriceBook::builder("EUR")
///     .version(version("winter", winter, 1))
///     .version(version("summer", summer, 2))
///     .build(&meters)?;
/// next.check_succeeds(&now)?;
/// assert_eq!(next.version_at(summer).map(PriceVersion::name), Some("summer"));
///
/// let changed = PriceBook::builder("EUR").version(version("winter", winter, 3)).build(&meters)?;
/// assert!(changed.check_succeeds(&now).is_err());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PriceBook(Arc<Checked>);

#[derive(Debug)]
struct Checked {
    meters: UsageMeters,
    /// By the time from which they are valid.
    versions: Vec<PriceVersion>,
}

impl PriceBook {
    /// A book whose plans are in this currency, unless they say otherwise. The code is by ISO 4217.
    pub fn builder(currency: impl Into<Box<str>>) -> PriceBookBuilder {
        PriceBookBuilder {
            currency: currency.into(),
            currency_at: Position::NONE,
            versions: Vec::new(),
        }
    }

    /// The version that is valid at a moment: for the billing period that begins then. `None` before the first.
    #[must_use]
    pub fn version_at(&self, at: Timestamp) -> Option<&PriceVersion> {
        let mut newest_first = self.0.versions.iter().rev();
        let version = newest_first.find(|version| version.from <= at)?;
        version.until.is_none_or(|end| at < end).then_some(version)
    }

    /// The version of this name.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&PriceVersion> {
        self.0
            .versions
            .iter()
            .find(|version| &*version.name == name)
    }

    /// All versions, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = &PriceVersion> {
        self.0.versions.iter()
    }

    /// Makes sure that this book may take the place of another: that each version of the other is in it, unchanged.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the version.
    pub fn check_succeeds(&self, before: &Self) -> Result<(), ConfigError> {
        for old in before.versions() {
            let name = old.name();
            let Some(new) = self.version(name) else {
                return Err(ConfigError::new(format!(
                    "version `{name}` is no longer in the price book; put it back, because its invoices are computed again \
                     with it"
                )));
            };
            if new.digest() != old.digest() {
                return Err(new.at.error(format_args!(
                    "version `{name}` says something else than before; put it back as it was, and say what is new in a \
                     version of its own"
                )));
            }
        }
        Ok(())
    }

    /// Makes sure that the version which is valid at a moment prices exactly the plans that are sold, so that no invoice fails for a
    /// plan that was forgotten.
    ///
    /// # Errors
    /// A [`ConfigError`] that names a plan without prices, or prices without a plan, or says that no version is valid.
    pub fn check_plans<'p>(
        &self,
        at: Timestamp,
        sold: impl IntoIterator<Item = &'p str>,
    ) -> Result<(), ConfigError> {
        let Some(version) = self.version_at(at) else {
            return Err(ConfigError::new(format!(
                "no version of the prices is valid at {at}; add one that begins then or before"
            )));
        };
        let (name, sold): (_, Vec<_>) = (version.name(), sold.into_iter().collect());
        if let Some(plan) = sold.iter().find(|plan| version.plan_named(plan).is_none()) {
            return Err(ConfigError::new(format!(
                "version `{name}` has no prices of plan `{plan}`; add them, if only an empty plan"
            )));
        }
        let is_unsold = |plan: &&PlanPrices| !sold.contains(&&*plan.name);
        if let Some(plan) = version.plans.iter().find(is_unsold) {
            return Err(plan.at.error(format_args!(
                "version `{name}` has prices of plan `{}`, which is not sold; remove them, or correct the name",
                plan.name
            )));
        }
        Ok(())
    }

    pub(super) fn meters(&self) -> impl Iterator<Item = &UsageMeter> {
        self.0.meters.iter()
    }

    pub(crate) fn meter(&self, name: &str) -> Option<&UsageMeter> {
        self.0.meters.get(name)
    }
}

/// Collects the versions of a [`PriceBook`].
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::{
///     UsageMeters,
///     price::{PlanPrices, PriceBook, PriceVersion},
/// };
///
/// let first = PriceVersion::new("first", Timestamp::EPOCH).plan(PlanPrices::new("pro").flat("base fee", 29));
/// let book = PriceBook::builder("EUR").version(first).build(&UsageMeters::default())?;
/// assert_eq!(book.versions().count(), 1);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PriceBookBuilder {
    pub(super) currency: Box<str>,
    pub(super) currency_at: Position,
    pub(super) versions: Vec<PriceVersion>,
}

impl PriceBookBuilder {
    /// Adds a version.
    pub fn version(mut self, version: PriceVersion) -> Self {
        self.versions.push(version);
        self
    }

    /// Checks all of it: names, currencies, that versions leave no gap and do not overlap, that prices are for declared
    /// meters and dimensions, and that tiers rise, leave no gap, do not overlap, and have an end but for the last.
    ///
    /// # Errors
    /// A [`ConfigError`] that names version, plan, meter and tier, and how to mend it; with its place, if it was read from a
    /// text.
    pub fn build(self, meters: &UsageMeters) -> Result<PriceBook, ConfigError> {
        let currency = Currency::new(&self.currency).map_err(|error| {
            self.currency_at
                .error(format_args!("the price book: {error}"))
        })?;
        let mut versions = self.versions;
        for version in &mut versions {
            check::version(version, currency, meters)?;
        }
        check::beside_each_other(&mut versions)?;
        Ok(PriceBook(Arc::new(Checked {
            meters: meters.clone(),
            versions,
        })))
    }
}
