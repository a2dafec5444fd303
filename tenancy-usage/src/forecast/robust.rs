//! A season by medians, which one odd day does not move.

use super::{
    numbers::median,
    seasonal::{Action, by_place},
};

/// The median of the last season, with the median of what each place of the season was beside the median of its season. No source:
/// the seasonal means of classical decomposition, with medians in their place.
pub(super) fn robust(history: &[f64], season: usize, horizon: usize) -> Vec<f64> {
    let action = Action::of(history);
    // Whole seasons, counted from the end.
    let odd = history.len() % season.max(1);
    let whole = history.get(odd..).unwrap_or_default();
    let beside = whole.chunks(season.max(1)).flat_map(|values| {
        let level = median(values.iter().copied());
        values
            .iter()
            .map(move |value| action.take_off(*value, level))
    });
    let places = by_place(beside, season);
    let first = whole.len().saturating_sub(season);
    let level = median(whole.iter().skip(first).copied());
    let ahead = places.iter().map(|values| median(values.iter().copied()));
    let ahead: Vec<_> = ahead.map(|index| action.apply(level, index)).collect();
    ahead.into_iter().cycle().take(horizon).collect()
}
