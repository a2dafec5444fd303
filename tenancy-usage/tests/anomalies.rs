//! Odd days of generated tenants: `cargo test -p tenancy-usage --test anomalies -- --nocapture` prints precision and recall.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "helpers of tests fail and print as tests do"
)]

use std::collections::BTreeSet;

use tenancy_core::testing::random::Random;
use tenancy_usage::anomaly::AnomalyDetector;

const DAYS: usize = 152;

/// A number of a normal distribution, by the sum of twelve of an even one.
fn normal(random: &mut Random) -> f64 {
    (0..12)
        .map(|_| random.below(1_000_000) as f64 / 1_000_000.0)
        .sum::<f64>()
        - 6.0
}

/// A tenant with a level, a growth, a week and a noise of its own, and the days that were made odd.
fn tenant(seed: u64) -> (Vec<f64>, BTreeSet<usize>) {
    let mut random = Random::new(seed);
    let level = 10_f64.powi(2 + random.below(5) as i32);
    let growth = 1.0 + (random.below(9) as f64 - 2.0) / 1_000.0;
    let weekend = 0.2 + random.below(80) as f64 / 100.0;
    let noise = 0.03 + random.below(12) as f64 / 100.0;
    let mut days: Vec<_> = (0..DAYS)
        .map(|day| {
            let week = if day % 7 < 5 { 1.0 } else { weekend };
            level * growth.powi(day as i32) * week * (noise * normal(&mut random)).exp()
        })
        .map(f64::round)
        .collect();
    let mut odd = BTreeSet::new();
    while odd.len() < 5 {
        let day = 28 + random.below(DAYS - 28);
        if odd.insert(day) {
            days[day] = (days[day] * random.of(&[0.15, 3.0, 4.0])).round();
        }
    }
    (days, odd)
}

#[test]
fn what_was_made_odd_is_found_and_little_else() {
    let (mut right, mut wrong, mut missed) = (0, 0, 0);
    let tenants = 60;
    for seed in 0..tenants {
        let (days, odd) = tenant(seed);
        let found: BTreeSet<_> = AnomalyDetector::new()
            .find(&days)
            .iter()
            .map(|it| it.day)
            .collect();
        right += found.intersection(&odd).count();
        wrong += found.difference(&odd).count();
        missed += odd.difference(&found).count();
    }
    let precision = right as f64 / (right + wrong) as f64;
    let recall = right as f64 / (right + missed) as f64;
    let years = tenants as f64 * (DAYS - 28) as f64 / 365.0;
    println!(
        "{tenants} tenants, {} odd days: precision {precision:.2}, recall {recall:.2}, {:.1} false alarms for each tenant and year",
        right + missed,
        wrong as f64 / years
    );
    assert_eq!(right + missed, 300);
    assert!(precision > 0.9 && recall > 0.9, "{precision} {recall}");
}

#[test]
fn a_smaller_k_finds_more() {
    let (days, _) = tenant(1);
    let found = |k| AnomalyDetector::new().k(k).unwrap().find(&days).len();
    assert!(found(2.0) > found(4.0) && found(4.0) > found(100.0));
    assert_eq!(found(100.0), 0);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(AnomalyDetector::new().k(bad).is_err());
        assert!(AnomalyDetector::new().least_spread(bad).is_err());
    }
    assert!(AnomalyDetector::new().season(0).is_err());
}

#[test]
fn short_flat_and_silent_series_have_no_alarm_without_a_reason() {
    let detector = AnomalyDetector::new();
    assert!(detector.find(&[]).is_empty());
    assert!(detector.find(&[1.0, 1_000.0, 1.0]).is_empty());
    assert!(detector.find(&[0.0; 100]).is_empty());
    assert!(detector.find(&[5.0; 100]).is_empty());
    // Four full weeks before the first that is judged.
    let mut days = vec![100.0; 28];
    days[27] = 900.0;
    assert!(detector.find(&days).is_empty());
    days[27] = 100.0;
    days.push(900.0);
    assert_eq!(detector.newest(&days).map(|it| it.day), Some(28));
    days.push(100.0);
    assert!(detector.newest(&days).is_none());
    // A tenant that stops, and what is no number.
    let mut days = vec![100.0; 60];
    days[58] = 0.0;
    days[59] = f64::NAN;
    let found = detector.find(&days);
    assert_eq!((found.len(), found[0].day), (1, 58));
    assert!(found[0].score < -4.0 && found[0].ratio < 0.01, "{found:?}");
}
