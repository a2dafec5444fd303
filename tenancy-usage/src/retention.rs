//! Retention: how long usage is kept.

use std::{fmt, sync::Arc, time::Duration};

use tenancy_core::{Retention, TenantId, Timestamp};

use crate::{EventTimes, UsageCalendar, UsageError};

type RetentionOf = Arc<dyn Fn(TenantId) -> Option<Retention> + Send + Sync>;

const DAY: Duration = Duration::from_secs(86_400);

/// How long it may take to compute an invoice and its adjustments after their usage is complete.
const MARGIN: Duration = Duration::from_secs(7 * 86_400);

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
/// A default is never shorter than [the floor](Self::floor): by years, events, minutes and hours are kept for 773 days.
///
/// Different values, by which meters of [different values](crate::Aggregation::Unique) count, are kept as long as the windows
/// that are kept longest, because each window counts them. Corrections and backfills are kept for good.
///
/// Nothing is kept shorter than the floor: what may still be corrected, and what the invoice of a period and the adjustment
/// in the next one are computed of. A sink refuses a question whose range begins before what was removed.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::Retention;
/// use tenancy_usage::{EventTimes, UsageCalendar, UsageRetention};
///
/// let (times, calendar) = (EventTimes::default(), UsageCalendar::monthly());
/// let retention = UsageRetention::default().events(Retention::Days(120)).minutes(Retention::Days(120));
/// retention.check(&times, &calendar)?;
/// assert_eq!(UsageRetention::floor(&times, &calendar), Duration::from_secs(103 * 86_400));
///
/// let short = UsageRetention::default().events(Retention::Days(30));
/// let error = short.check(&times, &calendar).unwrap_err();
/// assert!(error.to_string().contains("103 days"));
/// # Ok::<(), tenancy_usage::UsageError>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct UsageRetention {
    events: Option<Retention>,
    minutes: Option<Retention>,
    hours: Option<Retention>,
    days: Option<Retention>,
    periods: Option<Retention>,
    events_of: Option<RetentionOf>,
}

impl UsageRetention {
    /// How long events are kept, where a tenant has no retention of its own.
    pub const fn events(mut self, kept: Retention) -> Self {
        self.events = Some(kept);
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
        self.minutes = Some(kept);
        self
    }

    /// How long windows of hours are kept.
    pub const fn hours(mut self, kept: Retention) -> Self {
        self.hours = Some(kept);
        self
    }

    /// How long windows of days are kept.
    pub const fn days(mut self, kept: Retention) -> Self {
        self.days = Some(kept);
        self
    }

    /// How long windows of billing periods are kept.
    pub const fn periods(mut self, kept: Retention) -> Self {
        self.periods = Some(kept);
        self
    }

    /// How long everything is kept at least: the late window, two of the longest billing periods, and 7 days.
    ///
    /// The invoice of a period adjusts the one before. Late events of both are taken until the late window after its end is
    /// over, and then the oldest usage that it is computed of is two periods older.
    #[must_use]
    pub fn floor(times: &EventTimes, calendar: &UsageCalendar) -> Duration {
        times.late_window() + calendar.longest_period() * 2 + MARGIN
    }

