//! Usage step by step, without gaps.

use std::collections::HashMap;

use rust_decimal::Decimal;
use tenancy_core::{TenantId, quota::Window};

use super::{Analytics, reading::sum};
use crate::{Resolution, RollupQuery, UsageCalendar, UsageError};

/// What was used in one window of a series.
///
/// ```
/// use tenancy_usage::analytics::SeriesStep;
///
/// /// For a trend or a forecast.
/// fn numbers(series: &[SeriesStep]) -> Vec<f64> {
///     series.iter().map(SeriesStep::as_f64).collect()
/// }
/// # let _ = numbers;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesStep {
    /// The window.
    pub window: Window,
    /// What was used in it; 0 where nothing was.
    pub quantity: Decimal,
    /// Of how many events.
    pub events: u64,
}

impl SeriesStep {
    /// The quantity as a number for statistics.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        super::reading::float(self.quantity)
    }
}

impl Analytics<'_> {
    /// How many windows a series has at most: more than a year of hours.
    pub const MAX_STEPS: usize = 10_000;

    /// What a tenant used in each window that begins in a range, the oldest first. A sink has no rollup of a window without usage; here it
    /// is 0, so that a mean counts it. The calendar is the one of the sink.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) for a meter that is not declared, and for more
    /// than [`MAX_STEPS`](Self::MAX_STEPS) windows.
    pub async fn series(
        self,
        tenant: TenantId,
        meter: &str,
        resolution: Resolution,
        range: Window,
        calendar: &UsageCalendar,
    ) -> Result<Vec<SeriesStep>, UsageError> {
        let windows = windows(tenant, resolution, range, calendar)?;
        let query = RollupQuery::each(tenant, meter, resolution, range);
        let rollups = self.rollups(&query).await?;
        let mut used = HashMap::new();
        for rollup in &rollups {
            let step: &mut (Decimal, u64) = used.entry(rollup.window.start).or_default();
            step.0 = step.0.saturating_add(sum(std::slice::from_ref(rollup)));
            step.1 = step.1.saturating_add(rollup.events);
        }
        let step = |window: Window| {
            let (quantity, events) = used.get(&window.start).copied().unwrap_or_default();
            SeriesStep {
                window,
                quantity,
                events,
            }
        };
        Ok(windows.into_iter().map(step).collect())
    }
}

/// The windows of a tenant that begin in a range.
pub(crate) fn windows(
    tenant: TenantId,
    resolution: Resolution,
    range: Window,
    calendar: &UsageCalendar,
) -> Result<Vec<Window>, UsageError> {
    let mut windows = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let window = calendar.window(tenant, resolution, at);
        if window.start >= range.start {
            windows.push(window);
        }
        if windows.len() > Analytics::MAX_STEPS {
            return Err(UsageError::invalid_query(format!(
                "the range has more than {} windows of a {}; ask for a shorter range or for longer windows",
                Analytics::MAX_STEPS,
                resolution.as_str()
            )));
        }
        if window.end <= at {
            break;
        }
        at = window.end;
    }
    Ok(windows)
}
