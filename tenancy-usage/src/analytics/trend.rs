//! Whether usage rises or falls.

use crate::forecast::numbers::{count, median};

/// Which way a series goes.
///
/// ```
/// use tenancy_usage::analytics::TrendDirection;
///
/// assert_ne!(TrendDirection::Rising, TrendDirection::Unclear);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrendDirection {
    /// It rises.
    Rising,
    /// It falls.
    Falling,
    /// What is seen would be seen without a trend too, in more than 5 of 100 series.
    Unclear,
}

/// The slope of a series of equal steps, such as days, which neither its weekdays nor single odd days move.
///
/// The slope is the median of the slopes between each two values of the same place in the season: the seasonal slope estimator of
/// R. M. Hirsch, J. R. Slack and R. A. Smith, "Techniques of Trend Analysis for Monthly Water Quality Data", Water Resources Research 18
/// (1982), after Theil and Sen. The direction is by their seasonal Kendall test, two-sided, at 5 percent. The test supposes that days do
/// not depend on each other; where they do, it sees a trend somewhat too often.
///
/// ```
/// use tenancy_usage::analytics::{Trend, TrendDirection};
///
/// // Ten more each day, little at weekends, and one odd day.
/// let mut days: Vec<f64> = (0..56).map(|day| f64::from(day * 10) + if day % 7 < 5 { 500.0 } else { 0.0 }).collect();
/// days[30] = 90_000.0;
/// let trend = Trend::of(&days, 7).ok_or("too short")?;
/// assert_eq!(trend.direction, TrendDirection::Rising);
/// assert!((trend.per_step - 10.0).abs() < 0.1, "{trend:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Trend {
    /// Which way it goes.
    pub direction: TrendDirection,
    /// How much it rises from a step to the next; below 0 if it falls.
    pub per_step: f64,
    /// The median of the last season, to compare the slope with.
    pub level: f64,
    /// The score of the test: beyond 1.96 on either side the direction is clear.
    pub score: f64,
}

impl Trend {
    /// How many of the newest steps are looked at.
    pub const MAX_STEPS: usize = 1_100;

    /// The trend of a series, the oldest first, whose pattern comes again each season: 7 for days. `None` with less than three seasons,
    /// with a season of 0, and where a value is no number.
    #[must_use]
    pub fn of(steps: &[f64], season: usize) -> Option<Self> {
        let newest = steps.len().saturating_sub(Self::MAX_STEPS);
        let steps = steps.get(newest..)?;
        let is_long = season > 0 && steps.len() >= season.saturating_mul(3);
        if !is_long || !steps.iter().all(|it| it.is_finite()) {
            return None;
        }
        let (mut slopes, mut signs, mut variance) = (Vec::new(), 0.0, 0.0);
        for place in 0..season {
            let of_place: Vec<_> = steps.iter().skip(place).step_by(season).copied().collect();
            for (number, later) in of_place.iter().enumerate() {
                for (earlier_number, earlier) in of_place.iter().take(number).enumerate() {
                    slopes.push((later - earlier) / count((number - earlier_number) * season));
                    signs += sign(later - earlier);
                }
            }
            variance += kendall_variance(&of_place);
        }
        let per_step = median(slopes);
        // A step towards 0, because the sum of signs is a whole number.
        let score = if variance > 0.0 {
            (signs - sign(signs)) / variance.sqrt()
        } else {
            0.0
        };
        let direction = match score {
            1.96.. if per_step > 0.0 => TrendDirection::Rising,
            ..=-1.96 if per_step < 0.0 => TrendDirection::Falling,
            _ => TrendDirection::Unclear,
        };
        let last = steps.len().saturating_sub(season);
        Some(Self {
            direction,
            per_step,
            level: median(steps.iter().skip(last).copied()),
            score,
        })
    }

    /// How much it rises over so many steps, as a part of the level: 0.1 is 10 percent. `None` where the level is 0.
    #[must_use]
    pub fn relative(&self, steps: usize) -> Option<f64> {
        (self.level.abs() > 0.0).then(|| self.per_step * count(steps) / self.level)
    }
}

fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// The variance of Kendall's sum of signs without a trend, less for values that are equal.
fn kendall_variance(values: &[f64]) -> f64 {
    let of = |number: f64| number * (number - 1.0) * 2.0_f64.mul_add(number, 5.0);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties = sorted.chunk_by(|one, other| one.total_cmp(other).is_eq());
    let tied: f64 = ties.map(|equal| of(count(equal.len()))).sum();
    (of(count(values.len())) - tied) / 18.0
}
