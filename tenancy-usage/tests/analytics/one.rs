//! Questions about one tenant.

use tenancy_core::{TenantId, quota::Calendar};
use tenancy_usage::{
    Resolution, UsageCalendar, UsageErrorKind,
    analytics::{Analytics, Change},
};

use super::{World, at, month, range};

#[tokio::test]
async fn a_total_is_compared_with_the_range_before_and_is_its_tenants_own() {
    let (world, acme, globex) = (World::new(), TenantId::new(), TenantId::new());
    world.tokens(acme, at("2027-01-02T00:00:00Z"), 30).await;
    world.tokens(acme, at("2027-01-01T23:59:59Z"), 20).await;
    world.tokens(acme, at("2026-12-31T23:59:59Z"), 999).await;
    world.tokens(globex, at("2027-01-02T00:00:00Z"), 7).await;
    let analytics = Analytics::new(&world.sink);
    let day = range("2027-01-02T00:00:00Z", "2027-01-03T00:00:00Z");

    let others = analytics.total(globex, "tokens", day).await.unwrap();
    assert_eq!(others.change, Change::new(7.into(), 0.into()));
    assert_eq!(others.change.ratio(), None, "nothing is no divisor");
    let total = analytics.total(acme, "tokens", day).await.unwrap();
    assert_eq!(total.change, Change::new(30.into(), 20.into()));
    assert_eq!(total.change.percent(), Some(50.0));
    assert_eq!(
        (total.events, total.range_before.start),
        (1, at("2027-01-01T00:00:00Z"))
    );

    let (january, december) = (month("2027-01-09T00:00:00Z"), month("2026-12-09T00:00:00Z"));
    let total = analytics
        .total_beside(acme, "tokens", january, december)
        .await
        .unwrap();
    assert_eq!(total.change, Change::new(50.into(), 999.into()));

    let nobody = analytics
        .total(TenantId::new(), "tokens", day)
        .await
        .unwrap();
    assert_eq!(nobody.change, Change::new(0.into(), 0.into()));
    let undeclared = analytics.total(acme, "tokns", day).await.unwrap_err();
    assert_eq!(undeclared.kind(), UsageErrorKind::InvalidQuery);
}

#[test]
fn questions_can_be_asked_from_tasks() {
    fn is_send(_: impl Send) {}
    let (world, acme, day) = (World::new(), TenantId::new(), month("2027-01-02T00:00:00Z"));
    let (analytics, calendar) = (Analytics::new(&world.sink), UsageCalendar::monthly());
    is_send(analytics.total(acme, "tokens", day));
    is_send(analytics.series(acme, "tokens", Resolution::Day, day, &calendar));
    is_send(analytics.routes(acme, day));
    is_send(analytics.heat_map(acme, "tokens", day, "UTC"));
    is_send(analytics.movers(&[], "tokens", day, day, 1));
    is_send(analytics.lifecycle(&[], "tokens", 1, &[]));
}

#[tokio::test]
async fn a_series_has_the_days_without_usage_too_and_days_of_23_hours() {
    let (world, acme) = (World::new(), TenantId::new());
    let berlin = Calendar::in_zone("Europe/Berlin").unwrap();
    let calendar = UsageCalendar::monthly().of_each(move |_| berlin.clone());
    let sink = tenancy_usage::MemoryUsage::new(super::meters())
        .calendar(calendar.clone())
        .times(tenancy_usage::EventTimes::new(500 * super::DAY, super::DAY).unwrap())
        .clock(std::sync::Arc::new(tenancy_core::ManualClock::at(
            super::NOW,
        )));
    let world = World { sink, ..world };
    // Clocks are set forward on the 29th.
    world.tokens(acme, at("2026-03-28T12:00:00Z"), 1).await;
    world.tokens(acme, at("2026-03-30T12:00:00Z"), 4).await;
    let days = range("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z");
    let analytics = Analytics::new(&world.sink);
    let series = analytics
        .series(acme, "tokens", Resolution::Day, days, &calendar)
        .await
        .unwrap();
    let quantities: Vec<_> = series.iter().map(|step| step.as_f64()).collect();
    assert_eq!(quantities, [1.0, 0.0, 4.0]);
    let hours = |step: usize| {
        series[step]
            .window
            .end
            .since(series[step].window.start)
            .as_secs()
            / 3_600
    };
    assert_eq!([hours(0), hours(1), hours(2)], [24, 23, 24]);

    let growth = analytics
        .growth(acme, "tokens", Resolution::Day, days, &calendar)
        .await
        .unwrap();
    assert_eq!(
        growth.compound,
        Some(1.0),
        "twice as much in each of two days"
    );
    let changes: Vec<_> = growth
        .steps
        .iter()
        .map(|(_, change)| change.ratio())
        .collect();
    assert_eq!(changes, [None, Some(0.0), None]);
    let nothing = analytics
        .growth(TenantId::new(), "tokens", Resolution::Day, days, &calendar)
        .await
        .unwrap();
    assert_eq!((nothing.steps.len(), nothing.compound), (3, None));

    let years = range("2000-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let error = analytics
        .series(acme, "tokens", Resolution::Hour, years, &calendar)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), UsageErrorKind::InvalidQuery);
}

