//! How long requests took, from counts in buckets.

use std::time::Duration;

use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use tenancy_core::{TenantId, quota::Window};

use super::{
    Analytics,
    reading::{float, sum},
};
use crate::{Rollup, RollupQuery, UsageError};

/// The meter that counts requests by the bucket of their duration.
pub(super) const TOOK: &str = "http-took";
/// The meter that adds up how long requests took.
pub(super) const SECONDS: &str = "http-seconds";

/// The upper bounds of the buckets in milliseconds. The last bucket has none.
const BOUNDS: [u64; 13] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
];

/// How long requests took.
///
/// Each request is counted in one of 14 buckets: up to 1, 2, 5, 10, 20, 50, 100, 200 or 500 milliseconds, up to 1, 2, 5 or 10 seconds, or
/// longer.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_usage::analytics::Durations;
///
/// let mut durations = Durations::default();
/// for (bucket, requests) in [("10", 90), ("50", 9), ("inf", 1)] {
///     durations.note(bucket, requests);
/// }
/// let median = durations.percentile(50.0).ok_or("no request")?;
/// assert_eq!((median.above, median.up_to), (Duration::from_millis(5), Some(Duration::from_millis(10))));
/// let slowest = durations.percentile(100.0).ok_or("no request")?;
/// assert_eq!(slowest.up_to, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Durations {
    /// How many requests are in a bucket.
    pub requests: u64,
    /// How many are in none, because the name of theirs can't be read.
    pub unknown: u64,
    /// How long all took together.
    pub seconds: Decimal,
    /// By bucket, the fastest first; the last has no upper bound.
    buckets: [u64; BOUNDS.len() + 1],
}

/// A percentile of durations, and how far it can be off.
///
/// ```
/// use tenancy_usage::analytics::Percentile;
///
/// fn shown(p95: &Percentile) -> String {
///     match p95.up_to {
///         Some(up_to) => format!("{:?} (between {:?} and {up_to:?})", p95.estimate, p95.above),
///         None => format!("more than {:?}", p95.above),
///     }
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Percentile {
    /// A guess: as if the requests of the bucket lay evenly in it. In the last bucket, where it begins.
    pub estimate: Duration,
    /// The percentile is above this.
    pub above: Duration,
    /// It is at most this, which is up to 2.5 times as long; `None` above 10 seconds.
    pub up_to: Option<Duration>,
}

impl Durations {
    /// Adds requests of a bucket, whose name is its upper bound in milliseconds, or `inf`.
    pub fn note(&mut self, bucket: &str, requests: u64) {
        let place = match bucket {
            "inf" => Some(BOUNDS.len()),
            _ => BOUNDS.iter().position(|bound| bound.to_string() == bucket),
        };
        match place.and_then(|place| self.buckets.get_mut(place)) {
            Some(count) => {
                *count = count.saturating_add(requests);
                self.requests = self.requests.saturating_add(requests);
            }
            None => self.unknown = self.unknown.saturating_add(requests),
        }
    }

    /// How many requests each bucket has, with its upper bound; the last has none.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS
            .iter()
            .map(|bound| Some(Duration::from_millis(*bound)));
        bounds.chain([None]).zip(self.buckets)
    }

    /// The duration that so many percent of the requests do not exceed, from 0 to 100; `None` without a request. By the nearest rank: it
    /// is the duration of a request, so the bucket of that request bounds it, whatever the durations are.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<Percentile> {
        let part = if percent.is_nan() {
            1.0
        } else {
            percent.clamp(0.0, 100.0) / 100.0
        };
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank of a count, which is not below 0"
        )]
        let rank = ((part * self.requests as f64).ceil() as u64).clamp(1, self.requests.max(1));
        let (mut below, mut above) = (0_u64, Duration::ZERO);
        for (up_to, count) in self.buckets() {
            if count > 0 && rank <= below.saturating_add(count) {
                let width = up_to.map_or(Duration::ZERO, |end| end.saturating_sub(above));
                #[allow(clippy::cast_precision_loss, reason = "a part of a count")]
                let within = (rank - below) as f64 / count as f64;
                return Some(Percentile {
                    estimate: above + width.mul_f64(within.clamp(0.0, 1.0)),
                    above,
                    up_to,
                });
            }
            below = below.saturating_add(count);
            above = up_to.unwrap_or(above);
        }
        None
    }

    /// How long a request took in the mean; `None` without a request. Few slow requests move it, unlike a percentile.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let requests = Decimal::from(self.requests.saturating_add(self.unknown));
        let mean = self.seconds.checked_div(requests)?;
        Duration::try_from_secs_f64(float(mean)).ok()
    }

    pub(super) fn add(&mut self, rollup: &Rollup) {
        let bucket = rollup.dimensions.get("took").map(|it| &**it);
        let requests = rollup.quantity.to_u64().unwrap_or(u64::MAX);
        self.note(bucket.unwrap_or_default(), requests);
    }
}

impl Analytics<'_> {
    /// How long a tenant's requests took in a range, from the meters `http-took` and `http-seconds`. For each route:
    /// [`routes`](Self::routes).
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) if a meter is not declared, or the range does
    /// not begin and end with a full minute.
    pub async fn durations(self, tenant: TenantId, range: Window) -> Result<Durations, UsageError> {
        let took = RollupQuery::total(tenant, TOOK, range).by_dimension("took");
        let mut durations = Durations::default();
        for rollup in &self.rollups(&took).await? {
            durations.add(rollup);
        }
        let seconds = RollupQuery::total(tenant, SECONDS, range);
        durations.seconds = sum(&self.rollups(&seconds).await?);
        Ok(durations)
    }
}
