//! Rollups: what the events of a window add up to.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use tenancy_core::{KeyId, ProjectId, TenantId, Timestamp, quota::Window};

use crate::{Aggregation, Resolution};

/// What the events of one group add up to in one window, by the [aggregation](crate::Aggregation) of their meter.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::Window};
/// use tenancy_usage::Rollup;
///
/// let hour = Window::new(Timestamp::EPOCH, Timestamp::from_unix_seconds(3_600));
/// let rollup = Rollup::new(TenantId::new(), "requests", hour, 42, 42).dimension("route", "/notes");
/// assert_eq!(rollup.events, 42);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Rollup {
    /// Whose usage it is.
    pub tenant: TenantId,
    /// The meter's name.
    pub meter: Box<str>,
    /// The project, where the query asked [by project](RollupQuery::by_project) and the events had one.
    pub project: Option<ProjectId>,
    /// The API key, where the query asked [by key](RollupQuery::by_key) and the events had one.
    pub key: Option<KeyId>,
    /// The dimensions that the query asked [by](RollupQuery::by_dimension), as far as the events had them.
    pub dimensions: BTreeMap<Box<str>, Box<str>>,
    /// The window.
    pub window: Window,
    /// How much was used.
    pub quantity: Decimal,
    /// Of how many events.
    pub events: u64,
}

impl Rollup {
    /// So much of a meter in a window, of so many events.
    pub fn new(
        tenant: TenantId,
        meter: impl Into<Box<str>>,
        window: Window,
        quantity: impl Into<Decimal>,
        events: u64,
    ) -> Self {
        Self {
            tenant,
            meter: meter.into(),
            project: None,
            key: None,
            dimensions: BTreeMap::new(),
            window,
            quantity: quantity.into(),
            events,
        }
    }

    /// Gives it a dimension.
    pub fn dimension(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.dimensions.insert(name.into(), value.into());
        self
    }
}

/// What is asked of a sink: the usage of one tenant and meter in a stretch of time, by windows or as a whole, and by what it
/// is told apart.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::Window};
/// use tenancy_usage::{Resolution, RollupQuery};
///
/// let day = Window::new(Timestamp::EPOCH, Timestamp::from_unix_seconds(86_400));
/// let hours = RollupQuery::each(TenantId::new(), "llm-output-tokens", Resolution::Hour, day)
///     .by_project()
///     .by_dimension("model");
/// let whole_day = RollupQuery::total(hours.tenant, "llm-output-tokens", day);
/// # let _ = whole_day;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct RollupQuery {
    /// Whose usage.
    pub tenant: TenantId,
    /// The meter's name.
    pub meter: Box<str>,
    /// One rollup for each such window; `None` for one rollup of the whole range.
    pub resolution: Option<Resolution>,
    /// With a resolution: the windows that begin in here. Without: what happened in here; both ends are full minutes.
    pub range: Window,
    /// Usage of this project alone.
    pub project: Option<ProjectId>,
    /// Usage with this key alone.
    pub key: Option<KeyId>,
    /// Whether projects are told apart.
    pub by_project: bool,
    /// Whether keys are told apart.
    pub by_key: bool,
    /// The dimensions by whose values usage is told apart.
    pub by_dimensions: Vec<Box<str>>,
    /// Usage alone whose dimensions have one of these values, for each dimension that is named.
    pub only: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// How the events become one number; `None` for the aggregation of the meter.
    pub aggregation: Option<Aggregation>,
}

impl RollupQuery {
    /// One rollup for each window of this resolution that begins in the range and has usage.
    pub fn each(
        tenant: TenantId,
        meter: impl Into<Box<str>>,
        resolution: Resolution,
        range: Window,
    ) -> Self {
        Self {
            resolution: Some(resolution),
            ..Self::total(tenant, meter, range)
        }
    }