#[tokio::test]
async fn a_heat_map_has_each_hour_as_the_clocks_show_it() {
    let (world, acme) = (World::new(), TenantId::new());
    // The hour from two to three comes twice in Berlin, and these are in both of it.
    for moment in [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T02:30:00Z",
    ] {
        world.tokens(acme, at(moment), 10).await;
    }
    // Monday, before and after clocks are set.
    world.tokens(acme, at("2026-10-19T06:10:00Z"), 5).await;
    world.tokens(acme, at("2026-10-26T07:10:00Z"), 7).await;
    let weeks = range("2026-10-18T22:00:00Z", "2026-11-01T23:00:00Z");
    let analytics = Analytics::new(&world.sink);
    let map = analytics
        .heat_map(acme, "tokens", weeks, "Europe/Berlin")
        .await
        .unwrap();
    let cell = |weekday, hour| *map.cell(weekday, hour).unwrap();
    assert_eq!((cell(6, 2).quantity, cell(6, 2).hours), (20.into(), 3.0));
    assert_eq!((cell(6, 3).quantity, cell(6, 3).hours), (10.into(), 2.0));
    assert_eq!(
        (cell(0, 8).quantity, cell(0, 8).mean()),
        (12.into(), Some(6.0))
    );
    assert_eq!(map.busiest(), Some((6, 2)));
    let hours: f64 = map.cells().map(|(_, _, cell)| cell.hours).sum();
    assert_eq!((map.cells().count(), hours), (168, 14.0 * 24.0 + 1.0));
    assert_eq!((map.cell(7, 0), map.cell(0, 24)), (None, None));

    // Clocks are set forward: there is no hour from two to three.
    let sunday = range("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    let map = analytics
        .heat_map(acme, "tokens", sunday, "Europe/Berlin")
        .await
        .unwrap();
    assert_eq!(
        (
            map.cell(6, 2).unwrap().hours,
            map.cell(6, 2).unwrap().mean()
        ),
        (0.0, None)
    );
    assert_eq!(map.busiest(), None);
}

#[tokio::test]
async fn a_heat_map_of_a_zone_with_half_an_hour_counts_by_minutes() {
    let (world, acme) = (World::new(), TenantId::new());
    // 23:59 and 00:01 of Monday and Tuesday in India, and one hour of UTC.
    world.tokens(acme, at("2027-01-04T18:29:00Z"), 1).await;
    world.tokens(acme, at("2027-01-04T18:31:00Z"), 2).await;
    let week = range("2027-01-03T18:30:00Z", "2027-01-10T18:30:00Z");
    let analytics = Analytics::new(&world.sink);
    let map = analytics
        .heat_map(acme, "tokens", week, "Asia/Kolkata")
        .await
        .unwrap();
    assert_eq!(map.cell(0, 23).unwrap().quantity, 1.into());
    assert_eq!(map.cell(1, 0).unwrap().quantity, 2.into());
    assert!(map.cells().all(|(_, _, cell)| cell.hours == 1.0));

    let long = range("2026-11-01T00:00:00Z", "2027-01-10T00:00:00Z");
    for (window, zone) in [(long, "Asia/Kolkata"), (week, "Asia/Nowhere")] {
        let error = analytics
            .heat_map(acme, "tokens", window, zone)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), UsageErrorKind::InvalidQuery, "{zone}");
    }
}
