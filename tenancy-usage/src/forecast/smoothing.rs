//! Holt and Winters' method with a damped trend.

use std::collections::VecDeque;

use super::{
    numbers::mean,
    seasonal::{Action, by_place},
};

/// Formulas: R. J. Hyndman, G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, section 8.3, "damped method",
/// with a season that adds or multiplies; the damping is that of E. S. Gardner and E. McKenzie, "Forecasting trends in time
/// series", Management Science 31 (1985). The parameters are those of a grid with the smallest sum of squared errors one step
/// ahead. At least two seasons of history.
pub(super) fn damped(history: &[f64], season: usize, horizon: usize) -> Vec<f64> {
    let mut best: Option<(f64, State)> = None;
    let actions = match Action::of(history) {
        Action::Multiplies => vec![Action::Multiplies, Action::Adds],
        Action::Adds => vec![Action::Adds],
    };
    for action in actions {
        let start = State::start(history, season, action);
        for parameters in Parameters::grid() {
            let (error, state) = start.clone().over(history, season, parameters);
            if error.is_finite() && best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, state));
            }
        }
    }
    let state = best.map(|(_, state)| state);
    state.map_or_else(
        || super::seasonal::naive(history, season, horizon),
        |state| state.ahead(horizon),
    )
}

#[derive(Debug, Clone, Copy)]
struct Parameters {
    level: f64,
    trend: f64,
    season: f64,
    damping: f64,
}

impl Parameters {
    fn grid() -> impl Iterator<Item = Self> {
        const LEVELS: [f64; 6] = [0.05, 0.1, 0.2, 0.4, 0.6, 0.9];
        const TRENDS: [f64; 4] = [0.01, 0.05, 0.15, 0.4];
        const SEASONS: [f64; 4] = [0.05, 0.15, 0.4, 0.7];
        const DAMPINGS: [f64; 3] = [0.85, 0.93, 0.98];
        LEVELS.into_iter().flat_map(|level| {
            TRENDS.into_iter().flat_map(move |trend| {
                SEASONS.into_iter().flat_map(move |season| {
                    DAMPINGS.into_iter().map(move |damping| Self {
                        level,
                        trend,
                        season,
                        damping,
                    })
                })
            })
        })
    }
}

#[derive(Debug, Clone)]
struct State {
    action: Action,
    damping: f64,
    level: f64,
    trend: f64,
    /// The season's indices, of the next step first.
    season: VecDeque<f64>,
}

impl State {
    /// The level is the mean of the first season, the trend what the second is above it by step, the season what is left of both.
    fn start(history: &[f64], season: usize, action: Action) -> Self {
        let (first, rest) = history.split_at(season.min(history.len()));
        let (level, next) = (mean(first), mean(rest.get(..season).unwrap_or(rest)));
        let trend = (next - level) / super::numbers::count(season.max(1));
        let ratios = [first, rest.get(..season).unwrap_or_default()].into_iter();
        let ratios = ratios.zip([level, next]).flat_map(|(values, level)| {
            values.iter().map(move |value| match action {
                Action::Multiplies if level <= 0.0 => 1.0,
                action => action.take_off(*value, level),
            })
        });
        let places = by_place(ratios, season);
        Self {
            action,
            damping: 1.0,
            level,
            trend,
            season: places.iter().map(|values| mean(values)).collect(),
        }
    }

    /// The state after all of it, and the sum of squared errors after the first season.
    fn over(mut self, history: &[f64], season: usize, by: Parameters) -> (f64, Self) {
        self.damping = by.damping;
        let mut sum = 0.0;
        for (number, value) in history.iter().enumerate() {
            let before = self.season.pop_front().unwrap_or(self.action.neutral());
            let base = self.level + by.damping * self.trend;
            if number >= season {
                sum += (value - self.action.apply(base, before)).powi(2);
            }
            let level = by.level * self.action.take_off(*value, before) + (1.0 - by.level) * base;
            self.trend =
                by.trend * (level - self.level) + (1.0 - by.trend) * by.damping * self.trend;
            self.level = level;
            let own = match self.action {
                Action::Multiplies if base <= 0.0 => before,
                action => action.take_off(*value, base),
            };
            self.season
                .push_back(by.season * own + (1.0 - by.season) * before);
        }
        (sum, self)
    }

    fn ahead(&self, horizon: usize) -> Vec<f64> {
        let (mut damping, mut steps) = (1.0, 0.0);
        let season = self.season.iter().cycle().take(horizon);
        season
            .map(|index| {
                damping *= self.damping;
                steps += damping;
                self.action.apply(self.level + steps * self.trend, *index)
            })
            .collect()
    }
}
