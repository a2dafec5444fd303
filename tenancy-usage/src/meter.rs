//! Meters of usage: what events are about, and how they add up.

mod catalogue;
mod http;
#[cfg(feature = "toml")]
mod reading;
mod registry;

use tenancy_core::quota::{Meter, MeterKind};

pub use registry::UsageMeters;

/// How the events of a meter become one number for a stretch of time.
///
/// ```
/// use tenancy_usage::{Aggregation, UsageMeter};
///
/// assert_eq!(UsageMeter::sum("llm-tokens").aggregation(), Aggregation::Sum);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregation {
    /// How many events there are. Each has the quantity 1.
    Count,
    /// The sum of the quantities.
    Sum,
    /// The largest quantity.
    Max,
    /// The smallest quantity.
    Min,
    /// The quantity of the event with the newest time; of two with the same time, of the one whose source and id sort
    /// later. For what one source reports for the whole group that is asked for, such as stored bytes.
    Latest,
    /// How many different [values](crate::UsageEvent::unique_value) there are. Each event has the quantity 1.
    Unique,
}

impl Aggregation {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Count,
        Self::Sum,
        Self::Max,
        Self::Min,
        Self::Latest,
        Self::Unique,
    ];

    /// Its name: `count`, `sum`, `max`, `min`, `latest` or `unique`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Min => "min",
            Self::Latest => "latest",
            Self::Unique => "unique",
        }
    }

    /// Whether events of a meter that adds up so can also be told by another aggregation: whatever there is can be counted, what
    /// is a sum also has a largest and a smallest quantity, and what is `latest` or `unique` has to be recorded so.
    ///
    /// ```
    /// use tenancy_usage::Aggregation;
    ///
    /// assert!(Aggregation::Sum.answers(Aggregation::Max));
    /// assert!(!Aggregation::Sum.answers(Aggregation::Unique));
    /// ```
    #[must_use]
    pub const fn answers(self, asked: Self) -> bool {
        match asked {
            Self::Count => true,
            Self::Sum => matches!(self, Self::Sum | Self::Count),
            Self::Max | Self::Min => !matches!(self, Self::Count | Self::Unique),
            Self::Latest => matches!(self, Self::Latest),
            Self::Unique => matches!(self, Self::Unique),
        }
    }

    /// Whether the numbers of two stretches of time, or of two projects, add up to the number of both.
    #[must_use]
    pub const fn adds_up(self) -> bool {
        matches!(self, Self::Count | Self::Sum)
    }
}

/// Something of which usage is recorded: its name, its unit, how its events add up, and what they may say beside.
///
/// A [`quota::Meter`](Meter) says how something is *limited*, while a request waits. A `UsageMeter` says how it is
/// *recorded and priced*, afterwards. Where both are about the same thing they have the same name: see [`of`](Self::of).
///
/// ```
/// use tenancy_core::quota::Meter;
/// use tenancy_usage::{Aggregation, UsageMeter, UsageMeters};
///
/// let exports = Meter::consumed("exports"); // declared with `Quotas::meter`
/// let meters = UsageMeters::new([
///     UsageMeter::of(&exports),
///     UsageMeter::sum("llm-tokens").unit("tokens").dimension("model"),
///     UsageMeter::unique("visitors"),
/// ])?;
/// let exports = meters.get("exports").ok_or("not declared")?;
/// assert_eq!(exports.aggregation(), Aggregation::Sum);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct UsageMeter {
    name: Box<str>,
    unit: Box<str>,
    aggregation: Aggregation,
    dimensions: Vec<Box<str>>,
}

impl UsageMeter {
    fn new(name: impl Into<Box<str>>, aggregation: Aggregation) -> Self {
        let name = name.into();
        Self {
            unit: name.clone(),
            name,
            aggregation,
            dimensions: Vec::new(),
        }
    }

    /// A meter that [counts events](Aggregation::Count).
    pub fn count(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Aggregation::Count)
    }

    /// A meter that [adds quantities](Aggregation::Sum).
    pub fn sum(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Aggregation::Sum)
    }

    /// A meter that keeps the [largest quantity](Aggregation::Max).
    pub fn max(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Aggregation::Max)
    }

    /// A meter that keeps the [smallest quantity](Aggregation::Min).
    pub fn min(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Aggregation::Min)
    }

    /// A meter that keeps the [newest quantity](Aggregation::Latest).
    pub fn latest(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Aggregation::Latest)
    }

    /// A meter that counts [different values](Aggregation::Unique).
    pub fn unique(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Aggregation::Unique)
    }

    /// The meter of usage of something that is limited as well, with the same name and unit: what is consumed adds up, of
    /// what runs at once the most counts, and of what is held the newest report.
    pub fn of(meter: &Meter) -> Self {
        let aggregation = match meter.kind() {
            MeterKind::Concurrent => Aggregation::Max,
            MeterKind::Held => Aggregation::Latest,
            // `Consumed`, and what may be added to it.
            _ => Aggregation::Sum,
        };
        Self::new(meter.name(), aggregation).unit(meter.unit_name())
    }

    /// The unit of its quantities. Default: the meter's own name.
    pub fn unit(mut self, unit: impl Into<Box<str>>) -> Self {
        self.unit = unit.into();
        self
    }

    /// Allows events to have a dimension of this name: a model, a region, a format. Rollups are kept for each of its
    /// values, so it is no place for what has very many, such as ids of requests. Default: none.
    ///
    /// Project, key, user and job need no declaration: each event has a place for them.
    pub fn dimension(mut self, name: impl Into<Box<str>>) -> Self {
        self.dimensions.push(name.into());
        self
    }

    /// Its name, which events, prices and rollups give.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The unit of its quantities.
    #[must_use]
    pub fn unit_name(&self) -> &str {
        &self.unit
    }

    /// How its events add up.
    #[must_use]
    pub const fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    /// The names of the dimensions that its events may have.
    pub fn dimensions(&self) -> impl Iterator<Item = &str> {
        self.dimensions.iter().map(|name| &**name)
    }

    /// Whether its events may have a dimension of this name.
    #[must_use]
    pub fn has_dimension(&self, name: &str) -> bool {
        self.dimensions().any(|known| known == name)
    }
}
