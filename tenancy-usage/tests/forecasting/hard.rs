//! Series that are short, flat, empty, shifted or wrong.

use tenancy_core::testing::random::Random;
use tenancy_usage::forecast::{Confidence, Forecast, ForecastError, ForecastMethod};

#[test]
fn what_is_no_series_is_refused() {
    assert_eq!(Forecast::of(&[], 7, 3), Err(ForecastError::NoHistory));
    assert_eq!(Forecast::of(&[1.0], 0, 3), Err(ForecastError::NoSeason));
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let error = Forecast::of(&[1.0, bad], 7, 3);
        assert_eq!(error, Err(ForecastError::BadValue { step: 1 }));
    }
}

#[test]
fn less_than_two_seasons_go_on_at_the_mean_rate_and_say_so() {
    for days in 1..14 {
        let history: Vec<_> = (0..days).map(f64::from).collect();
        let forecast = Forecast::of(&history, 7, 4).unwrap();
        let mean = f64::from(days - 1) / 2.0;
        assert_eq!(forecast.method, ForecastMethod::RunRate);
        assert_eq!(forecast.confidence, Confidence::Low);
        assert!((forecast.total - 4.0 * mean).abs() < 1e-9, "{forecast:?}");
        assert!(forecast.low <= forecast.total && forecast.total <= forecast.high);
        assert!(forecast.backtest.is_none());
    }
    let two_weeks = Forecast::of(&[1.0; 14], 7, 4).unwrap();
    assert_eq!(
        (two_weeks.method, two_weeks.confidence),
        (ForecastMethod::Ensemble, Confidence::Low)
    );
}

#[test]
fn constants_zeros_and_holes_stay_what_they_are() {
    for (name, series) in [
        ("zeros", vec![0.0; 60]),
        ("constant", vec![5.0; 60]),
        (
            "weekends off",
            (0..60)
                .map(|day| if day % 7 < 5 { 9.0 } else { 0.0 })
                .collect(),
        ),
    ] {
        let forecast = Forecast::of(&series, 7, 7).unwrap();
        let last = ForecastMethod::SeasonalNaive.steps(&series, 7, 7);
        for (told, expected) in forecast.steps.iter().zip(&last) {
            assert!((told - expected).abs() < 1e-6, "{name}: {forecast:?}");
        }
        assert!(forecast.low.is_finite() && forecast.high.is_finite());
    }
    let nothing = Forecast::of(&[3.0; 60], 7, 0).unwrap();
    assert_eq!(
        (nothing.steps.len(), nothing.confidence),
        (0, Confidence::Low)
    );
    assert!(nothing.total.abs() < 1e-12);
}

#[test]
fn a_level_that_doubles_is_followed() {
    let mut random = Random::new(7);
    let day = |day: usize, level: f64, random: &mut Random| {
        let week = [1.0, 1.1, 1.05, 1.0, 0.9, 0.3, 0.25][day % 7];
        level * week * (0.95 + random.below(100) as f64 / 1_000.0)
    };
    let mut series: Vec<_> = (0..84).map(|it| day(it, 1_000.0, &mut random)).collect();
    series.extend((84..98).map(|it| day(it, 2_000.0, &mut random)));
    let real: f64 = (98..112).map(|it| day(it, 2_000.0, &mut random)).sum();
    let forecast = Forecast::of(&series, 7, 14).unwrap();
    let off = (forecast.total - real).abs() / real;
    println!(
        "two weeks after a level that doubled, the total is off by {:.1} %",
        off * 100.0
    );
    assert!(off < 0.1, "{off}");
}

#[test]
fn one_odd_day_moves_little() {
    let mut series: Vec<_> = (0..56)
        .map(|day| if day % 7 < 5 { 100.0 } else { 20.0 })
        .collect();
    let total =
        |method: ForecastMethod, series: &[f64]| method.steps(series, 7, 7).iter().sum::<f64>();
    let methods = [
        ForecastMethod::Ensemble,
        ForecastMethod::SeasonalNaive,
        ForecastMethod::RobustSeasonal,
    ];
    let before = methods.map(|method| total(method, &series));
    series[52] = 2_000.0;
    let after = methods.map(|method| total(method, &series));
    let moved = |place: usize| (after[place] - before[place]) / before[place];
    let [ensemble, naive, robust] = [moved(0), moved(1), moved(2)];
    println!(
        "a day of 20 times its usage moves the next week's total by {:.0} %, and the last week again by {:.0} %",
        ensemble * 100.0,
        naive * 100.0
    );
    assert!(robust.abs() < 1e-9, "{robust}");
    assert!(ensemble < naive / 4.0, "{ensemble} beside {naive}");
}
