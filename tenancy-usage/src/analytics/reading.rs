//! How the questions read: rollups alone, few queries at once, and no more than a bounded number of tenants.

use futures_util::{StreamExt as _, stream};
use tenancy_core::TenantId;

use crate::{Rollup, RollupQuery, UsageError, UsageSink};

/// Asks a sink.
///
/// ```
/// use tenancy_core::{Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{
///     MemoryUsage, Resolution, UsageCalendar, UsageEvent, UsageMeter, UsageMeters, UsageSink as _,
///     analytics::Analytics,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sink = MemoryUsage::new(UsageMeters::new([UsageMeter::count("exports")])?);
/// let (acme, now) = (TenantId::new(), SystemClock.now());
/// for id in ["1", "2", "3"] {
///     sink.record(&[UsageEvent::new(acme, "exports", "api", id, now)]).await?;
/// }
///
/// let month = UsageCalendar::monthly().window(acme, Resolution::Period, now);
/// let total = Analytics::new(&sink).total(acme, "exports", month).await?;
/// assert_eq!(total.change.now, 3.into());
/// // Nothing was used before, so there is no ratio.
/// assert_eq!(total.change.ratio(), None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Analytics<'s> {
    sink: &'s dyn UsageSink,
}

/// How many queries wait for the sink at once.
const AT_ONCE: usize = 8;

impl<'s> Analytics<'s> {
    /// How many tenants one question is about at most. Ask for more in parts, or let the sink's store answer.
    pub const MAX_TENANTS: usize = 10_000;

    /// Asks this sink, with eight queries at once at most.
    pub fn new(sink: &'s dyn UsageSink) -> Self {
        Self { sink }
    }

    /// The rollups of one query.
    pub(super) async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError> {
        self.sink.rollups(query).await
    }

    /// What each query comes to, in their order. At most eight answers are held at once.
    pub(super) async fn each<T>(
        &self,
        queries: &[RollupQuery],
        reduce: impl Fn(Vec<Rollup>) -> T + Send,
    ) -> Result<Vec<T>, UsageError> {
        // Nothing is read before it is polled.
        let asked: Vec<_> = queries.iter().map(|it| self.sink.rollups(it)).collect();
        let mut answers = stream::iter(asked).buffered(AT_ONCE);
        let mut reduced = Vec::with_capacity(queries.len());
        while let Some(answer) = answers.next().await {
            reduced.push(reduce(answer?));
        }
        Ok(reduced)
    }
}

/// The tenants, each once and in the order of their ids.
pub(super) fn different(tenants: &[TenantId]) -> Result<Vec<TenantId>, UsageError> {
    let mut different = tenants.to_vec();
    different.sort_unstable();
    different.dedup();
    let most = Analytics::MAX_TENANTS;
    if different.len() > most {
        return Err(UsageError::invalid_query(format!(
            "{} tenants are asked for at once; ask for {most} at most",
            different.len()
        )));
    }
    Ok(different)
}

/// A number for statistics.
pub(super) fn float(number: rust_decimal::Decimal) -> f64 {
    use rust_decimal::prelude::ToPrimitive as _;
    number.to_f64().unwrap_or_default()
}

/// The sum of all quantities; what is more than can be told is the most that can.
pub(super) fn sum(rollups: &[Rollup]) -> rust_decimal::Decimal {
    rollups.iter().fold(rust_decimal::Decimal::ZERO, |sum, it| {
        sum.saturating_add(it.quantity)
    })
}

/// A part of a whole, from 0 to 1; `None` of nothing.
pub(super) fn part(of: u64, whole: u64) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a part of a count, for people")]
    (whole > 0).then(|| of as f64 / whole as f64)
}
