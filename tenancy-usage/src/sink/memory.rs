//! Usage in memory: the reference for what a sink does.

mod corrected;
mod kept;
mod metrics;
mod tally;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tenancy_core::{Clock, KeyId, ProjectId, SystemClock, TenantId, Timestamp, quota::Window};

use self::{kept::Kept, metrics::Metrics, tally::Tally};
use super::{EventOutcome, UsageError, UsageSink, UsageStatus};
use crate::{
    CorrectionOutcome, EventTimes, Resolution, Rollup, RollupQuery, UsageCalendar, UsageCorrection,
    UsageEvent, UsageMeters,
};

/// Counts usage in the memory of one process: for tests and first steps, and as the reference for stores.
///
/// It keeps all that it has counted until it is dropped, so it grows with use.
///
/// ```
/// use tenancy_core::{Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{
///     MemoryUsage, Resolution, RollupQuery, UsageCalendar, UsageEvent, UsageMeter, UsageMeters, UsageSink as _,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let usage = MemoryUsage::new(UsageMeters::new([UsageMeter::sum("egress").unit("bytes")])?);
/// let (acme, now) = (TenantId::new(), SystemClock.now());
/// for (id, bytes) in [("1", 700), ("2", 300), ("2", 300)] {
///     usage.record(&[UsageEvent::new(acme, "egress", "proxy", id, now).quantity(bytes)]).await?;
/// }
/// let month = UsageCalendar::monthly().window(acme, Resolution::Period, now);
/// let rollups = usage.rollups(&RollupQuery::each(acme, "egress", Resolution::Period, month)).await?;
/// assert_eq!(rollups[0].quantity, 1_000.into());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct MemoryUsage {
    meters: UsageMeters,
    calendar: UsageCalendar,
    times: EventTimes,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
    metrics: Mutex<Metrics>,
}

/// Whose usage, of what, and when: what a tally is kept for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    tenant: TenantId,
    meter: Box<str>,
    resolution: Resolution,
    start: Timestamp,
    end: Timestamp,
    group: Group,
}

impl Cell {
    fn of(event: &UsageEvent, resolution: Resolution, window: Window) -> Self {
        Self {
            tenant: event.tenant,
            meter: event.meter.clone(),
            resolution,
            start: window.start,
            end: window.end,
            group: Group {
                project: event.project,
                key: event.key,
                dimensions: event.dimensions.clone(),
            },
        }
    }
}

/// What usage is told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    project: Option<ProjectId>,
    key: Option<KeyId>,
    dimensions: BTreeMap<Box<str>, Box<str>>,
}

impl Group {
    /// Whether each of these dimensions has one of its values.
    fn has(&self, only: &BTreeMap<Box<str>, BTreeSet<Box<str>>>) -> bool {
        only.iter().all(|(name, values)| {
            let value = self.dimensions.get(name);
            value.is_some_and(|value| values.contains(value))
        })
    }
}

impl MemoryUsage {
    /// Nothing counted yet, for these meters.
    pub fn new(meters: UsageMeters) -> Self {
        Self {
            meters,
            calendar: UsageCalendar::default(),
            times: EventTimes::default(),
            clock: Arc::new(SystemClock),
            kept: Mutex::default(),
            metrics: Mutex::default(),
        }
    }

    /// Where windows begin and end. Default: [`UsageCalendar::monthly`].
    pub fn calendar(mut self, calendar: UsageCalendar) -> Self {
        self.calendar = calendar;
        self
    }

    /// How late events are taken. Default: [`EventTimes::default`].
    pub fn times(mut self, times: EventTimes) -> Self {
        self.times = times;
        self
    }

    /// Where it reads the time. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl UsageSink for MemoryUsage {
    async fn record(&self, events: &[UsageEvent]) -> Result<Vec<EventOutcome>, UsageError> {
        let now = self.clock.now();
        let mut kept = self.kept();
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            let outcome = match self.meters.check_content(event) {
                Ok(_) => kept.count(self, event, Some(now)),
                Err(error) => Err(error),
            };
            let outcome = outcome.unwrap_or_else(EventOutcome::from);
            kept.note(event, &outcome, now);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn correct(
        &self,
        corrections: &[UsageCorrection],
    ) -> Result<Vec<CorrectionOutcome>, UsageError> {
        let now = self.clock.now();
        let mut kept = self.kept();
        let outcomes = corrections.iter().map(|correction| {
            let outcome = kept.correct(self, correction, now);
            outcome.unwrap_or_else(CorrectionOutcome::from)
        });
        Ok(outcomes.collect())
    }

    async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError> {
        query.check(&self.meters)?;
        let Some(meter) = self.meters.get(&query.meter) else {
            return Ok(Vec::new());
        };
        let aggregation = query.aggregation.unwrap_or(meter.aggregation());
        let resolution = query.resolution.unwrap_or(Resolution::Minute);
        let mut groups = BTreeMap::<(Timestamp, Timestamp, Group), Tally>::new();
        let kept = self.kept();
        let asked = kept.tallies.iter().filter(|(cell, _)| {
            cell.tenant == query.tenant
                && cell.meter == query.meter
                && cell.resolution == resolution
                && query.range.contains(cell.start)
                && (query.project.is_none() || query.project == cell.group.project)
                && (query.key.is_none() || query.key == cell.group.key)
                && cell.group.has(&query.only)
        });
        for (cell, tally) in asked {
            let window = match query.resolution {
                Some(_) => (cell.start, cell.end),
                None => (query.range.start, query.range.end),
            };
            let group = (window.0, window.1, told_apart(&cell.group, query));
            let merged = groups.entry(group).or_default().merge(tally);
            merged.ok_or_else(|| {
                UsageError::invalid_query(format!(
                    "`{}` adds up to more than can be told without rounding; ask for less at once",
                    query.meter
                ))
            })?;
        }
        let rollups = groups
            .into_iter()
            .map(|((start, end, group), tally)| Rollup {
                tenant: query.tenant,
                meter: query.meter.clone(),
                project: group.project,
                key: group.key,
                dimensions: group.dimensions,
                window: Window::new(start, end),
                quantity: tally.quantity(aggregation),
                events: tally.events(),
            });
        Ok(rollups.collect())
    }

    async fn status(&self, tenant: TenantId) -> Result<UsageStatus, UsageError> {
        let status = self.kept().status.get(&tenant).copied();
        Ok(status.unwrap_or_default())
    }
}

/// What of a group the query asks to tell apart.
fn told_apart(group: &Group, query: &RollupQuery) -> Group {
    let asked: BTreeSet<_> = query.by_dimensions.iter().collect();
    let dimensions = group.dimensions.iter();
    Group {
        project: group.project.filter(|_| query.by_project),
        key: group.key.filter(|_| query.by_key),
        dimensions: dimensions
            .filter(|(name, _)| asked.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    }
}
