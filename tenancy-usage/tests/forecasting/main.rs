//! Forecasts of public series, and of what is hard: `cargo test -p tenancy-usage --test forecasting -- --nocapture` prints the
//! errors.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "helpers of tests fail and print as tests do"
)]

mod hard;
mod public;
mod tiers;

/// A public series, by equal steps: its name, its season, and its numbers.
struct Series {
    name: &'static str,
    season: usize,
    values: Vec<f64>,
}

fn series() -> Vec<Series> {
    let all = [
        ("airline", 12, include_str!("series/airline.txt")),
        ("wine", 12, include_str!("series/wine.txt")),
        ("beer", 4, include_str!("series/beer.txt")),
        ("wool", 4, include_str!("series/wool.txt")),
        ("electricity", 7, include_str!("series/electricity.txt")),
        ("co2", 12, include_str!("series/co2.txt")),
    ];
    let read = |(name, season, text): (&'static str, usize, &str)| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines
            .flat_map(str::split_whitespace)
            .map(|it| it.parse().unwrap());
        let values = values.collect();
        Series {
            name,
            season,
            values,
        }
    };
    all.into_iter().map(read).collect()
}
