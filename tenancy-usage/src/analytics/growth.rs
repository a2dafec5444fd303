//! How usage grows from window to window.

use tenancy_core::{TenantId, quota::Window};

use super::{Analytics, Change, SeriesStep, reading::float};
use crate::{Resolution, UsageCalendar, UsageError, forecast::numbers::count};

/// How usage grew, window by window.
///
/// ```
/// use tenancy_core::{TenantId, quota::Window};
/// use tenancy_usage::{Resolution, UsageCalendar, UsageError, UsageSink, analytics::{Analytics, Growth}};
///
/// async fn of_the_year(sink: &dyn UsageSink, tenant: TenantId, year: Window) -> Result<Growth, UsageError> {
///     let months = UsageCalendar::monthly();
///     Analytics::new(sink).growth(tenant, "exports", Resolution::Period, year, &months).await
/// }
/// # let _ = of_the_year;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Growth {
    /// Each window with its change from the one before; the first is compared with nothing, as 0.
    pub steps: Vec<(Window, Change)>,
    /// The mean growth from a window to the next, as a part: 0.1 is 10 percent more each time. It is the one by which the first window
    /// would have come to the last (compound growth). `None` with less than two windows, and where the first has no usage.
    pub compound: Option<f64>,
}

impl Growth {
    /// The growth of a series.
    #[must_use]
    pub fn of(series: &[SeriesStep]) -> Self {
        let before = std::iter::once(rust_decimal::Decimal::ZERO)
            .chain(series.iter().map(|step| step.quantity));
        let steps = series
            .iter()
            .zip(before)
            .map(|(step, before)| (step.window, Change::new(step.quantity, before)))
            .collect();
        let compound = match series {
            [first, .., last] if float(first.quantity) > 0.0 => {
                let ratio = float(last.quantity) / float(first.quantity);
                Some(ratio.powf(1.0 / count(series.len() - 1)) - 1.0)
            }
            _ => None,
        };
        Self { steps, compound }
    }
}

impl Analytics<'_> {
    /// How a tenant's usage grew over the windows that begin in a range. Leave a window out that is not over yet: it is compared as if it
    /// were.
    ///
    /// # Errors
    /// As [`series`](Self::series) has them.
    pub async fn growth(
        self,
        tenant: TenantId,
        meter: &str,
        resolution: Resolution,
        range: Window,
        calendar: &UsageCalendar,
    ) -> Result<Growth, UsageError> {
        let series = self.series(tenant, meter, resolution, range, calendar);
        Ok(Growth::of(&series.await?))
    }
}
