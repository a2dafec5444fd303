//! Seasons: the seasonal naive forecast, and what of a series its season explains.

use super::numbers::{count, mean};

/// The last season again: R. J. Hyndman, G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, section 5.2.
pub(super) fn naive(history: &[f64], season: usize, horizon: usize) -> Vec<f64> {
    let first = history.len().saturating_sub(season);
    let last = history.get(first..).unwrap_or_default();
    last.iter().copied().cycle().take(horizon).collect()
}

/// The values of each place in the season. The first value is at place 0.
pub(super) fn by_place(values: impl IntoIterator<Item = f64>, season: usize) -> Vec<Vec<f64>> {
    let mut places = vec![Vec::new(); season];
    for (number, value) in values.into_iter().enumerate() {
        if let Some(place) = places.get_mut(number % season) {
            place.push(value);
        }
    }
    places
}

/// How a season acts on a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is added: where there are zeros.
    Adds,
    /// It multiplies.
    Multiplies,
}

impl Action {
    /// Ratios need values above 0.
    pub(super) fn of(history: &[f64]) -> Self {
        if history.iter().all(|value| *value > 0.0) {
            Self::Multiplies
        } else {
            Self::Adds
        }
    }

    pub(super) fn apply(self, level: f64, index: f64) -> f64 {
        match self {
            Self::Adds => level + index,
            Self::Multiplies => level * index,
        }
    }

    pub(super) fn take_off(self, value: f64, index: f64) -> f64 {
        match self {
            Self::Adds => value - index,
            Self::Multiplies => value / index,
        }
    }

    /// What changes nothing.
    pub(super) const fn neutral(self) -> f64 {
        match self {
            Self::Adds => 0.0,
            Self::Multiplies => 1.0,
        }
    }
}

/// The index of each place of the season, by classical decomposition: the mean of what is left without a centred moving average,
/// in sum or in mean neutral ("Forecasting: Principles and Practice", section 3.4). The first value is at place 0.
pub(super) fn indices(history: &[f64], season: usize, action: Action) -> Vec<f64> {
    let averages: Vec<_> = history.windows(season).map(mean).collect();
    let (trend, offset) = if season.is_multiple_of(2) {
        (averages.windows(2).map(mean).collect(), season / 2)
    } else {
        (averages, season / 2)
    };
    let rest = history.iter().skip(offset).zip(&trend);
    let rest: Vec<_> = rest
        .map(|(value, level)| action.take_off(*value, *level))
        .collect();
    // Their first is at the place of the offset.
    let shifted = by_place(rest, season);
    let mut indices: Vec<_> = (0..season)
        .map(|place| {
            let at = (place + season - offset % season) % season;
            shifted
                .get(at)
                .filter(|it| !it.is_empty())
                .map_or(action.neutral(), |it| mean(it))
        })
        .collect();
    let centre = mean(&indices);
    for index in &mut indices {
        *index = match action {
            Action::Adds => *index - centre,
            Action::Multiplies if centre > 0.0 => (*index / centre).max(1e-9),
            Action::Multiplies => 1.0,
        };
    }
    indices
}

/// The mean of how far each value is from the one a season before: what the errors of MASE are divided by.
pub(super) fn naive_error(history: &[f64], season: usize) -> f64 {
    let later = history.iter().skip(season);
    let errors = later
        .zip(history)
        .map(|(value, before)| (value - before).abs());
    let (sum, number) = errors.fold((0.0, 0), |(sum, number), error| (sum + error, number + 1));
    if number == 0 {
        0.0
    } else {
        sum / count(number)
    }
}