    /// How long each thing is kept, with its name: events, and windows from minutes to periods.
    fn kept(&self, floor: Duration) -> [(&'static str, Retention); 5] {
        let least = u32::try_from(days(floor)).unwrap_or(u32::MAX);
        let or =
            |kept: Option<Retention>, usual: u32| kept.unwrap_or(Retention::Days(usual.max(least)));
        [
            ("events", or(self.events, 400)),
            ("windows of minutes", or(self.minutes, 400)),
            ("windows of hours", or(self.hours, 400)),
            ("windows of days", or(self.days, 5 * 366)),
            (
                "windows of billing periods",
                self.periods.unwrap_or(Retention::ForGood),
            ),
        ]
    }

    /// Whether nothing is kept shorter than the floor.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Refused`](crate::UsageErrorKind::Refused) that names what is, and the floor.
    pub fn check(&self, times: &EventTimes, calendar: &UsageCalendar) -> Result<(), UsageError> {
        let floor = Self::floor(times, calendar);
        for (what, kept) in self.kept(floor) {
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

    /// Before which moments everything is removed, of tenants without a retention of their own; `None` of what is kept for
    /// good. The times and the calendar are those by which the usage was counted.
    #[must_use]
    pub fn cuts(
        &self,
        times: &EventTimes,
        calendar: &UsageCalendar,
        now: Timestamp,
    ) -> RetentionCuts {
        let kept = self.kept(Self::floor(times, calendar));
        let [events, minutes, hours, days, periods] =
            kept.map(|(_, kept)| kept.as_duration().map(|kept| now - kept));
        let longest = [minutes, hours, days, periods].into_iter().min().flatten();
        RetentionCuts {
            events,
            minutes,
            hours,
            days,
            periods,
            // A window that stays ends later, and may have begun so much earlier. Clocks may be turned back in it.
            values: longest.map(|longest| longest - calendar.longest_period() - DAY),
        }
    }
}

/// So many days at least.
const fn days(of: Duration) -> u64 {
    of.as_secs().div_ceil(86_400)
}

fn check(what: &str, kept: Retention, floor: Duration) -> Result<(), UsageError> {
    if kept.as_duration().is_none_or(|kept| kept >= floor) {
        return Ok(());
    }
    let (kept, least) = (days(kept.as_duration().unwrap_or_default()), days(floor));
    Err(UsageError::refused(format!(
        "{what} would be kept for {kept} days, and late events, corrections, and the invoice of a billing period with what it \
         adjusts of the one before need {least} days; keep them for {least} days at least"
    )))
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
/// use tenancy_usage::{EventTimes, UsageCalendar, UsageRetention};
///
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let retention = UsageRetention::default().events(Retention::ForGood);
/// let cuts = retention.cuts(&EventTimes::default(), &UsageCalendar::monthly(), now);
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
    /// Of different values: where the oldest window that stays may begin.
    pub values: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    /// By years, the first day of the year before last is needed until late events of last year are no longer taken.
    #[test]
    fn the_default_keeps_what_invoices_by_years_need() -> Result<(), UsageError> {
        let times = EventTimes::default();
        for (calendar, floor, minutes) in [
            (UsageCalendar::monthly(), 103, 400),
            (UsageCalendar::yearly(), 773, 773),
        ] {
            assert_eq!(UsageRetention::floor(&times, &calendar), DAY * floor);
            let retention = UsageRetention::default();
            retention.check(&times, &calendar)?;
            let cuts = retention.cuts(&times, &calendar, NOW);
            let cut = Some(NOW - DAY * minutes);
            assert_eq!((cuts.events, cuts.minutes, cuts.hours), (cut, cut, cut));
            assert_eq!((cuts.days, cuts.periods), (Some(NOW - DAY * 1_830), None));
        }
        let short = UsageRetention::default().minutes(Retention::Days(400));
        let refused = short.check(&times, &UsageCalendar::yearly());
        assert!(refused.is_err_and(|error| error.to_string().contains("773 days")));
        Ok(())
    }

    /// A window that ends after the cut stays, with all its values.
    #[test]
    fn values_are_kept_as_long_as_the_beginnings_of_windows_that_stay() {
        let retention = UsageRetention::default().periods(Retention::Days(2_000));
        for (calendar, longest) in [
            (UsageCalendar::monthly(), 31),
            (UsageCalendar::yearly(), 366),
        ] {
            let cuts = retention.cuts(&EventTimes::default(), &calendar, NOW);
            let begins = cuts.periods.map(|before| before - DAY * longest);
            assert!(cuts.values.is_some() && cuts.values < begins, "{cuts:?}");
        }
        let for_good = UsageRetention::default();
        let cuts = for_good.cuts(&EventTimes::default(), &UsageCalendar::monthly(), NOW);
        assert_eq!(cuts.values, None);
    }
}
