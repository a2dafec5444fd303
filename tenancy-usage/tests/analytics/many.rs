//! Questions about many tenants.

use tenancy_core::TenantId;
use tenancy_usage::{
    UsageErrorKind,
    analytics::{Analytics, Distribution},
};

use super::{World, at, month};

#[tokio::test]
async fn a_distribution_counts_each_tenant_once_and_those_without_usage() {
    let world = World::new();
    let tenants = [(); 5].map(|()| TenantId::new());
    for (tenant, quantity) in tenants.iter().zip([10, 20, 30, 40]) {
        world
            .tokens(*tenant, at("2027-01-02T00:00:00Z"), quantity)
            .await;
    }
    let twice: Vec<_> = tenants.iter().chain(&tenants).copied().collect();
    let analytics = Analytics::new(&world.sink);
    let january = month("2027-01-02T00:00:00Z");
    let spread = analytics
        .distribution(&twice, "tokens", january)
        .await
        .unwrap();
    assert_eq!(
        (spread.tenants().count(), spread.active(), spread.total()),
        (5, 4, 100.into())
    );
    assert_eq!(spread.tenants().next(), Some((tenants[3], 40.into())));
    assert_eq!(
        [0.0, 0.5, 1.0].map(|part| spread.quantile(part)),
        [Some(0.0), Some(20.0), Some(40.0)]
    );
    assert_eq!(
        (spread.share_of_top(2), spread.share_of_top(99)),
        (Some(0.7), Some(1.0))
    );
    // 2 × (1×0 + 2×10 + 3×20 + 4×30 + 5×40) / (5 × 100) - 6 / 5
    assert!((spread.gini().unwrap() - 0.4).abs() < 1e-12);

    let many: Vec<_> = (0..=Analytics::MAX_TENANTS)
        .map(|_| TenantId::new())
        .collect();
    let error = analytics
        .distribution(&many, "tokens", january)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), UsageErrorKind::InvalidQuery);
}

#[test]
fn a_distribution_of_nothing_or_of_one_has_clear_answers() {
    let nobody = Distribution::of([]);
    assert_eq!(
        (nobody.quantile(0.5), nobody.share_of_top(1), nobody.gini()),
        (None, None, None)
    );
    let unused = Distribution::of([(TenantId::new(), 0.into())]);
    assert_eq!(
        (unused.quantile(0.5), unused.share_of_top(1), unused.gini()),
        (Some(0.0), None, None)
    );
    let one = Distribution::of([(TenantId::new(), 5.into())]);
    assert_eq!(
        (one.quantile(0.9), one.share_of_top(1), one.gini()),
        (Some(5.0), Some(1.0), Some(0.0))
    );
    assert_eq!(one.quantile(f64::NAN), None);
}

#[tokio::test]
async fn movers_are_told_by_difference_and_none_who_did_not_move() {
    let world = World::new();
    let tenants = [(); 5].map(|()| TenantId::new());
    let used = [(100, 300), (1, 50), (80, 80), (500, 400), (60, 0)];
    for (tenant, (before, now)) in tenants.iter().zip(used) {
        world
            .tokens(*tenant, at("2026-12-02T00:00:00Z"), before)
            .await;
        world.tokens(*tenant, at("2027-01-02T00:00:00Z"), now).await;
    }
    let (january, december) = (month("2027-01-02T00:00:00Z"), month("2026-12-02T00:00:00Z"));
    let analytics = Analytics::new(&world.sink);
    let movers = analytics
        .movers(&tenants, "tokens", january, december, 10)
        .await
        .unwrap();
    let ids = |movers: &[tenancy_usage::analytics::Mover]| {
        movers.iter().map(|it| it.tenant).collect::<Vec<_>>()
    };
    assert_eq!(ids(&movers.up), [tenants[0], tenants[1]]);
    assert_eq!(ids(&movers.down), [tenants[3], tenants[4]]);
    let one = analytics
        .movers(&tenants, "tokens", january, december, 1)
        .await
        .unwrap();
    assert_eq!(
        (ids(&one.up), ids(&one.down)),
        (vec![tenants[0]], vec![tenants[3]])
    );
}

#[tokio::test]
async fn a_lifecycle_tells_who_began_stayed_went_and_came_back() {
    let world = World::new();
    let windows = [
        "2026-10-09T00:00:00Z",
        "2026-11-09T00:00:00Z",
        "2026-12-09T00:00:00Z",
    ]
    .map(month);
    // When each joined, and how many events it has in each window. Two are active.
    let tenants = [
        ("2026-10-03T00:00:00Z", [2, 5, 2]), // stays
        ("2026-10-20T00:00:00Z", [2, 1, 2]), // goes and comes back
        ("2026-10-31T23:59:59Z", [0, 2, 0]), // is activated in its second window, and goes
        ("2026-11-01T00:00:00Z", [0, 1, 9]), // of the next cohort
        ("2026-12-30T00:00:00Z", [0, 0, 0]), // may still be
        ("2020-01-01T00:00:00Z", [3, 0, 0]), // of none of the cohorts
    ]
    .map(|(joined, events)| (TenantId::new(), at(joined), events));
    for (tenant, _, events) in &tenants {
        for (window, events) in windows.iter().zip(events) {
            for _ in 0..*events {
                world
                    .record(world.event(*tenant, "exports", window.start))
                    .await;
            }
        }
    }
    let mut joined: Vec<_> = tenants
        .iter()
        .map(|(tenant, joined, _)| (*tenant, *joined))
        .collect();
    joined.push((tenants[0].0, at("2026-12-01T00:00:00Z"))); // twice
    let analytics = Analytics::new(&world.sink);
    let told = analytics
        .lifecycle(&joined, "exports", 2, &windows)
        .await
        .unwrap();
    let counts: Vec<_> = told
        .windows
        .iter()
        .map(|it| (it.active, it.new, it.retained, it.returned, it.lost))
        .collect();
    assert_eq!(counts, [(3, 3, 0, 0, 0), (2, 1, 1, 0, 2), (3, 1, 1, 1, 1)]);
    let churn: Vec<_> = told.windows.iter().map(|it| it.churn_rate()).collect();
    assert_eq!(churn, [None, Some(2.0 / 3.0), Some(0.5)]);
    let cohorts: Vec<_> = told
        .cohorts
        .iter()
        .map(|it| (it.joined, it.activated, it.is_settled, it.active.clone()))
        .collect();
    assert_eq!(
        cohorts,
        [
            (3, 3, true, vec![2, 2, 2]),
            (1, 1, true, vec![0, 1]),
            (1, 0, false, vec![0])
        ]
    );
    assert_eq!(told.cohorts[0].active_rate(1), Some(2.0 / 3.0));
    assert_eq!(told.cohorts[0].active_rate(3), None);

    let empty = analytics
        .lifecycle(&[], "exports", 1, &windows)
        .await
        .unwrap();
    assert_eq!(
        (
            empty.windows[0].churn_rate(),
            empty.cohorts[0].activation_rate()
        ),
        (None, None)
    );
    for (least, windows) in [(0, &windows[..]), (1, &[windows[0], windows[2]])] {
        let error = analytics
            .lifecycle(&joined, "exports", least, windows)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), UsageErrorKind::InvalidQuery);
    }
}
