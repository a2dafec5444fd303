//! The parts of a billing period in which a tenant had one plan.

use std::time::Duration;

use tenancy_core::{TenantId, Timestamp, quota::Window};

use super::{PriceBook, Proration};
use crate::RollupQuery;

/// A part of a billing period, and the plan that prices it.
///
/// ```
/// use tenancy_core::{Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::{
///     UsageMeters,
///     price::{PlanPrices, PriceBook, PriceVersion},
/// };
///
/// let version = PriceVersion::new("first", Timestamp::EPOCH)
///     .plan(PlanPrices::new("free"))
///     .plan(PlanPrices::new("pro").flat("base fee", 29));
/// let book = PriceBook::builder("EUR").version(version).build(&UsageMeters::default())?;
/// let upgrade = Timestamp::from_unix_seconds(1_800_000_000);
/// let month = Calendar::utc().window(Period::Month, upgrade);
/// let segments = book.segments(month, "free", &[(upgrade, "pro")]);
/// let plans: Vec<_> = segments.iter().map(|segment| &*segment.plan).collect();
/// assert_eq!(plans, ["free", "pro"]);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanSegment {
    /// The plan.
    pub plan: Box<str>,
    /// From when to when it prices.
    pub window: Window,
}

impl PlanSegment {
    /// This plan, from when to when.
    #[must_use]
    pub fn new(plan: impl Into<Box<str>>, window: Window) -> Self {
        Self {
            plan: plan.into(),
            window,
        }
    }
}

impl PriceBook {
    /// The parts of a billing period: the plan with which a tenant came into it, and each change of plan in it, by time.
    ///
    /// A change counts from the minute that it is in, because totals of usage are told by minutes. With
    /// [`Proration::LastPlan`] there is one part. Changes that are not in the period are left out.
    #[must_use]
    pub fn segments(
        &self,
        period: Window,
        first: &str,
        changes: &[(Timestamp, &str)],
    ) -> Vec<PlanSegment> {
        let mut changes: Vec<_> = changes
            .iter()
            .filter(|(at, _)| period.contains(*at))
            .collect();
        changes.sort_by_key(|(at, _)| *at);
        let version = self.version_at(period.start);
        if version.is_some_and(|version| version.proration == Proration::LastPlan) {
            let last = changes.last().map_or(first, |(_, plan)| plan);
            return vec![PlanSegment::new(last, period)];
        }
        let mut segments: Vec<PlanSegment> = Vec::new();
        let (mut start, mut plan) = (period.start, first);
        for (at, next) in changes {
            let at = minute(*at).max(period.start);
            if *next == plan {
                continue;
            }
            if at > start {
                segments.push(PlanSegment::new(plan, Window::new(start, at)));
            }
            (start, plan) = (at, next);
        }
        segments.push(PlanSegment::new(plan, Window::new(start, period.end)));
        segments
    }

    /// What to ask a sink for the usage of a segment of a period: one query for each meter that is declared, told apart by the
    /// dimension that its price goes by. Usage of a meter that the plan does not price is asked for too, so that it is seen.
    #[must_use]
    pub fn queries(
        &self,
        tenant: TenantId,
        period: Window,
        segment: &PlanSegment,
    ) -> Vec<RollupQuery> {
        let version = self.version_at(period.start);
        let plan = version.and_then(|version| version.plan_named(&segment.plan));
        let by = |meter: &str| {
            let prices = plan.into_iter().flat_map(|plan| &plan.prices);
            let mut of_meter = prices.filter(|price| &*price.meter == meter);
            of_meter.find_map(|price| price.when.as_ref().map(|(dimension, _)| dimension.clone()))
        };
        let meters = self.meters();
        meters
            .map(|meter| {
                let query = RollupQuery::total(tenant, meter.name(), segment.window);
                match by(meter.name()) {
                    Some(dimension) => query.by_dimension(dimension),
                    None => query,
                }
            })
            .collect()
    }
}

fn minute(at: Timestamp) -> Timestamp {
    at - Duration::from_micros(at.as_unix_micros().rem_euclid(60_000_000).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        UsageMeters,
        price::{PlanPrices, PriceVersion},
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn parts(proration: Proration, changes: &[(Timestamp, &str)]) -> Vec<(String, i64, i64)> {
        let version = PriceVersion::new("first", Timestamp::EPOCH)
            .plan(PlanPrices::new("a"))
            .proration(proration);
        let book = PriceBook::builder("EUR").version(version);
        let book = book.build(&UsageMeters::default()).unwrap();
        let segments = book.segments(Window::new(at(0), at(3_600)), "a", changes);
        let seconds = |at: Timestamp| at.as_unix_seconds();
        segments
            .iter()
            .map(|it| {
                (
                    it.plan.to_string(),
                    seconds(it.window.start),
                    seconds(it.window.end),
                )
            })
            .collect()
    }

    #[test]
    fn segments_tile_the_period_by_full_minutes() {
        let part = |plan: &str, start, end| (plan.to_owned(), start, end);
        let by_time = |changes: &[(Timestamp, &str)]| parts(Proration::ByTime, changes);
        assert_eq!(by_time(&[]), [part("a", 0, 3_600)]);
        let changes = [
            (at(1_250), "c"),
            (at(659), "b"),
            (at(3_600), "d"),
            (at(-1), "e"),
        ];
        let expected = [
            part("a", 0, 600),
            part("b", 600, 1_200),
            part("c", 1_200, 3_600),
        ];
        assert_eq!(by_time(&changes), expected);
        // In the first minute, back again, and twice within a minute.
        assert_eq!(by_time(&[(at(59), "b")]), [part("b", 0, 3_600)]);
        assert_eq!(by_time(&[(at(600), "a")]), [part("a", 0, 3_600)]);
        let within = [(at(601), "b"), (at(602), "c")];
        assert_eq!(by_time(&within), [part("a", 0, 600), part("c", 600, 3_600)]);
        assert_eq!(parts(Proration::LastPlan, &changes), [part("c", 0, 3_600)]);
    }
}
