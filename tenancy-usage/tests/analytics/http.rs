//! Requests: how they were answered, and how long they took.

use std::time::Duration;

use tenancy_core::{TenantId, testing::random::Random};
use tenancy_usage::{
    Decimal,
    analytics::{Analytics, Durations, RequestOutcomes},
};

use super::{World, at, range};

/// As the adapters record a request.
async fn served(
    world: &World,
    tenant: TenantId,
    route: &str,
    status: &str,
    millis: i64,
    took: &str,
) {
    let moment = at("2027-01-02T10:00:00Z");
    let event = |meter: &str| world.event(tenant, meter, moment).dimension("route", route);
    world
        .record(
            event("http-requests")
                .dimension("method", "GET")
                .dimension("status", status),
        )
        .await;
    world
        .record(event("http-took").dimension("took", took))
        .await;
    world
        .record(event("http-seconds").quantity(Decimal::new(millis, 3)))
        .await;
    world
        .record(event("http-request-bytes").quantity(100))
        .await;
    world
        .record(event("http-response-bytes").quantity(2_000))
        .await;
}

#[tokio::test]
async fn requests_are_told_by_outcome_and_by_route_and_are_their_tenants_own() {
    let (world, acme, globex) = (World::new(), TenantId::new(), TenantId::new());
    for _ in 0..8 {
        served(&world, acme, "/notes", "200", 15, "20").await;
    }
    served(&world, acme, "/notes", "503", 12_000, "inf").await;
    served(&world, acme, "/login", "401", 4, "5").await;
    served(&world, globex, "/notes", "500", 1, "1").await;
    let day = range("2027-01-02T00:00:00Z", "2027-01-03T00:00:00Z");
    let analytics = Analytics::new(&world.sink);

    assert_eq!(
        analytics
            .outcomes(globex, day)
            .await
            .unwrap()
            .failure_rate(),
        Some(1.0)
    );
    let outcomes = analytics.outcomes(acme, day).await.unwrap();
    assert_eq!(
        (
            outcomes.requests,
            outcomes.succeeded,
            outcomes.refused,
            outcomes.failed
        ),
        (10, 8, 1, 1)
    );
    assert_eq!(
        (outcomes.success_rate(), outcomes.refusal_rate()),
        (Some(0.8), Some(0.1))
    );
    assert_eq!(
        outcomes.by_status.into_iter().collect::<Vec<_>>(),
        [(200, 8), (401, 1), (503, 1)]
    );

    let durations = analytics.durations(acme, day).await.unwrap();
    assert_eq!(durations.mean(), Some(Duration::from_micros(1_212_400)));
    let p95 = durations.percentile(95.0).unwrap();
    assert_eq!((p95.above, p95.up_to), (Duration::from_secs(10), None));

    let routes = analytics.routes(acme, day).await.unwrap();
    let names: Vec<_> = routes.iter().map(|route| &*route.route).collect();
    assert_eq!(names, ["/notes", "/login"]);
    assert_eq!(
        (routes[0].outcomes.requests, routes[0].durations.requests),
        (9, 9)
    );
    assert_eq!(
        (routes[0].bytes_in, routes[1].bytes_out),
        (900.into(), 2_000.into())
    );
    assert_eq!(routes[1].durations.seconds, Decimal::new(4, 3));

    let nobody = TenantId::new();
    assert_eq!(
        analytics.outcomes(nobody, day).await.unwrap(),
        RequestOutcomes::default()
    );
    let durations = analytics.durations(nobody, day).await.unwrap();
    assert_eq!((durations.mean(), durations.percentile(50.0)), (None, None));
    assert_eq!(analytics.routes(nobody, day).await.unwrap(), []);
}

#[test]
fn a_status_that_is_none_is_counted_apart() {
    let mut outcomes = RequestOutcomes::default();
    for status in ["", "20", "0200", "abc", "099", "600", "+20"] {
        outcomes.note(status, 1);
    }
    outcomes.note("301", 1);
    assert_eq!(
        (outcomes.requests, outcomes.unknown, outcomes.succeeded),
        (8, 7, 1)
    );
    assert_eq!(outcomes.by_status.len(), 1);
}

#[test]
fn a_percentile_lies_where_it_is_said_to_whatever_the_durations_are() {
    let bounds = [
        1_u64, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
    ];
    for seed in 1..=300 {
        let mut random = Random::new(seed);
        let mut real: Vec<u64> = (0..1 + random.below(200))
            .map(|_| {
                let most = *random.of(&[10, 100, 1_000, 10_000, 100_000]);
                1 + random.below(most) as u64
            })
            .collect();
        let mut durations = Durations::default();
        for millis in &real {
            let bucket = bounds.iter().find(|bound| millis <= bound);
            durations.note(&bucket.map_or("inf".to_owned(), u64::to_string), 1);
        }
        real.sort_unstable();
        for percent in [0.0, 1.0, 50.0, 90.0, 95.0, 99.0, 100.0] {
            let rank = ((percent / 100.0 * real.len() as f64).ceil() as usize).max(1);
            let truth = Duration::from_millis(real[rank - 1]);
            let told = durations.percentile(percent).unwrap();
            assert!(told.above < truth, "{seed}, {percent}: {told:?}, {truth:?}");
            assert!(
                told.up_to
                    .is_none_or(|end| truth <= end && told.estimate <= end),
                "{told:?}"
            );
            assert!(told.above <= told.estimate, "{told:?}");
        }
    }
    let mut strange = Durations::default();
    for name in ["", "3", "Inf", "-1", "01"] {
        strange.note(name, 2);
    }
    assert_eq!(
        (
            strange.requests,
            strange.unknown,
            strange.percentile(f64::NAN)
        ),
        (0, 10, None)
    );
}
