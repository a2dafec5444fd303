//! Custom metrics: what a tenant or an operator wants to be told of events that are counted already.

mod author;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use tenancy_core::{TenantId, quota::Window};

pub use author::MetricAuthor;
pub use store::{CustomMetrics, DefinedMetric, MetricOutcome};

use crate::{
    Aggregation, Resolution, RollupQuery, UsageError, UsageMeters,
    event::check::text,
    name::{NAME_RULE, is_name},
};

/// A number that a tenant or an operator defines, over the events of a declared meter: some of them, told in its own way.
///
/// It is a definition and nothing else. No event is recorded twice, and what happened before it was defined counts too: it is
/// computed from the rollups of the meter. It is asked for as a [`RollupQuery`].
///
/// ```
/// use tenancy_core::{Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{
///     Aggregation, CustomMetric, MemoryUsage, Resolution, UsageCalendar, UsageEvent, UsageMeter, UsageMeters,
///     UsageSink as _,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let usage = MemoryUsage::new(UsageMeters::new([UsageMeter::sum("tokens").dimension("model")])?);
/// let (acme, now) = (TenantId::new(), SystemClock.now());
/// for (id, model, tokens) in [("1", "large", 700), ("2", "small", 90), ("3", "large", 300)] {
///     let event = UsageEvent::new(acme, "tokens", "gateway", id, now);
///     usage.record(&[event.quantity(tokens).dimension("model", model)]).await?;
/// }
///
/// let longest = CustomMetric::new("longest-answer", "tokens", Aggregation::Max).only("model", ["large"]);
/// let month = UsageCalendar::monthly().window(acme, Resolution::Period, now);
/// let told = usage.rollups(&longest.total(acme, month)).await?;
/// assert_eq!(told[0].quantity, 700.into());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CustomMetric {
    name: Box<str>,
    meter: Box<str>,
    aggregation: Aggregation,
    only: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
}

impl CustomMetric {
    /// How many metrics each tenant may define, and the operators for all tenants.
    pub const MOST: usize = 100;

    /// How many values of one dimension a metric may name.
    pub const MOST_VALUES: usize = 64;

    /// A metric of this name over the events of a meter.
    pub fn new(
        name: impl Into<Box<str>>,
        meter: impl Into<Box<str>>,
        aggregation: Aggregation,
    ) -> Self {
        Self {
            name: name.into(),
            meter: meter.into(),
            aggregation,
            only: BTreeMap::new(),
        }
    }

    /// Events alone whose dimension has one of these values. Said for several dimensions, each has to fit.
    pub fn only(
        mut self,
        dimension: impl Into<Box<str>>,
        values: impl IntoIterator<Item = impl Into<Box<str>>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into);
        self.only.insert(dimension.into(), values.collect());
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the meter.
    #[must_use]
    pub fn meter(&self) -> &str {
        &self.meter
    }

    /// How the events become one number.
    #[must_use]
    pub const fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    /// The dimensions by which events are chosen, and their values.
    #[must_use]
    pub const fn chosen(&self) -> &BTreeMap<Box<str>, BTreeSet<Box<str>>> {
        &self.only
    }

    /// Asks for one number of a tenant for a whole range, which begins and ends with a full minute.
    pub fn total(&self, tenant: TenantId, range: Window) -> RollupQuery {
        self.asked(RollupQuery::total(tenant, &*self.meter, range))
    }

    /// Asks for one number of a tenant for each window of this resolution that begins in the range.
    pub fn each(&self, tenant: TenantId, resolution: Resolution, range: Window) -> RollupQuery {
        self.asked(RollupQuery::each(tenant, &*self.meter, resolution, range))
    }

    fn asked(&self, query: RollupQuery) -> RollupQuery {
        RollupQuery {
            only: self.only.clone(),
            aggregation: Some(self.aggregation),
            ..query
        }
    }

    /// Whether these meters can tell it.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`InvalidMetric`](crate::UsageErrorKind::InvalidMetric) that names what is wrong: a name
    /// that is none or that a meter has, a meter or dimension that is not declared, an aggregation that the meter does not
    /// [answer](Aggregation::answers), values that are empty, too long or too many.
    pub fn check(&self, meters: &UsageMeters) -> Result<(), UsageError> {
        let name = &self.name;
        if !is_name(name) {
            return Err(UsageError::invalid_metric(format!(
                "`{name}` is no name of a metric; it has {NAME_RULE}"
            )));
        }
        let error = |text: String| {
            Err(UsageError::invalid_metric(format!(
                "the metric `{name}` {text}"
            )))
        };
        if meters.get(name).is_some() {
            return error("has the name of a declared meter; give it another".to_owned());
        }
        let Some(meter) = meters.get(&self.meter) else {
            return error(format!(
                "is over the meter `{}`, which is not declared; name one that is",
                self.meter
            ));
        };
        if !meter.aggregation().answers(self.aggregation) {
            return error(format!(
                "asks for the `{}` of `{}`, which is recorded as `{}` and does not tell it",
                self.aggregation.as_str(),
                self.meter,
                meter.aggregation().as_str()
            ));
        }
        for (dimension, values) in &self.only {
            if !meter.has_dimension(dimension) {
                return error(format!(
                    "chooses by `{dimension}`, which is no dimension of `{}`; name one that is declared",
                    self.meter
                ));
            }
            if values.is_empty() || values.len() > Self::MOST_VALUES {
                return error(format!(
                    "names {} values of `{dimension}`; name 1 to {}",
                    values.len(),
                    Self::MOST_VALUES
                ));
            }
            let what = format!("value of `{dimension}`");
            if let Some(told) = values.iter().find_map(|value| text(&what, value).err()) {
                return error(format!("can't name such a value: {told}"));
            }
        }
        Ok(())
    }

    /// That there is no room for another metric; for stores.
    #[must_use]
    pub fn too_many() -> UsageError {
        UsageError::invalid_metric(format!(
            "there are {} custom metrics, the most there may be; remove one first",
            Self::MOST
        ))
    }
}
