//! How much, and how much more than before.

use rust_decimal::Decimal;
use tenancy_core::{TenantId, Timestamp, quota::Window};

use super::{
    Analytics,
    reading::{float, sum},
};
use crate::{RollupQuery, UsageError};

/// A quantity beside the one before it.
///
/// ```
/// use tenancy_usage::analytics::Change;
///
/// let change = Change::new(150.into(), 100.into());
/// assert_eq!(change.difference(), 50.into());
/// assert_eq!(change.ratio(), Some(1.5));
/// assert_eq!(change.percent(), Some(50.0));
/// assert_eq!(Change::new(150.into(), 0.into()).percent(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What it is.
    pub now: Decimal,
    /// What it was.
    pub before: Decimal,
}

impl Change {
    /// From what it was to what it is.
    #[must_use]
    pub const fn new(now: Decimal, before: Decimal) -> Self {
        Self { now, before }
    }

    /// How much more it is; below 0 if it is less.
    #[must_use]
    pub fn difference(&self) -> Decimal {
        self.now.saturating_sub(self.before)
    }

    /// How many times as much it is: 2 is twice as much. `None` if there was nothing before.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.before > Decimal::ZERO).then(|| float(self.now) / float(self.before))
    }

    /// How many percent more it is: 100 is twice as much. `None` if there was nothing before.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        self.ratio().map(|ratio| (ratio - 1.0) * 100.0)
    }
}

/// What a tenant used of a meter in a range, beside a range before.
///
/// ```
/// use tenancy_usage::analytics::UsageTotal;
///
/// fn shown(total: &UsageTotal) -> String {
///     match total.change.percent() {
///         Some(percent) => format!("{} ({percent:+.1} %)", total.change.now),
///         None => total.change.now.to_string(),
///     }
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageTotal {
    /// The range.
    pub range: Window,
    /// The range that it is compared with.
    pub range_before: Window,
    /// The quantity of both. What was not used is 0.
    pub change: Change,
    /// Of how many events in the range.
    pub events: u64,
}

impl Analytics<'_> {
    /// What a tenant used of a meter in a range, beside the range of the same length before it. For calendar months, which differ in
    /// length, see [`total_beside`](Self::total_beside).
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) for a meter that is not declared, and for a
    /// range that does not begin and end with a full minute.
    pub async fn total(
        self,
        tenant: TenantId,
        meter: &str,
        range: Window,
    ) -> Result<UsageTotal, UsageError> {
        let (start, end) = (range.start.as_unix_micros(), range.end.as_unix_micros());
        let before = start.saturating_sub(end.saturating_sub(start));
        let before = Window::new(Timestamp::from_unix_micros(before), range.start);
        self.total_beside(tenant, meter, range, before).await
    }

    /// The same beside a range of your choice, such as the billing period before.
    ///
    /// # Errors
    /// As [`total`](Self::total) has them.
    pub async fn total_beside(
        self,
        tenant: TenantId,
        meter: &str,
        range: Window,
        before: Window,
    ) -> Result<UsageTotal, UsageError> {
        let queries = [range, before].map(|range| RollupQuery::total(tenant, meter, range));
        let totals = self.each(&queries, |rollups| {
            let events = rollups
                .iter()
                .fold(0, |events: u64, it| events.saturating_add(it.events));
            (sum(&rollups), events)
        });
        let totals = totals.await?;
        let of = |place: usize| totals.get(place).copied().unwrap_or_default();
        Ok(UsageTotal {
            range,
            range_before: before,
            change: Change::new(of(0).0, of(1).0),
            events: of(0).1,
        })
    }
}
