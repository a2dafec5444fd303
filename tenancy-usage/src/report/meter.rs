//! A meter of a report.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::{Rollup, UsageMeter, analytics::SeriesStep};

/// What was used of one meter in the period of a report, as a whole and by day.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::Window};
/// use tenancy_usage::{Rollup, UsageMeter, report::{ReportMeter, ReportPart}};
///
/// let exports = UsageMeter::count("exports").dimension("format");
/// let month = Window::new(Timestamp::EPOCH, Timestamp::from_unix_seconds(31 * 86_400));
/// let of = |format: &str, number: i64| {
///     Rollup::new(TenantId::new(), "exports", month, number, number.unsigned_abs()).dimension("format", format)
/// };
/// let meter = ReportMeter::new(&exports, 12.into(), Vec::new()).parts("format", &[of("pdf", 5), of("csv", 7)]);
/// let parts: &[ReportPart] = &meter.by["format"];
/// assert_eq!((&*parts[0].value, parts[0].quantity), ("csv", 7.into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct ReportMeter {
    /// Its name.
    pub name: Box<str>,
    /// The unit of its quantities.
    pub unit: Box<str>,
    /// What was used in the period.
    pub total: Decimal,
    /// By day, the first one first; also those without usage and those that are still to come.
    pub days: Vec<SeriesStep>,
    /// By the values of each dimension, the largest first.
    pub by: BTreeMap<Box<str>, Vec<ReportPart>>,
}

/// What of a meter's usage has one value of a dimension.
///
/// ```
/// use tenancy_usage::report::{ReportMeter, ReportPart};
///
/// fn largest<'r>(meter: &'r ReportMeter, dimension: &str) -> Option<&'r ReportPart> {
///     meter.by.get(dimension)?.first()
/// }
/// # let _ = largest;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportPart {
    /// The value; empty for usage without one. What is beyond [`ReportMeter::MAX_PARTS`] is one part with the value `(others)`.
    pub value: Box<str>,
    /// How much was used.
    pub quantity: Decimal,
}

impl ReportMeter {
    /// How many values of a dimension are shown. The rest is one part.
    pub const MAX_PARTS: usize = 10;

    /// What was used of a meter in the period, and by day.
    pub fn new(meter: &UsageMeter, total: Decimal, days: Vec<SeriesStep>) -> Self {
        Self {
            name: meter.name().into(),
            unit: meter.unit_name().into(),
            total,
            days,
            by: BTreeMap::new(),
        }
    }

    /// Adds how its usage is divided by a dimension, from rollups of the period that are told apart by it.
    pub fn parts(mut self, dimension: &str, rollups: &[Rollup]) -> Self {
        let mut values = BTreeMap::<Box<str>, Decimal>::new();
        for rollup in rollups {
            let value = rollup.dimensions.get(dimension).cloned();
            let sum = values.entry(value.unwrap_or_default()).or_default();
            *sum = sum.saturating_add(rollup.quantity);
        }
        let part = |(value, quantity)| ReportPart { value, quantity };
        let mut parts: Vec<_> = values.into_iter().map(part).collect();
        // Stable: equal ones stay in the order of their values.
        parts.sort_by_key(|part| std::cmp::Reverse(part.quantity));
        let rest = parts.split_off(parts.len().min(Self::MAX_PARTS));
        if !rest.is_empty() {
            let sum = |sum: Decimal, part: &ReportPart| sum.saturating_add(part.quantity);
            parts.push(ReportPart {
                value: "(others)".into(),
                quantity: rest.iter().fold(Decimal::ZERO, sum),
            });
        }
        self.by.insert(dimension.into(), parts);
        self
    }
}
