//! Which tenants begin, stay, go and come back.

use tenancy_core::{TenantId, Timestamp, quota::Window};

use super::{Analytics, reading::part};
use crate::{RollupQuery, UsageError};

/// Who was active, window by window, and what became of those who joined together.
///
/// By definition:
/// * A tenant is **active** in a window if the meter has so many events of it there as the query says.
/// * It is **activated** if it is active in the window in which it joined, or in the one after.
/// * It is **retained** in a window if it is active there and was active in the one before; **returned**, if it is active there, was not
///   in the one before, and was earlier; **lost** (churned), if it was active in the one before and is not there.
/// * A **cohort** is the tenants that joined in one window.
///
/// Nothing is known of the time before the first window: nobody is retained or lost there, and who was active before it is new.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::Window};
/// use tenancy_usage::{UsageError, UsageSink, analytics::{Analytics, Lifecycle}};
///
/// /// `joined` is when each tenant was created; a tenant with 20 requests in a month is active.
/// async fn by_month(
///     sink: &dyn UsageSink,
///     joined: &[(TenantId, Timestamp)],
///     months: &[Window],
/// ) -> Result<Lifecycle, UsageError> {
///     Analytics::new(sink).lifecycle(joined, "requests", 20, months).await
/// }
/// # let _ = by_month;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Lifecycle {
    /// Each window.
    pub windows: Vec<LifecycleWindow>,
    /// The cohort of each window.
    pub cohorts: Vec<Cohort>,
}

/// Who was active in a window: see [`Lifecycle`] for what each word means.
///
/// ```
/// use tenancy_usage::analytics::LifecycleWindow;
///
/// fn shown(window: &LifecycleWindow) -> String {
///     match window.churn_rate() {
///         Some(rate) => format!("{} active, {:.1} % lost", window.active, rate * 100.0),
///         None => format!("{} active", window.active),
///     }
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LifecycleWindow {
    /// The window.
    pub window: Window,
    /// How many were active: the new, the retained and the returned.
    pub active: u64,
    /// How many were active for the first time.
    pub new: u64,
    /// How many were active in the window before, too.
    pub retained: u64,
    /// How many came back.
    pub returned: u64,
    /// How many were active in the window before, and no longer.
    pub lost: u64,
}

impl LifecycleWindow {
    /// The part of those active in the window before that was lost, from 0 to 1; `None` if nobody was.
    #[must_use]
    pub fn churn_rate(&self) -> Option<f64> {
        part(self.lost, self.lost.saturating_add(self.retained))
    }

    const fn empty(window: Window) -> Self {
        Self {
            window,
            active: 0,
            new: 0,
            retained: 0,
            returned: 0,
            lost: 0,
        }
    }
}

/// The tenants that joined in one window.
///
/// ```
/// use tenancy_usage::analytics::Cohort;
///
/// /// Of 100 that joined, how many are active so many windows later.
/// fn retention(cohort: &Cohort, later: usize) -> Option<f64> {
///     cohort.active_rate(later).map(|rate| rate * 100.0)
/// }
/// # let _ = retention;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cohort {
    /// The window in which they joined.
    pub window: Window,
    /// How many joined.
    pub joined: u64,
    /// How many of them were activated so far.
    pub activated: u64,
    /// Whether both windows that decide about that were asked for. Of the newest cohort the second is not there yet.
    pub is_settled: bool,
    /// How many of them were active in the window in which they joined, the one after, and so on.
    pub active: Vec<u64>,
}

impl Cohort {
    /// The part that was activated, from 0 to 1; `None` if nobody joined.
    #[must_use]
    pub fn activation_rate(&self) -> Option<f64> {
        part(self.activated, self.joined)
    }

    /// The part that was active so many windows after they joined; `None` if nobody joined, or that window was not asked for.
    #[must_use]
    pub fn active_rate(&self, later: usize) -> Option<f64> {
        part(*self.active.get(later)?, self.joined)
    }
}