    /// One rollup of the whole range, which begins and ends with a full minute.
    pub fn total(tenant: TenantId, meter: impl Into<Box<str>>, range: Window) -> Self {
        Self {
            tenant,
            meter: meter.into(),
            resolution: None,
            range,
            project: None,
            key: None,
            by_project: false,
            by_key: false,
            by_dimensions: Vec::new(),
            only: BTreeMap::new(),
            aggregation: None,
        }
    }

    /// Tells projects apart.
    pub fn by_project(mut self) -> Self {
        self.by_project = true;
        self
    }

    /// Tells API keys apart.
    pub fn by_key(mut self) -> Self {
        self.by_key = true;
        self
    }

    /// Tells the values of a dimension apart. May be called several times.
    pub fn by_dimension(mut self, name: impl Into<Box<str>>) -> Self {
        self.by_dimensions.push(name.into());
        self
    }

    /// Asks for this project's usage alone.
    pub fn of_project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// Asks for the usage with this key alone.
    pub fn of_key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// Asks for usage alone whose dimension has one of these values. Usage without the dimension is left out. Said for several
    /// dimensions, each has to fit.
    ///
    /// ```
    /// use tenancy_core::{TenantId, Timestamp, quota::Window};
    /// use tenancy_usage::{Aggregation, RollupQuery};
    ///
    /// let day = Window::new(Timestamp::EPOCH, Timestamp::from_unix_seconds(86_400));
    /// let largest = RollupQuery::total(TenantId::new(), "llm-output-tokens", day)
    ///     .only("model", ["large", "huge"])
    ///     .told_by(Aggregation::Max);
    /// # let _ = largest;
    /// ```
    pub fn only(
        mut self,
        dimension: impl Into<Box<str>>,
        values: impl IntoIterator<Item = impl Into<Box<str>>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into);
        self.only.insert(dimension.into(), values.collect());
        self
    }

    /// Tells the events by another aggregation than the meter's, where that [answers](Aggregation::answers) it.
    ///
    /// The largest and the smallest quantity are those of events as they came: what a
    /// [recorder](crate::UsageRecorder) has added up before is one event.
    pub fn told_by(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = Some(aggregation);
        self
    }

    /// Whether a sink can answer it: the meter and the dimensions are declared, the meter can be told so, the range has a beginning before its end,
    /// and a total begins and ends with a full minute.
    ///
    /// # Errors
    /// A [`UsageError`](crate::UsageError) of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery).
    pub fn check(&self, meters: &crate::UsageMeters) -> Result<(), crate::UsageError> {
        let error = |text: String| Err(crate::UsageError::invalid_query(text));
        let Some(meter) = meters.get(&self.meter) else {
            return error(format!(
                "there is no usage meter `{}`; ask for one that is declared",
                self.meter
            ));
        };
        let mut dimensions = self.by_dimensions.iter().chain(self.only.keys());
        if let Some(name) = dimensions.find(|name| !meter.has_dimension(name)) {
            return error(format!(
                "the usage meter `{}` has no dimension `{name}`; ask by one that is declared",
                self.meter
            ));
        }
        if let Some(asked) = self.aggregation
            && !meter.aggregation().answers(asked)
        {
            return error(format!(
                "the usage meter `{}` is recorded as `{}`, which does not tell the `{}`; declare a meter that does, or ask otherwise",
                self.meter,
                meter.aggregation().as_str(),
                asked.as_str()
            ));
        }
        if let Some((name, _)) = self.only.iter().find(|(_, values)| values.is_empty()) {
            return error(format!(
                "the query asks for usage whose `{name}` is one of no values, which none is; name a value, or leave `{name}` out"
            ));
        }
        let Window { start, end, .. } = self.range;
        if start >= end {
            return error(format!(
                "the range ends at {end} and begins at {start}; give an end after the beginning"
            ));
        }
        let is_minute = |at: Timestamp| at.as_unix_micros().rem_euclid(60_000_000) == 0;
        if self.resolution.is_none() && !(is_minute(start) && is_minute(end)) {
            return error(format!(
                "a total is told by full minutes, and the range is from {start} to {end}; round both to minutes"
            ));
        }
        Ok(())
    }
}
