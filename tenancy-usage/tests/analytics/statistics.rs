//! Trends and drifts of generated series: `cargo test -p tenancy-usage --test analytics statistics -- --nocapture` prints how often
//! they are found, and found where there are none.

use tenancy_core::testing::random::Random;
use tenancy_usage::analytics::{Drift, DriftDetector, Trend, TrendDirection};

/// A number of a normal distribution, by the sum of twelve of an even one.
fn normal(random: &mut Random) -> f64 {
    (0..12)
        .map(|_| random.below(1_000_000) as f64 / 1_000_000.0)
        .sum::<f64>()
        - 6.0
}

/// Days with a week and a noise of a tenth, and a level that may depend on the day.
fn days(seed: u64, number: usize, level: impl Fn(usize) -> f64) -> Vec<f64> {
    // Seeds that are near to each other would begin alike.
    let mut random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    (0..number)
        .map(|day| {
            let week = if day % 7 < 5 { 1.0 } else { 0.3 };
            1_000.0 * level(day) * week * (0.1 * normal(&mut random)).exp()
        })
        .collect()
}

#[test]
fn a_trend_is_found_and_rarely_where_there_is_none() {
    let found = |level: fn(usize) -> f64, direction| {
        let is_found =
            |seed: &u64| Trend::of(&days(*seed, 91, level), 7).unwrap().direction == direction;
        (1..=200).filter(is_found).count()
    };
    let rising = found(|day| 1.0 + 0.003 * day as f64, TrendDirection::Rising);
    let falling = found(|day| 1.0 - 0.003 * day as f64, TrendDirection::Falling);
    let none = 200 - found(|_| 1.0, TrendDirection::Unclear);
    println!("of 200 series: {rising} rising, {falling} falling; {none} of 200 without a trend");
    assert!(rising >= 195 && falling >= 195 && none <= 20);
}

#[test]
fn the_slope_is_that_of_the_days_whatever_a_few_odd_ones_are() {
    let mut series = days(5, 91, |day| 1.0 + 0.01 * day as f64);
    for odd in [3, 30, 31, 60] {
        series[odd] *= 50.0;
    }
    let trend = Trend::of(&series, 7).unwrap();
    // Working days rise by 10 a day, and weekends by 3.
    assert!((6.0..12.0).contains(&trend.per_step), "{trend:?}");
    assert!(trend.relative(7).unwrap() > 0.0);
}

#[test]
fn series_that_say_nothing_have_no_trend() {
    assert_eq!(Trend::of(&[], 7), None);
    assert_eq!(Trend::of(&[1.0; 20], 7), None);
    assert_eq!(Trend::of(&[1.0; 21], 0), None);
    let mut broken = [1.0; 21];
    broken[4] = f64::NAN;
    assert_eq!(Trend::of(&broken, 7), None);
    let flat = Trend::of(&[0.0; 21], 7).unwrap();
    assert_eq!(
        (flat.direction, flat.per_step, flat.score, flat.relative(7)),
        (TrendDirection::Unclear, 0.0, 0.0, None)
    );
    let same = Trend::of(&[5.0; 4_000], 1).unwrap();
    assert_eq!((same.direction, same.level), (TrendDirection::Unclear, 5.0));
}

#[test]
fn a_level_that_moved_is_found_soon_and_rarely_one_that_did_not() {
    let detector = DriftDetector::new();
    let (mut found, mut late, mut off, mut false_alarms) = (0, 0, 0.0, 0);
    for seed in 1..=200 {
        let moved = if seed % 2 == 0 { 1.5 } else { 0.6 };
        let drifts = detector.find(&days(seed, 112, |day| if day < 70 { 1.0 } else { moved }));
        let is_right = |it: &&Drift| {
            (63..=80).contains(&it.since) && it.noticed >= 70 && (it.ratio > 1.0) == (moved > 1.0)
        };
        if let Some(drift) = drifts.iter().find(is_right) {
            found += 1;
            late += drift.noticed - 70;
            off += (drift.ratio / moved).ln().abs();
        }
        false_alarms += detector.find(&days(seed + 1_000, 112, |_| 1.0)).len();
    }
    let rate = f64::from(false_alarms as u32) * 365.0 / (200.0 * 84.0);
    let number = f64::from(found);
    let (days, off) = (f64::from(late as u32) / number, off / number);
    println!(
        "{found} of 200 found, {days:.1} days later, ratio {off:.3} off; {rate:.1} false alarms in a year"
    );
    assert!(
        found >= 180 && days < 4.0 && off < 0.15,
        "{found}, {days}, {off}"
    );
    assert!(rate < 3.0, "{rate}");
}

#[test]
fn one_odd_day_is_no_drift_and_bad_series_have_none() {
    let mut series: Vec<_> = (0..70)
        .map(|day| if day % 7 < 5 { 100.0 } else { 10.0 })
        .collect();
    assert_eq!(DriftDetector::new().find(&series), []);
    series[40] *= 1_000.0;
    series[55] = 0.0;
    assert_eq!(DriftDetector::new().find(&series), []);
    series[60] = f64::INFINITY;
    assert_eq!(DriftDetector::new().find(&series), []);
    assert_eq!(DriftDetector::new().find(&[]), []);
    assert_eq!(DriftDetector::new().find(&[0.0; 100]), []);
    assert!(DriftDetector::new().season(0).is_err());
    assert!(
        [3.0, f64::NAN, -1.0]
            .iter()
            .all(|limit| DriftDetector::new().limit(*limit).is_err())
    );
}
