//! Retention: how long something is kept for tenants of a plan.

use std::time::Duration;

/// How long something is kept. In a plan: [`PlanBook::retention`](crate::PlanBook::retention).
///
/// The library removes nothing by it. A job of the service asks the [plan](crate::Plan::retention) and removes what
/// is older.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::Retention;
///
/// let day = Duration::from_secs(86_400);
/// assert_eq!(Retention::Days(30).as_duration(), Some(30 * day));
/// assert_eq!(Retention::ForGood.as_duration(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retention {
    /// For so many days, of 24 hours each. Not 0.
    Days(u32),
    /// Until somebody removes it.
    ForGood,
}

impl Retention {
    /// How long it is; `None` if it does not end.
    #[must_use]
    pub fn as_duration(self) -> Option<Duration> {
        match self {
            Self::Days(days) => Some(Duration::from_secs(u64::from(days) * 86_400)),
            Self::ForGood => None,
        }
    }
}
