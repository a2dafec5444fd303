//! Benchmarks: who is in them, and what they tell of one.

use std::time::Duration;

use tenancy_core::TenantId;
use tenancy_usage::{
    UsageErrorKind,
    analytics::{Analytics, Benchmark, BenchmarkRules},
};

use super::{NOW, World, at};

const OCTOBER: &str = "2026-10-02T00:00:00Z";

fn rules() -> BenchmarkRules {
    let rules = BenchmarkRules::new(&[7; 32]).unwrap().epsilon(2.0).unwrap();
    rules.steps([10.into(), 100.into(), 1_000.into()]).unwrap()
}

/// So many tenants that used 0, 50 and 5,000 in turn.
async fn world(tenants: usize) -> (World, Vec<TenantId>) {
    let world = World::new();
    let mut group: Vec<_> = (0..tenants).map(|_| TenantId::new()).collect();
    group.sort_unstable();
    for (tenant, quantity) in group.iter().zip([0, 50, 5_000].into_iter().cycle()) {
        world.tokens(*tenant, at(OCTOBER), quantity).await;
    }
    (world, group)
}

async fn ask(world: &World, rules: &BenchmarkRules, group: &[TenantId]) -> Benchmark {
    let analytics = Analytics::new(&world.sink);
    analytics
        .benchmark(rules, group, "tokens", at(OCTOBER), NOW)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_small_group_and_a_month_that_may_change_have_no_benchmark() {
    let (world, group) = world(12).await;
    let analytics = Analytics::new(&world.sink);
    // Ten, each of them twice.
    let twice: Vec<_> = group[2..].iter().chain(&group[2..]).copied().collect();
    for (group, month, why) in [
        (&twice[..], OCTOBER, "more than 10 tenants"),
        (&[], OCTOBER, "more than 10 tenants"),
        (
            &group,
            "2026-12-12T00:00:00Z",
            "may still change until 2027-02-04",
        ),
        (&group, "2027-01-09T00:00:00Z", "may still change"),
    ] {
        let rules = rules();
        let refused = analytics.benchmark(&rules, group, "tokens", at(month), NOW);
        let refused = refused.await.unwrap_err();
        assert_eq!(refused.kind(), UsageErrorKind::InvalidQuery, "{month}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    assert_eq!(ask(&world, &rules(), &group[1..]).await.tenants, 11);
    let december = "2026-12-12T00:00:00Z";
    let early = rules().settled_after(Duration::from_secs(3_600));
    analytics
        .benchmark(&early, &group, "tokens", at(december), NOW)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_same_question_has_the_same_answer_and_another_has_another_noise() {
    let (world, group) = world(60).await;
    let first = ask(&world, &rules(), &group).await;
    let mut backwards = group.clone();
    backwards.reverse();
    for _ in 0..20 {
        assert_eq!(ask(&world, &rules(), &backwards).await, first);
    }
    let counts = |benchmark: &Benchmark| benchmark.counts().collect::<Vec<_>>();
    // One noise may be another by chance; not each of twenty.
    let mut others = 0;
    for key in 8..28 {
        let other_key = BenchmarkRules::new(&[key; 32])
            .unwrap()
            .epsilon(2.0)
            .unwrap();
        let other_key = other_key
            .steps([10.into(), 100.into(), 1_000.into()])
            .unwrap();
        let other = ask(&world, &other_key, &group).await;
        others += usize::from(counts(&other) != counts(&first));
    }
    assert!(others > 0, "{first:?}");
    // A tenant less: if the noise were the same, four of five numbers would be, each time.
    let mut before = counts(&first);
    let mut others = 0;
    for left_out in 1..=20 {
        let fewer = counts(&ask(&world, &rules(), &group[left_out..]).await);
        let same = before
            .iter()
            .zip(&fewer)
            .filter(|(one, other)| one == other);
        others += usize::from(same.count() < 4);
        before = fewer;
    }
    assert!(others > 0, "{first:?}");
}

#[tokio::test]
async fn a_benchmark_is_near_the_truth_for_a_large_group_and_names_nobody() {
    let (world, group) = world(300).await;
    let benchmark = ask(&world, &rules(), &group).await;
    for (noisy, real) in benchmark.counts().zip([100_i32, 0, 100, 0, 100]) {
        let off = (i32::try_from(noisy).unwrap() - real).abs();
        assert!(off <= 12, "{benchmark:?}");
    }
    let text = format!("{benchmark:?} {:?}", rules());
    assert!(
        group
            .iter()
            .all(|tenant| !text.contains(&tenant.to_string()))
    );
    assert!(!text.contains("key") && !text.contains("[7, 7"), "{text}");

    let standing = benchmark.standing(50.into());
    assert!(
        (standing.below - 0.5).abs() < standing.margin + 0.02,
        "{standing:?}"
    );
    assert!(
        (standing.same_step - 0.33).abs() < 0.06 && standing.margin < 0.06,
        "{standing:?}"
    );
    assert!(benchmark.standing(0.into()).below < 0.25);
    assert!(benchmark.standing(999_999.into()).below > 0.75);
    assert_eq!(benchmark.quantile(0.5), (10.into(), Some(100.into())));
    assert_eq!(benchmark.quantile(0.1), (0.into(), Some(0.into())));
    assert_eq!(benchmark.quantile(0.9), (1_000.into(), None));
}

#[tokio::test]
async fn noise_is_what_was_said_over_many_keys() {
    let (world, group) = world(30).await;
    let analytics = Analytics::new(&world.sink);
    let mut sum = 0.0;
    for seed in 0..200_u8 {
        let rules = BenchmarkRules::new(&[seed; 32])
            .unwrap()
            .epsilon(2.0)
            .unwrap();
        let rules = rules.steps([10.into(), 100.into()]).unwrap();
        let benchmark = analytics
            .benchmark(&rules, &group, "tokens", at(OCTOBER), NOW)
            .await
            .unwrap();
        sum += benchmark.counts().next().unwrap() as f64 - 10.0;
    }
    // A variance of 1.84 with a scale of 1: five standard errors of the mean.
    assert!(
        (sum / 200.0).abs() < 5.0 * (1.84_f64 / 200.0).sqrt(),
        "{sum}"
    );
}

#[test]
fn rules_that_hide_too_little_are_refused() {
    assert!(BenchmarkRules::new(&[7; 31]).is_err());
    let rules = || BenchmarkRules::new(&[7; 32]).unwrap();
    assert!(rules().least_group(9).is_err() && rules().least_group(10).is_ok());
    assert!(
        [0.0, -1.0, 2.1, f64::NAN, f64::INFINITY]
            .iter()
            .all(|it| rules().epsilon(*it).is_err())
    );
    let steps = |steps: &[i64]| rules().steps(steps.iter().map(|it| (*it).into()));
    assert!(
        steps(&[]).is_err()
            && steps(&[0]).is_err()
            && steps(&[5, 5]).is_err()
            && steps(&[2, 1]).is_err()
    );
    assert!(steps(&(1..=33).collect::<Vec<_>>()).is_err() && steps(&[1, 2]).is_ok());
}
