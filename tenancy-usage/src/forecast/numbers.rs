//! Means, medians and quantiles.

pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().sum::<f64>() / count(values.len())
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// By linear interpolation between the two nearest; 0 of nothing.
pub(crate) fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut sorted: Vec<_> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = part.clamp(0.0, 1.0) * count(last);
    let at = |place: f64| {
        let rank = whole(place).min(last);
        sorted.get(rank).copied().unwrap_or_default()
    };
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * (place - place.floor())
}

#[allow(clippy::cast_precision_loss, reason = "a number of days")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank in a list, which is not below 0"
)]
fn whole(place: f64) -> usize {
    place as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_nearest_two() {
        for (part, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (1.0, 4.0), (2.0, 4.0)] {
            let told = quantile([4.0, 1.0, 3.0, 2.0], part);
            assert!((told - expected).abs() < 1e-12, "{part}: {told}");
        }
        assert!(median([]).abs() < 1e-12 && (median([7.0]) - 7.0).abs() < 1e-12);
    }
}
