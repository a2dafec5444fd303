//! Errors on public series, from up to six origins each, one season ahead.

use tenancy_usage::forecast::{Forecast, ForecastMethod};

use super::{Series, series};

const METHODS: [ForecastMethod; 6] = [
    ForecastMethod::RunRate,
    ForecastMethod::SeasonalNaive,
    ForecastMethod::DampedTrend,
    ForecastMethod::Theta,
    ForecastMethod::RobustSeasonal,
    ForecastMethod::Ensemble,
];

/// What is known and what came, at each origin.
fn origins(series: &Series) -> Vec<(&[f64], &[f64])> {
    let Series { season, values, .. } = series;
    let origins = (1..=6).filter_map(|number| values.len().checked_sub(number * season));
    let origins = origins.filter(|origin| *origin >= 3 * season);
    origins
        .map(|origin| (&values[..origin], &values[origin..origin + season]))
        .collect()
}

/// The scaled error by its definition, written here a second time, and the error of the sum.
fn errors(known: &[f64], real: &[f64], told: &[f64], season: usize) -> (f64, f64) {
    let mut scale = 0.0;
    for step in season..known.len() {
        scale += (known[step] - known[step - season]).abs();
    }
    scale /= (known.len() - season) as f64;
    let mut error = 0.0;
    for step in 0..real.len() {
        error += (told[step] - real[step]).abs();
    }
    error /= real.len() as f64;
    let (sum, told): (f64, f64) = (real.iter().sum(), told.iter().sum());
    (error / scale, (told - sum).abs() / sum)
}

#[test]
fn the_ensemble_is_better_than_the_last_season_again() {
    let mut sums = [(0.0, 0.0); METHODS.len()];
    let all = series();
    println!("MASE, and the error of the season's total:");
    for series in &all {
        let origins = origins(series);
        assert!(origins.len() >= 5, "{} is long enough", series.name);
        let mut line = format!("{:12} {} origins", series.name, origins.len());
        for (method, sum) in METHODS.iter().zip(&mut sums) {
            let (mut mase, mut total) = (0.0, 0.0);
            for (known, real) in &origins {
                let told = method.steps(known, series.season, real.len());
                let (scaled, of_total) = errors(known, real, &told, series.season);
                mase += scaled / origins.len() as f64;
                total += of_total / origins.len() as f64;
            }
            line += &format!("  {method:?} {mase:.2} ({:.1} %)", total * 100.0);
            sum.0 += mase / all.len() as f64;
            sum.1 += total / all.len() as f64;
        }
        println!("{line}");
    }
    for (method, (mase, total)) in METHODS.iter().zip(sums) {
        println!("mean         {method:?} {mase:.3} ({:.2} %)", total * 100.0);
    }
    let [run_rate, naive, .., ensemble] = sums;
    assert!(ensemble.0 < 0.9 * naive.0, "{ensemble:?} beside {naive:?}");
    assert!(ensemble.0 < run_rate.0 && ensemble.1 < run_rate.1);
    assert!(
        ensemble.1 < 0.05,
        "totals are within 5 percent on average: {ensemble:?}"
    );
}

#[test]
fn the_interval_holds_about_as_often_as_it_says() {
    let (mut within, mut number) = (0, 0);
    for series in series() {
        let horizon = series.season;
        for origin in (5 * horizon..=series.values.len() - horizon).step_by(horizon) {
            let (known, rest) = series.values.split_at(origin);
            let forecast = Forecast::of(known, series.season, horizon).unwrap();
            let real: f64 = rest[..horizon].iter().sum();
            within += usize::from(forecast.low <= real && real <= forecast.high);
            number += 1;
        }
    }
    let part = within as f64 / number as f64;
    println!(
        "{within} of {number} sums are in an interval for 80 percent: {:.0} %",
        part * 100.0
    );
    assert!(number > 80, "enough to tell");
    assert!((0.65..=0.95).contains(&part), "{part}");
}

#[test]
fn the_error_that_is_told_is_the_error() {
    let airline = &series()[0];
    let (known, horizon) = (&airline.values[..], 12);
    let backtest = Forecast::of(known, 12, horizon).unwrap().backtest.unwrap();
    // The same earlier times: twelve, evenly from the newest back.
    let (newest, oldest) = (known.len() - horizon, 24);
    let step = (newest - oldest) / 12;
    let (mut mase, mut total, mut naive) = (0.0, 0.0, 0.0);
    for number in 0..12 {
        let (before, rest) = known.split_at(newest - number * step);
        let told = ForecastMethod::Ensemble.steps(before, 12, horizon);
        let (scaled, of_total) = errors(before, &rest[..horizon], &told, 12);
        let last = ForecastMethod::SeasonalNaive.steps(before, 12, horizon);
        mase += scaled / 12.0;
        total += of_total / 12.0;
        naive += errors(before, &rest[..horizon], &last, 12).0 / 12.0;
    }
    assert_eq!(backtest.cuts, 12);
    assert!(
        (backtest.mase - mase).abs() < 1e-9,
        "{backtest:?} and {mase}"
    );
    assert!(
        (backtest.total_error - total).abs() < 1e-9,
        "{backtest:?} and {total}"
    );
    assert!(
        (backtest.seasonal_naive_mase - naive).abs() < 1e-9,
        "{backtest:?} and {naive}"
    );
}
