//! When in the week usage happens.

use std::time::Duration;

use jiff::{Timestamp as Instant, tz::TimeZone};
use rust_decimal::Decimal;
use tenancy_core::{TenantId, Timestamp, quota::Window};

use super::{Analytics, reading::float};
use crate::{Resolution, Rollup, RollupQuery, UsageError};

/// Usage by weekday and hour, as the clocks of a zone show them: seven days of 24 hours.
///
/// Where clocks are set back, an hour comes twice, and both count in its cell; where they are set forward, the hour that is skipped has
/// no time. Each cell knows how much time it had, so [`mean`](HeatCell::mean) is fair to both, and to a range that is no whole week.
///
/// ```
/// use tenancy_core::{TenantId, quota::Window};
/// use tenancy_usage::{UsageError, UsageSink, analytics::Analytics};
///
/// async fn busiest(sink: &dyn UsageSink, tenant: TenantId, weeks: Window) -> Result<(), UsageError> {
///     let map = Analytics::new(sink).heat_map(tenant, "requests", weeks, "Europe/Berlin").await?;
///     if let Some((weekday, hour)) = map.busiest() {
///         let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
///         println!("{} {hour}:00", days[usize::from(weekday)]);
///     }
///     Ok(())
/// }
/// # let _ = busiest;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeatMap {
    /// The zone, as it was asked for.
    pub zone: Box<str>,
    cells: [[HeatCell; 24]; 7],
}

/// An hour of a weekday.
///
/// ```
/// use tenancy_usage::analytics::HeatCell;
///
/// assert_eq!(HeatCell::default().mean(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct HeatCell {
    /// What was used.
    pub quantity: Decimal,
    /// Of how many events.
    pub events: u64,
    /// How many such hours there were in the range.
    pub hours: f64,
}

impl HeatCell {
    /// What was used in such an hour in the mean; `None` if the range had none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.hours > 0.0).then(|| float(self.quantity) / self.hours)
    }
}

/// All zones differ from UTC by a multiple of this.
const STEP: Duration = Duration::from_secs(900);

impl HeatMap {
    fn empty(zone: &str) -> Self {
        Self {
            zone: zone.into(),
            cells: [[HeatCell::default(); 24]; 7],
        }
    }

    /// The cell of a weekday, from 0 for Monday to 6 for Sunday, and an hour, from 0 to 23; `None` for others.
    #[must_use]
    pub fn cell(&self, weekday: u8, hour: u8) -> Option<&HeatCell> {
        self.cells.get(usize::from(weekday))?.get(usize::from(hour))
    }

    /// All cells with weekday and hour, from Monday at 0 on.
    pub fn cells(&self) -> impl Iterator<Item = (u8, u8, &HeatCell)> {
        (0..7).flat_map(move |weekday| {
            (0..24).filter_map(move |hour| Some((weekday, hour, self.cell(weekday, hour)?)))
        })
    }

    /// Weekday and hour with the largest mean, the first of equal ones; `None` if nothing was used.
    #[must_use]
    pub fn busiest(&self) -> Option<(u8, u8)> {
        let mut busiest = None;
        let mut most = 0.0;
        for (weekday, hour, cell) in self.cells() {
            let mean = cell.mean().unwrap_or_default();
            if mean > most {
                (busiest, most) = (Some((weekday, hour)), mean);
            }
        }
        busiest
    }

    fn at(&mut self, zone: &TimeZone, at: Timestamp) -> Option<&mut HeatCell> {
        let (_, weekday, hour) = local(zone, at)?;
        self.cells.get_mut(weekday)?.get_mut(hour)
    }
}

/// Date, weekday and hour that the clocks of a zone show.
fn local(zone: &TimeZone, at: Timestamp) -> Option<(jiff::civil::Date, usize, usize)> {
    let instant = Instant::from_second(at.as_unix_seconds()).ok()?;
    let shown = zone.to_datetime(instant);
    let weekday = usize::try_from(shown.weekday().to_monday_zero_offset()).ok()?;
    Some((shown.date(), weekday, usize::try_from(shown.hour()).ok()?))
}

/// Whether the clocks of the zone show one hour all the time.
fn is_in_one_hour(zone: &TimeZone, window: Window) -> bool {
    let last = window.end - Duration::from_secs(1);
    local(zone, window.start) == local(zone, last)
}

impl Analytics<'_> {
    /// How many days a heat map is of at most.
    pub const MAX_HEAT_DAYS: u64 = 400;

    /// How many days it is of at most where hours of the zone are none of the sink's calendar.
    pub const MAX_HEAT_DAYS_BY_MINUTE: u64 = 35;

    /// When in the week a tenant used a meter that adds up, by the clocks of a zone of the IANA time zone database.
    ///
    /// It reads hours. Where an hour of the sink's calendar is in two hours of the zone, as with UTC and `Asia/Kolkata`, it reads minutes
    /// instead, so each event is in its hour.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) for a meter that is not declared, a zone that
    /// there is not, and a range that is too long.
    pub async fn heat_map(
        self,
        tenant: TenantId,
        meter: &str,
        range: Window,
        zone: &str,
    ) -> Result<HeatMap, UsageError> {
        let error = |text: String| Err(UsageError::invalid_query(text));
        let Ok(rules) = TimeZone::get(zone) else {
            return error(format!(
                "there is no time zone `{zone}`; give a name of the IANA database, such as `Europe/Berlin`"
            ));
        };
        let days = range.end.since(range.start).as_secs() / 86_400;
        if days > Self::MAX_HEAT_DAYS {
            return error(format!(
                "the range has {days} days; ask for {} at most",
                Self::MAX_HEAT_DAYS
            ));
        }
        let each = |resolution| RollupQuery::each(tenant, meter, resolution, range);
        let mut rollups = self.rollups(&each(Resolution::Hour)).await?;
        if !rollups.iter().all(|it| is_in_one_hour(&rules, it.window)) {
            if days > Self::MAX_HEAT_DAYS_BY_MINUTE {
                return error(format!(
                    "hours of `{zone}` are none of the sink's calendar, so minutes are read, and the range has {days} days; ask for \
                     {} at most, or give the tenant a calendar of this zone",
                    Self::MAX_HEAT_DAYS_BY_MINUTE
                ));
            }
            rollups = self.rollups(&each(Resolution::Minute)).await?;
        }
        Ok(heat_map(zone, &rules, range, &rollups))
    }
}

fn heat_map(zone: &str, rules: &TimeZone, range: Window, rollups: &[Rollup]) -> HeatMap {
    let mut map = HeatMap::empty(zone);
    for rollup in rollups {
        if let Some(cell) = map.at(rules, rollup.window.start) {
            cell.quantity = cell.quantity.saturating_add(rollup.quantity);
            cell.events = cell.events.saturating_add(rollup.events);
        }
    }
    let mut at = range.start;
    while at < range.end {
        let span = range.end.since(at).min(STEP);
        if let Some(cell) = map.at(rules, at) {
            cell.hours += span.as_secs_f64() / 3_600.0;
        }
        at = at + span;
    }
    map
}
