//! Windows: the minutes, hours, days and billing periods by which usage is rolled up.

use std::{fmt, sync::Arc, time::Duration};

use tenancy_core::{
    TenantId, Timestamp,
    quota::{Calendar, Period, Window},
};

/// By which windows usage is rolled up.
///
/// ```
/// use tenancy_usage::Resolution;
///
/// assert_eq!(Resolution::ALL.map(Resolution::as_str), ["minute", "hour", "day", "period"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resolution {
    /// A minute of UTC.
    Minute,
    /// An hour of the tenant's zone.
    Hour,
    /// A day of the tenant's zone.
    Day,
    /// A billing period of the tenant.
    Period,
}

impl Resolution {
    /// Every resolution, the finest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Period];

    /// Its name: `minute`, `hour`, `day` or `period`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Period => "period",
        }
    }
}

type CalendarOf = Arc<dyn Fn(TenantId) -> Calendar + Send + Sync>;

/// Where the windows of each tenant begin and end: by its [calendar](Calendar), the one that its limits per period have.
///
/// A tenant's calendar must not change while usage of it is kept: windows that were rolled up stay as they are.
///
/// Cheap to clone.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::Calendar};
/// use tenancy_usage::{Resolution, UsageCalendar};
///
/// let berlin = Calendar::in_zone("Europe/Berlin")?;
/// let windows = UsageCalendar::monthly().of_each(move |_tenant| berlin.clone());
/// let at = Timestamp::from_unix_seconds(1_800_000_000); // 2027-01-15T08:00:00Z
/// let month = windows.window(TenantId::new(), Resolution::Period, at);
/// assert_eq!(month.start.to_string(), "2026-12-31T23:00:00.000000Z");
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct UsageCalendar {
    period: Period,
    calendar_of: Option<CalendarOf>,
}

impl UsageCalendar {
    /// Bills by months of UTC. The default.
    pub fn monthly() -> Self {
        Self {
            period: Period::Month,
            calendar_of: None,
        }
    }

    /// Bills by years of UTC.
    pub fn yearly() -> Self {
        Self {
            period: Period::Year,
            calendar_of: None,
        }
    }

    /// Gives each tenant a calendar of its own: its zone, and the [anchor](Calendar::billed_from) from which it is billed.
    /// Called for each event, so it should remember.
    pub fn of_each(
        mut self,
        calendar: impl Fn(TenantId) -> Calendar + Send + Sync + 'static,
    ) -> Self {
        self.calendar_of = Some(Arc::new(calendar));
        self
    }

    /// How long a billing period is at most: 31 days, or 366.
    #[must_use]
    pub const fn longest_period(&self) -> Duration {
        let days = match self.period {
            Period::Year => 366,
            _ => 31,
        };
        Duration::from_secs(days * 86_400)
    }

    /// The window of a tenant that a moment is in.
    #[must_use]
    pub fn window(&self, tenant: TenantId, resolution: Resolution, at: Timestamp) -> Window {
        let period = match resolution {
            Resolution::Minute => return minute(at),
            Resolution::Hour => Period::Hour,
            Resolution::Day => Period::Day,
            Resolution::Period => self.period,
        };
        match &self.calendar_of {
            Some(of) => of(tenant).window(period, at),
            None => Calendar::utc().window(period, at),
        }
    }
}

fn minute(at: Timestamp) -> Window {
    let seconds = at.as_unix_seconds();
    let start = seconds.saturating_sub(seconds.rem_euclid(60));
    Window::new(
        Timestamp::from_unix_seconds(start),
        Timestamp::from_unix_seconds(start.saturating_add(60)),
    )
}

impl Default for UsageCalendar {
    fn default() -> Self {
        Self::monthly()
    }
}

impl fmt::Debug for UsageCalendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageCalendar")
            .field("period", &self.period)
            .field("of_each", &self.calendar_of.is_some())
            .finish()
    }
}
