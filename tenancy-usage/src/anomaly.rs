//! Anomalies: days on which a tenant used much more, or much less, than on such days before.
//!
//! Each day is compared with the median of the same weekday in the weeks before, as the logarithm of their ratio, so that half as much
//! and twice as much are equally far. It is odd if that is further from its median of the last weeks than `k` median absolute
//! deviations, scaled to a standard deviation: the modified z-score of B. Iglewicz and D. C. Hoaglin, "How to Detect and Handle
//! Outliers" (1993), over a season's ratios.

use std::cmp::Ordering;

use tenancy_core::ConfigError;

use crate::forecast::numbers::median;

/// How odd days are found.
///
/// ```
/// use tenancy_usage::anomaly::AnomalyDetector;
///
/// let mut days: Vec<f64> = (0..70).map(|day| if day % 7 < 5 { 1_000.0 + f64::from(day % 3) } else { 200.0 }).collect();
/// days[64] *= 4.0;
/// let found = AnomalyDetector::new().find(&days);
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].day, 64);
/// assert!(found[0].ratio > 3.9);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct AnomalyDetector {
    k: f64,
    season: usize,
    weeks: usize,
    least_spread: f64,
}

/// A day that is odd.
///
/// ```
/// use tenancy_usage::anomaly::Anomaly;
///
/// fn shown(odd: &Anomaly) -> String {
///     format!("day {}: {:.1} times as much as usual", odd.day, odd.ratio)
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Anomaly {
    /// Its number in the series, from 0.
    pub day: usize,
    /// What was used.
    pub used: f64,
    /// What is usual on such a day: the median of the same weekday before.
    pub usual: f64,
    /// What was used beside what is usual: 2 is twice as much. Both are counted from 1 on, so that 0 is no division by it.
    pub ratio: f64,
    /// How many deviations it is from what ratios were before; below 0 if less was used.
    pub score: f64,
}

impl AnomalyDetector {
    /// How many weeks there have to be before a day is judged.
    pub const LEAST_WEEKS: usize = 4;

    /// Weeks of seven days, the eight weeks before, and a `k` of 4.
    pub const fn new() -> Self {
        Self {
            k: 4.0,
            season: 7,
            weeks: 8,
            least_spread: 0.05,
        }
    }

    /// How many deviations are odd. A smaller number finds more and is wrong more often. Default: 4.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is not above 0.
    pub fn k(mut self, k: f64) -> Result<Self, ConfigError> {
        self.k = above_0("the number of deviations", k)?;
        Ok(self)
    }

    /// How many days have the same pattern again. Default: 7.
    ///
    /// # Errors
    /// A [`ConfigError`] for 0 days.
    pub fn season(mut self, days: usize) -> Result<Self, ConfigError> {
        if days == 0 {
            return Err(ConfigError::new(
                "a season of 0 days is none; give 7 for weeks, or 1 where days are alike",
            ));
        }
        self.season = days;
        Ok(self)
    }

    /// The deviation that is supposed at least, as a logarithm of a ratio, so that a tenant whose days are all alike is not odd for a
    /// difference of a hundredth. Default: 0.05, which is 5 percent; with a `k` of 4, a day is odd from 22 percent on at the earliest.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is not above 0.
    pub fn least_spread(mut self, spread: f64) -> Result<Self, ConfigError> {
        self.least_spread = above_0("the least deviation", spread)?;
        Ok(self)
    }

    /// Judges each day of a series by the days before it, the oldest first. Days that were odd do not make what is usual odd, because
    /// medians do not follow them. The first [four weeks](Self::LEAST_WEEKS) are not judged; nor is what is no number.
    #[must_use]
    pub fn find(&self, days: &[f64]) -> Vec<Anomaly> {
        // The usual of a day, and the logarithm of its ratio.
        let seen: Vec<Option<(f64, f64)>> =
            (0..days.len()).map(|day| self.ratio(days, day)).collect();
        let judged = days.iter().enumerate();
        judged
            .filter_map(|(day, used)| self.judge(&seen, day, *used))
            .collect()
    }

    /// The same for the newest day alone.
    #[must_use]
    pub fn newest(&self, days: &[f64]) -> Option<Anomaly> {
        let last = days.len().checked_sub(1)?;
        self.find(days).pop().filter(|found| found.day == last)
    }

    fn ratio(&self, days: &[f64], day: usize) -> Option<(f64, f64)> {
        let used = days
            .get(day)
            .copied()
            .filter(|it| it.is_finite() && *it >= 0.0)?;
        let before =
            (1..=self.weeks).filter_map(|week| days.get(day.checked_sub(week * self.season)?));
        let before: Vec<_> = before
            .copied()
            .filter(|it| it.is_finite() && *it >= 0.0)
            .collect();
        if before.len() < 2 {
            return None;
        }
        let usual = median(before);
        Some((usual, ((used + 1.0) / (usual + 1.0)).ln()))
    }

    fn judge(&self, seen: &[Option<(f64, f64)>], day: usize, used: f64) -> Option<Anomaly> {
        if day < Self::LEAST_WEEKS * self.season {
            return None;
        }
        let (usual, log) = seen.get(day).copied().flatten()?;
        let first = day.saturating_sub(self.weeks * self.season);
        let before = seen.get(first..day)?.iter().flatten().map(|(_, log)| *log);
        let before: Vec<_> = before.collect();
        if before.len() < self.season {
            return None;
        }
        let centre = median(before.iter().copied());
        // The median absolute deviation of a normal distribution, as its standard deviation.
        let spread = 1.4826 * median(before.iter().map(|log| (log - centre).abs()));
        let score = (log - centre) / spread.max(self.least_spread);
        let is_odd = score.abs().partial_cmp(&self.k) == Some(Ordering::Greater);
        is_odd.then_some(Anomaly {
            day,
            used,
            usual,
            ratio: log.exp(),
            score,
        })
    }
}

fn above_0(what: &str, value: f64) -> Result<f64, ConfigError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(ConfigError::new(format!(
            "{what} is {value}; give a number above 0"
        )))
    }
}

impl Default for AnomalyDetector {
    fn default() -> Self {
        Self::new()
    }
}
