//! Retention: how long usage is kept.

use std::{fmt, sync::Arc, time::Duration};

use tenancy_core::{Retention, TenantId, Timestamp};

use crate::{EventTimes, UsageCalendar, UsageError};

type RetentionOf = Arc<dyn Fn(TenantId) -> Option<Retention> + Send + Sync>;

/// How long events and the windows of each resolution are kept.
///
/// | what | default | what goes with it |
/// |---|---|---|
/// | events, with the keys by which each counts once | 400 days | corrections and explanations of what is older |
/// | windows of minutes | 400 days | totals of any range, of which invoices and their adjustments are computed |
/// | windows of hours | 400 days | |
/// | windows of days | 5 years | |
/// | windows of billing periods | for good | |
///
/// Different values, by which meters of [different values](crate::Aggregation::Unique) count, are kept as long as the windows
/// that are kept longest, because each window counts them. Corrections and backfills are kept for good.
///
/// Nothing is kept shorter than [the floor](Self::floor): what may still be corrected, and what a period that is open or closing is computed of.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::Retention;
/// use tenancy_usage::{EventTimes, UsageCalendar, UsageRetention};
///
/// let (times, calendar) = (EventTimes::default(), UsageCalendar::monthly());
/// let retention = UsageRetention::default().events(Retention::Days(100)).minutes(Retention::Days(100));
/// retention.check(&times, &calendar)?;
/// assert_eq!(UsageRetention::floor(&times, &calendar), Duration::from_secs(65 * 86_400));
///
/// let short = UsageRetention::default().events(Retention::Days(30));
/// let error = short.check(&times, &calendar).unwrap_err();
/// assert!(error.to_string().contains("65 days"));
/// # Ok::<(), tenancy_usage::UsageError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct UsageRetention {
    events: Retention,
    minutes: Retention,
    hours: Retention,
    days: Retention,
    periods: Retention,
    events_of: Option<RetentionOf>,
}

impl UsageRetention {
    /// How long events are kept, where a tenant has no retention of its own.
    pub const fn events(mut self, kept: Retention) -> Self {
        self.events = kept;
        self
    }

    /// How long the events of single tenants are kept, such as those of a plan; `None` as all others.
    ///
    /// Tenants share the partitions of months. A partition is dropped when no tenant needs it any more. Before that, the
    /// rows of tenants that keep less are deleted.
    pub fn events_of_each(
        mut self,
        kept: impl Fn(TenantId) -> Option<Retention> + Send + Sync + 'static,
    ) -> Self {
        self.events_of = Some(Arc::new(kept));
        self
    }

    /// How long windows of minutes are kept.
    pub const fn minutes(mut self, kept: Retention) -> Self {
        self.minutes = kept;
        self
    }

    /// How long windows of hours are kept.
    pub const fn hours(mut self, kept: Retention) -> Self {
        self.hours = kept;
        self
    }

    /// How long windows of days are kept.
    pub const fn days(mut self, kept: Retention) -> Self {
        self.days = kept;
        self
    }

    /// How long windows of billing periods are kept.
    pub const fn periods(mut self, kept: Retention) -> Self {
        self.periods = kept;
        self
    }

    /// How long everything is kept at least: the late window and the longest billing period.
    #[must_use]
    pub fn floor(times: &EventTimes, calendar: &UsageCalendar) -> Duration {
        times.late_window() + calendar.longest_period()
    }

    /// Whether nothing is kept shorter than the floor.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Refused`](crate::UsageErrorKind::Refused) that names what is, and the floor.
    pub fn check(&self, times: &EventTimes, calendar: &UsageCalendar) -> Result<(), UsageError> {
        let floor = Self::floor(times, calendar);
        for (what, kept) in [
            ("events", self.events),
            ("windows of minutes", self.minutes),
            ("windows of hours", self.hours),
            ("windows of days", self.days),
            ("windows of billing periods", self.periods),
        ] {
            check(what, kept, floor)?;
        }
        Ok(())
    }

    /// How long the events of a tenant are kept that has a retention of its own.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Refused`](crate::UsageErrorKind::Refused) if that is shorter than the floor.
    pub fn own_events(
        &self,
        tenant: TenantId,
        floor: Duration,
    ) -> Result<Option<Retention>, UsageError> {
        let own = self.events_of.as_ref().and_then(|of| of(tenant));
        if let Some(kept) = own {
            check(&format!("events of the tenant `{tenant}`"), kept, floor)?;
        }
        Ok(own)
    }

    /// Before which moments everything is removed, of tenants without a retention of their own; `None` of what is kept for good.
    #[must_use]
    pub fn cuts(&self, now: Timestamp) -> RetentionCuts {
        let cut = |kept: Retention| kept.as_duration().map(|kept| now - kept);
        let [minutes, hours, days, periods] =
            [self.minutes, self.hours, self.days, self.periods].map(cut);
        let windows = [minutes, hours, days, periods];
        RetentionCuts {
            events: cut(self.events),
            minutes,
            hours,
            days,
            periods,
            values: windows.into_iter().min().flatten(),
        }
    }
}

fn check(what: &str, kept: Retention, floor: Duration) -> Result<(), UsageError> {
    if kept.as_duration().is_none_or(|kept| kept >= floor) {
        return Ok(());
    }
    let (days, least) = (
        kept.as_duration().unwrap_or_default().as_secs() / 86_400,
        floor.as_secs().div_ceil(86_400),
    );
    Err(UsageError::refused(format!(
        "{what} would be kept for {days} days, and late events, corrections and billing periods that are not closed need \
         {least} days; keep them for {least} days at least"
    )))
}

impl Default for UsageRetention {
    fn default() -> Self {
        Self {
            events: Retention::Days(400),
            minutes: Retention::Days(400),
            hours: Retention::Days(400),
            days: Retention::Days(5 * 366),
            periods: Retention::ForGood,
            events_of: None,
        }
    }
}

impl fmt::Debug for UsageRetention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageRetention")
            .field("events", &self.events)
            .field("minutes", &self.minutes)
            .field("hours", &self.hours)
            .field("days", &self.days)
            .field("periods", &self.periods)
            .field("events_of_each", &self.events_of.is_some())
            .finish()
    }
}

/// Before which moments usage is removed; `None` of what is kept for good.
///
/// ```
/// use tenancy_core::{Retention, Timestamp};
/// use tenancy_usage::UsageRetention;
///
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let cuts = UsageRetention::default().events(Retention::ForGood).cuts(now);
/// assert_eq!((cuts.events, cuts.periods), (None, None));
/// assert!(cuts.days < cuts.hours);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionCuts {
    /// Of events.
    pub events: Option<Timestamp>,
    /// Of windows of minutes.
    pub minutes: Option<Timestamp>,
    /// Of windows of hours.
    pub hours: Option<Timestamp>,
    /// Of windows of days.
    pub days: Option<Timestamp>,
    /// Of windows of billing periods.
    pub periods: Option<Timestamp>,
    /// Of different values: as of the windows that are kept longest.
    pub values: Option<Timestamp>,
}
