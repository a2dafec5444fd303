//! The theta method.

use super::{
    numbers::{count, mean},
    seasonal::{Action, indices, naive},
};

/// V. Assimakopoulos, K. Nikolopoulos, "The theta model", International Journal of Forecasting 16 (2000), in the form of R. J.
/// Hyndman, B. Billah, "Unmasking the Theta method", the same 19 (2003): simple exponential smoothing with a drift of half the
/// slope of a straight line through the series. The season is taken off before and put on again afterwards.
pub(super) fn theta(history: &[f64], season: usize, horizon: usize) -> Vec<f64> {
    let action = Action::of(history);
    let indices = indices(history, season, action);
    let index_at = |step: usize| {
        let index = indices.get(step % season.max(1));
        index.copied().unwrap_or(action.neutral())
    };
    let steps = history.iter().enumerate();
    let level: Vec<_> = steps
        .map(|(step, value)| action.take_off(*value, index_at(step)))
        .collect();
    let Some((smoothing, last)) = smoothed(&level) else {
        return naive(history, season, horizon);
    };
    let drift = slope(&level) / 2.0;
    // Where smoothing has not caught up with the drift yet.
    let behind = (1.0 - (1.0 - smoothing).powf(count(level.len()))) / smoothing;
    (0..horizon)
        .map(|step| {
            let value = last + drift * (count(step) + behind);
            action.apply(value, index_at(history.len() + step))
        })
        .collect()
}

/// The constant of simple exponential smoothing with the smallest sum of squared errors, and the last level by it.
fn smoothed(values: &[f64]) -> Option<(f64, f64)> {
    let (first, rest) = values.split_first()?;
    let constants = (1..=19).map(|number| count(number) / 20.0);
    let runs = constants.map(|constant| {
        let (mut level, mut sum) = (*first, 0.0);
        for value in rest {
            sum += (value - level).powi(2);
            level += constant * (value - level);
        }
        (sum, constant, level)
    });
    let best = runs.min_by(|one, other| one.0.total_cmp(&other.0))?;
    Some((best.1, best.2))
}

/// The slope of the straight line with the smallest sum of squared errors.
fn slope(values: &[f64]) -> f64 {
    let (middle, level) = (count(values.len().saturating_sub(1)) / 2.0, mean(values));
    let (mut above, mut below) = (0.0, 0.0);
    for (step, value) in values.iter().enumerate() {
        let distance = count(step) - middle;
        above += distance * (value - level);
        below += distance * distance;
    }
    if below > 0.0 { above / below } else { 0.0 }
}