impl Analytics<'_> {
    /// How many windows a lifecycle is of at most.
    pub const MAX_LIFECYCLE_WINDOWS: usize = 60;

    /// Who of these tenants was active in which window. Windows follow on each other; `joined` says when each tenant began, and a
    /// tenant that is given twice counts once, with its earlier time. It asks once for each tenant and window.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) for a meter that is not declared, windows that
    /// leave a gap, overlap or do not begin and end with full minutes, too many windows or tenants, and 0 events, with which all would
    /// be active.
    pub async fn lifecycle(
        self,
        joined: &[(TenantId, Timestamp)],
        meter: &str,
        least_events: u64,
        windows: &[Window],
    ) -> Result<Lifecycle, UsageError> {
        check(joined, least_events, windows)?;
        let mut joined = joined.to_vec();
        joined.sort_unstable();
        joined.dedup_by_key(|(tenant, _)| *tenant);
        let mut lifecycle = Lifecycle::of(windows);
        for (tenant, at) in joined {
            let of = |window: &Window| RollupQuery::total(tenant, meter, *window);
            let queries: Vec<_> = windows.iter().map(of).collect();
            let active = self.each(&queries, |rollups| {
                let events = rollups
                    .iter()
                    .fold(0, |sum: u64, it| sum.saturating_add(it.events));
                events >= least_events
            });
            lifecycle.note(at, &active.await?);
        }
        Ok(lifecycle)
    }
}

fn check(
    joined: &[(TenantId, Timestamp)],
    least_events: u64,
    windows: &[Window],
) -> Result<(), UsageError> {
    let error = |text: String| Err(UsageError::invalid_query(text));
    if least_events == 0 {
        return error("with 0 events everybody is active; give 1 or more".to_owned());
    }
    for (place, pair) in windows.windows(2).enumerate() {
        if let [one, next] = pair
            && one.end != next.start
        {
            return error(format!(
                "window {} ends at {}, and the next begins at {}; give windows that follow on each other, the oldest first",
                place + 1,
                one.end,
                next.start
            ));
        }
    }
    let most = Analytics::MAX_LIFECYCLE_WINDOWS;
    if windows.len() > most || joined.len() > Analytics::MAX_TENANTS {
        return error(format!(
            "{} windows of {} tenants are asked for; ask for {most} of {} at most",
            windows.len(),
            joined.len(),
            Analytics::MAX_TENANTS
        ));
    }
    Ok(())
}

impl Lifecycle {
    fn of(windows: &[Window]) -> Self {
        let number = windows.len();
        let cohort = |(place, window): (usize, &Window)| Cohort {
            window: *window,
            joined: 0,
            activated: 0,
            is_settled: place + 1 < number,
            active: vec![0; number - place],
        };
        Self {
            windows: windows
                .iter()
                .copied()
                .map(LifecycleWindow::empty)
                .collect(),
            cohorts: windows.iter().enumerate().map(cohort).collect(),
        }
    }

    /// Adds a tenant: when it joined, and in which windows it was active.
    fn note(&mut self, joined: Timestamp, active: &[bool]) {
        let (mut before, mut earlier) = (false, false);
        for (window, is_active) in self.windows.iter_mut().zip(active) {
            let count = match (*is_active, before, earlier) {
                (true, true, _) => Some(&mut window.retained),
                (true, false, true) => Some(&mut window.returned),
                (true, false, false) => Some(&mut window.new),
                (false, true, _) => Some(&mut window.lost),
                (false, false, _) => None,
            };
            count.into_iter().for_each(|count| *count += 1);
            window.active += u64::from(*is_active);
            before = *is_active;
            earlier |= *is_active;
        }
        let mut cohorts = self.cohorts.iter_mut().enumerate();
        if let Some((place, cohort)) = cohorts.find(|(_, it)| it.window.contains(joined)) {
            let since = active.get(place..).unwrap_or_default();
            cohort.joined += 1;
            cohort.activated += u64::from(since.iter().take(2).any(|it| *it));
            for (count, is_active) in cohort.active.iter_mut().zip(since) {
                *count += u64::from(*is_active);
            }
        }
    }
}
