//! Forecasts by the median of several methods.

use super::{
    backtest::{Backtest, roll},
    numbers::{count, mean, median},
    robust::robust,
    seasonal::naive,
    smoothing::damped,
    theta::theta,
};

/// By what a series is continued.
///
/// ```
/// use tenancy_usage::forecast::ForecastMethod;
///
/// let weeks = [5.0, 5.0, 1.0, 6.0, 6.0, 2.0];
/// assert_eq!(ForecastMethod::SeasonalNaive.steps(&weeks, 3, 4), [6.0, 6.0, 2.0, 6.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForecastMethod {
    /// The mean of all steps, for each step.
    RunRate,
    /// The last season again.
    SeasonalNaive,
    /// Holt and Winters' smoothing with a trend that dies down.
    DampedTrend,
    /// Simple smoothing with half of the straight line's drift, without the season, which is put on again.
    Theta,
    /// The median of the last season, with the season's medians.
    RobustSeasonal,
    /// The median of the four before, step by step.
    Ensemble,
}

impl ForecastMethod {
    /// The next steps of a series by this method; none below 0, because usage is not. With less than two seasons of history, each
    /// method is [`RunRate`](Self::RunRate). A season is one step or more.
    #[must_use]
    pub fn steps(self, history: &[f64], season: usize, horizon: usize) -> Vec<f64> {
        let has_seasons = season > 0 && history.len() >= season.saturating_mul(2);
        let steps = match self {
            _ if !has_seasons => vec![mean(history); horizon],
            Self::RunRate => vec![mean(history); horizon],
            Self::SeasonalNaive => naive(history, season, horizon),
            Self::DampedTrend => damped(history, season, horizon),
            Self::Theta => theta(history, season, horizon),
            Self::RobustSeasonal => robust(history, season, horizon),
            Self::Ensemble => {
                let methods = [naive, damped, theta, robust];
                let all = methods.map(|method| method(history, season, horizon));
                let at = |step: usize| {
                    let of_each = all.iter().filter_map(|steps| steps.get(step).copied());
                    median(of_each.filter(|value| value.is_finite()))
                };
                (0..horizon).map(at).collect()
            }
        };
        let not_below_0 = |step: f64| if step.is_finite() { step.max(0.0) } else { 0.0 };
        steps.into_iter().map(not_below_0).collect()
    }
}

/// How far a forecast can be trusted.
///
/// ```
/// use tenancy_usage::forecast::{Confidence, Forecast};
///
/// let nine_days = [3.0; 9];
/// assert_eq!(Forecast::of(&nine_days, 7, 5)?.confidence, Confidence::Low);
/// # Ok::<(), tenancy_usage::forecast::ForecastError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Confidence {
    /// There is so little history that nothing is known of the error: less than two seasons, or less than five earlier forecasts.
    Low,
    /// The interval comes from five or more earlier forecasts.
    Measured,
}

/// Why there is no forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForecastError {
    /// Nothing is known of the series.
    #[error("the series is empty; forecast when it has one step or more")]
    NoHistory,
    /// A value is below 0, infinite or not a number.
    #[error(
        "step {step} of the series is below 0, infinite or no number; give what was really used"
    )]
    BadValue {
        /// Its number, from 0.
        step: usize,
    },
    /// A season has no step.
    #[error(
        "a season of 0 steps is none; give 7 for days with a weekly pattern, or 1 where there is no pattern"
    )]
    NoSeason,
}

/// How a series goes on.
///
/// ```
/// use tenancy_usage::forecast::{Confidence, Forecast};
///
/// // Eight weeks of a service that is used on working days.
/// let days: Vec<f64> = (0..56).map(|day| if day % 7 < 5 { 1_000.0 } else { 100.0 }).collect();
/// let week = Forecast::of(&days, 7, 7)?;
/// assert_eq!(week.confidence, Confidence::Measured);
/// assert!((week.total - 5_200.0).abs() < 1.0, "{week:?}");
/// # Ok::<(), tenancy_usage::forecast::ForecastError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Forecast {
    /// By which method.
    pub method: ForecastMethod,
    /// The next steps.
    pub steps: Vec<f64>,
    /// Their sum.
    pub total: f64,
    /// Above what the sum will lie in 9 of 10 cases, if errors are as before.
    pub low: f64,
    /// Below what it will lie in 9 of 10 cases.
    pub high: f64,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// How wrong such forecasts were at earlier times; `None` where there is too little history to tell.
    pub backtest: Option<Backtest>,
}

/// From how many earlier forecasts on the interval is trusted.
const TRUSTED_CUTS: usize = 5;

impl Forecast {
    /// The next steps of a series, whose pattern comes again each season: 7 for days, 24 for hours.
    ///
    /// # Errors
    /// A [`ForecastError`] for an empty series, values that are no usage, and a season of 0.
    pub fn of(history: &[f64], season: usize, horizon: usize) -> Result<Self, ForecastError> {
        if history.is_empty() {
            return Err(ForecastError::NoHistory);
        }
        if season == 0 {
            return Err(ForecastError::NoSeason);
        }
        let is_usage = |value: &f64| value.is_finite() && *value >= 0.0;
        if let Some(step) = history.iter().position(|value| !is_usage(value)) {
            return Err(ForecastError::BadValue { step });
        }
        if history.len() < season.saturating_mul(2) {
            return Ok(Self::by_run_rate(history, horizon));
        }
        let method = ForecastMethod::Ensemble;
        let steps = method.steps(history, season, horizon);
        let total = steps.iter().sum();
        let rolled = (horizon > 0)
            .then(|| roll(method, history, season, horizon))
            .flatten();
        let is_trusted = rolled
            .as_ref()
            .is_some_and(|it| it.backtest.cuts >= TRUSTED_CUTS);
        let (low, high) = match &rolled {
            Some(rolled) if is_trusted => rolled.interval(total),
            _ => extremes(history, horizon),
        };
        Ok(Self {
            method,
            steps,
            total,
            low: low.min(total),
            high: high.max(total),
            confidence: if is_trusted {
                Confidence::Measured
            } else {
                Confidence::Low
            },
            backtest: rolled.map(|rolled| rolled.backtest),
        })
    }

    fn by_run_rate(history: &[f64], horizon: usize) -> Self {
        let steps = vec![mean(history); horizon];
        let (low, high) = extremes(history, horizon);
        Self {
            method: ForecastMethod::RunRate,
            total: steps.iter().sum(),
            steps,
            low,
            high,
            confidence: Confidence::Low,
            backtest: None,
        }
    }
}

/// Each step as small as the smallest, and as large as the largest, that there was.
fn extremes(history: &[f64], horizon: usize) -> (f64, f64) {
    let least = history.iter().copied().fold(f64::INFINITY, f64::min);
    let most = history.iter().copied().fold(0.0, f64::max);
    (least * count(horizon), most * count(horizon))
}
