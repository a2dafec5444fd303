//! How wrong forecasts were before.

use super::{
    ensemble::ForecastMethod,
    numbers::{count, quantile},
    seasonal::{naive, naive_error},
};

/// How wrong a method was at earlier times: it forecast as if what came later were not known, and was compared with it.
///
/// The errors are scaled: MASE is the mean absolute error, divided by that of the seasonal naive forecast one season ahead in the
/// history before (R. J. Hyndman, A. B. Koehler, "Another look at measures of forecast accuracy", International Journal of
/// Forecasting 22, 2006). Below [`seasonal_naive_mase`](Self::seasonal_naive_mase) the method is better than the last season again.
///
/// ```
/// use tenancy_usage::forecast::Forecast;
///
/// let weeks: Vec<f64> = (0..70).map(|day| if day % 7 < 5 { 100.0 + f64::from(day) } else { 20.0 }).collect();
/// let forecast = Forecast::of(&weeks, 7, 7)?;
/// let backtest = forecast.backtest.ok_or("too short")?;
/// assert!(backtest.mase < backtest.seasonal_naive_mase);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Backtest {
    /// At how many earlier times it forecast.
    pub cuts: usize,
    /// The mean of its scaled errors.
    pub mase: f64,
    /// The same of the seasonal naive forecast at the same times.
    pub seasonal_naive_mase: f64,
    /// The mean of how far the sum of all steps was off, as a part of what it really was: 0.04 is 4 percent.
    pub total_error: f64,
}

/// At how many earlier times a method forecasts at most.
const CUTS: usize = 12;

/// What came out of earlier forecasts.
#[derive(Debug, Clone)]
pub(super) struct Rolled {
    pub(super) backtest: Backtest,
    /// What the sum of all steps really was, beside its forecast: as a factor, where forecasts are above 0.
    factors: Vec<f64>,
    differences: Vec<f64>,
}

/// Forecasts at up to 12 earlier times, the newest with all of the horizon behind it; at least two seasons before each. `None` where
/// there is none.
pub(super) fn roll(
    method: ForecastMethod,
    history: &[f64],
    season: usize,
    horizon: usize,
) -> Option<Rolled> {
    let newest = history.len().checked_sub(horizon)?;
    let oldest = season.checked_mul(2)?;
    let room = newest.checked_sub(oldest)?;
    let step = (room / CUTS).max(1);
    let cuts: Vec<_> = (0..CUTS)
        .filter_map(|number| newest.checked_sub(number * step))
        .filter(|cut| *cut >= oldest)
        .collect();
    let (mut scaled, mut naive_scaled, mut total_error) = (0.0, 0.0, 0.0);
    let (mut factors, mut differences) = (Vec::new(), Vec::new());
    for cut in &cuts {
        let (known, rest) = history.split_at(*cut);
        let real = rest.get(..horizon)?;
        let forecast = method.steps(known, season, horizon);
        let scale = naive_error(known, season);
        let off = |forecast: &[f64]| {
            let errors = forecast
                .iter()
                .zip(real)
                .map(|(forecast, real)| (forecast - real).abs());
            let error = errors.sum::<f64>() / count(horizon.max(1));
            if scale > 0.0 { error / scale } else { error }
        };
        scaled += off(&forecast);
        naive_scaled += off(&naive(known, season, horizon));
        let (told, was) = (forecast.iter().sum::<f64>(), real.iter().sum::<f64>());
        total_error += if was > 0.0 {
            (told - was).abs() / was
        } else {
            0.0
        };
        if told > 0.0 {
            factors.push(was / told);
        }
        differences.push(was - told);
    }
    let number = count(cuts.len());
    (!cuts.is_empty()).then(|| Rolled {
        backtest: Backtest {
            cuts: cuts.len(),
            mase: scaled / number,
            seasonal_naive_mase: naive_scaled / number,
            total_error: total_error / number,
        },
        factors,
        differences,
    })
}

impl Rolled {
    /// Between what the sum will lie in 8 of 10 cases, if errors are as before: quantiles of the errors at earlier times, a rank
    /// further out than theirs, because there are few.
    pub(super) fn interval(&self, total: f64) -> (f64, f64) {
        let number = count(self.differences.len());
        let outer = |part: f64| 0.5 + (part - 0.5) * (number + 1.0) / (number - 1.0).max(1.0);
        let of = |errors: &[f64], part| quantile(errors.iter().copied(), outer(part));
        let (low, high) = if total > 0.0 && self.factors.len() == self.differences.len() {
            (
                total * of(&self.factors, 0.1),
                total * of(&self.factors, 0.9),
            )
        } else {
            (
                total + of(&self.differences, 0.1),
                total + of(&self.differences, 0.9),
            )
        };
        (low.min(total).max(0.0), high.max(total))
    }
}
