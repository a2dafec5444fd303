//! A version of a price book.

use tenancy_core::{Timestamp, document::Position};

use super::{PlanPrices, Proration};
use crate::{UsageDigest, digest::Canonical};

/// Prices that are valid from an instant on: for billing periods that begin then or later, up to the next version.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::price::{PlanPrices, PriceVersion};
///
/// let from = Timestamp::from_unix_seconds(1_798_761_600); // 2027-01-01T00:00:00Z
/// let version = PriceVersion::new("2027-01", from).plan(PlanPrices::new("free"));
/// assert_eq!(version.name(), "2027-01");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PriceVersion {
    pub(super) name: Box<str>,
    pub(super) from: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(crate) proration: Proration,
    pub(super) plans: Vec<PlanPrices>,
    pub(super) at: Position,
}

impl PriceVersion {
    /// A version of this name, valid from this instant on, without a plan yet.
    pub fn new(name: impl Into<Box<str>>, from: Timestamp) -> Self {
        Self {
            name: name.into(),
            from,
            until: None,
            proration: Proration::default(),
            plans: Vec::new(),
            at: Position::NONE,
        }
    }

    /// Says when it ends. A book in which the next version then begins earlier or later is not built. Default: where the next
    /// version begins; the last has no end.
    pub fn until(mut self, end: Timestamp) -> Self {
        self.until = Some(end);
        self
    }

    /// What becomes of amounts per period when a tenant changes its plan. Default: [`Proration::ByTime`].
    pub fn proration(mut self, proration: Proration) -> Self {
        self.proration = proration;
        self
    }

    /// Adds the prices of a plan.
    pub fn plan(mut self, plan: PlanPrices) -> Self {
        self.plans.push(plan);
        self
    }

    #[cfg(feature = "toml")]
    pub(super) fn placed(self, at: Position) -> Self {
        Self { at, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From when on it is valid.
    #[must_use]
    pub const fn valid_from(&self) -> Timestamp {
        self.from
    }

    /// The prices of all its plans.
    pub(crate) fn plans(&self) -> impl Iterator<Item = &PlanPrices> {
        self.plans.iter()
    }

    /// The prices of the plan of this name.
    #[must_use]
    pub fn plan_named(&self, name: &str) -> Option<&PlanPrices> {
        self.plans.iter().find(|plan| &*plan.name == name)
    }

    /// The digest of all that it says. The digest of a version that is in force never changes.
    ///
    /// The bytes are those of the format `price-version-1`. Each part is a text, preceded by its length as 8 bytes, big-endian; numbers
    /// are their shortest text; what may be absent is a byte 1 before it, or a byte 0 instead. The parts are the name of the format, the
    /// version's name, its beginning in microseconds, the proration (`by time`, `full`, `last plan`), and the number of plans. Of each
    /// plan: name, currency, minimum, the number of flat amounts with name and amount each, and the number of prices. Of each price:
    /// meter, included, minimum, the condition's dimension and value, and then `free`, `per-unit` and the price, `package` with size and
    /// price, `percentage` and the percent, or `graduated` or `volume` with the number of tiers and, of each, edge, price of a unit, flat
    /// amount. Plans, amounts and prices are in the order of the book. When a version ends is no part of it.
    #[must_use]
    pub fn digest(&self) -> UsageDigest {
        let canonical = Canonical::of("price-version-1")
            .text(&self.name)
            .decimal(self.from.as_unix_micros().into())
            .text(self.proration.as_str())
            .decimal(self.plans.len().into());
        let plans = self.plans.iter();
        plans.fold(canonical, |it, plan| plan.digest(it)).end()
    }
}
