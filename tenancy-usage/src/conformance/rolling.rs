//! What events add up to, and in which windows.

use std::time::Duration;

use tenancy_core::{KeyId, ProjectId, TenantId, quota::Window};

use super::{NOW, ago, all_time, each, record, tokens, total};
use crate::{Resolution, RollupQuery, UsageErrorKind, UsageEvent, UsageSink};

/// Count, sum, max, min, latest and unique, of events that come out of order.
pub async fn each_aggregation_adds_up(sink: &dyn UsageSink, tenant: TenantId) {
    let mut events = Vec::new();
    for (place, (seconds, quantity)) in [(30, 7), (10, 3), (90, 12), (20, 5)].iter().enumerate() {
        for meter in ["tokens", "connections", "free-bytes", "stored-bytes"] {
            let id = format!("{meter}-{place}");
            let event = UsageEvent::new(tenant, meter, "suite", id, ago(*seconds));
            events.push(event.quantity(*quantity));
        }
        let id = format!("request-{place}");
        events.push(UsageEvent::new(
            tenant,
            "requests",
            "suite",
            id,
            ago(*seconds),
        ));
    }
    for (place, visitor) in ["ann", "bob", "ann", "cem", "bob"].iter().enumerate() {
        let at = ago(3_600 * place as u64);
        let event = UsageEvent::new(tenant, "visitors", "suite", format!("visit-{place}"), at);
        events.push(event.unique_value(*visitor));
    }
    record(sink, &events).await;
    for (meter, quantity, count) in [
        ("requests", 4, 4),
        ("tokens", 27, 4),
        ("connections", 12, 4),
        ("free-bytes", 3, 4),
        ("stored-bytes", 3, 4),
        // In different hours, and still counted once.
        ("visitors", 3, 5),
    ] {
        let told = total(sink, tenant, meter).await;
        assert_eq!(told, Some((quantity.into(), count)), "{meter}");
    }
    let hours = each(sink, tenant, "visitors", Resolution::Hour).await;
    assert_eq!(hours.len(), 5, "{hours:?}");
}

/// What a process has added up before it sends counts as all that it stands for, once.
pub async fn what_was_added_up_before_counts_for_all(sink: &dyn UsageSink, tenant: TenantId) {
    let requests = UsageEvent::new(tenant, "requests", "process", "1-1", ago(60));
    let requests = requests.quantity(250).standing_for(250);
    let events = [
        requests.clone(),
        tokens(tenant, "1-2", 4_000).standing_for(17),
        requests,
    ];
    record(sink, &events).await;
    for (meter, quantity, events) in [("requests", 250, 250), ("tokens", 4_000, 17)] {
        let told = total(sink, tenant, meter).await;
        assert_eq!(told, Some((quantity.into(), events)), "{meter}");
    }
}

/// Projects, keys and dimensions are told apart where that is asked for, and are one number where it is not.
pub async fn groups_are_told_apart(sink: &dyn UsageSink, tenant: TenantId) {
    let (mut projects, keys) = (
        [ProjectId::new(), ProjectId::new()],
        [KeyId::new(), KeyId::new()],
    );
    projects.sort();
    let events = [
        tokens(tenant, "1", 1)
            .project(projects[0])
            .key(keys[0])
            .dimension("model", "large"),
        tokens(tenant, "2", 2)
            .project(projects[0])
            .key(keys[1])
            .dimension("model", "small"),
        tokens(tenant, "3", 4)
            .project(projects[1])
            .key(keys[1])
            .dimension("model", "large"),
        tokens(tenant, "4", 8).dimension("region", "eu"),
    ];
    record(sink, &events).await;
    let query = || RollupQuery::total(tenant, "tokens", all_time());
    let asked = async |query: RollupQuery| sink.rollups(&query).await.unwrap();

    assert_eq!(total(sink, tenant, "tokens").await, Some((15.into(), 4)));
    let by_project = asked(query().by_project()).await;
    let told: Vec<_> = by_project
        .iter()
        .map(|it| (it.project, it.quantity))
        .collect();
    let expected = [(None, 8), (Some(projects[0]), 3), (Some(projects[1]), 4)];
    assert_eq!(told, expected.map(|(of, quantity)| (of, quantity.into())));
    assert!(
        by_project
            .iter()
            .all(|it| it.key.is_none() && it.dimensions.is_empty())
    );

    let by_model = asked(query().by_dimension("model")).await;
    let told: Vec<_> = by_model
        .iter()
        .map(|it| {
            (
                it.dimensions.get("model").map(|it| &**it),
                it.quantity,
                it.events,
            )
        })
        .collect();
    let expected = [(None, 8, 1), (Some("large"), 5, 2), (Some("small"), 2, 1)];
    assert_eq!(
        told,
        expected.map(|(of, sum, events)| (of, sum.into(), events))
    );

    assert_eq!(asked(query().by_key()).await.len(), 3);
    assert_eq!(
        asked(
            query()
                .by_project()
                .by_key()
                .by_dimension("model")
                .by_dimension("region")
        )
        .await
        .len(),
        4
    );
    let of_project = asked(query().of_project(projects[0])).await;
    assert_eq!((of_project.len(), of_project[0].quantity), (1, 3.into()));
    let of_key = asked(query().of_key(keys[1])).await;
    assert_eq!((of_key.len(), of_key[0].quantity), (1, 6.into()));
    let nobodys = asked(query().of_project(ProjectId::new())).await;
    assert_eq!(nobodys, []);
}

/// An event at the first moment of a window is in it; one a microsecond before is in the window before.
pub async fn windows_begin_where_the_calendar_says(sink: &dyn UsageSink, tenant: TenantId) {
    // 2027-01-01T00:00:00Z: the start of a minute, an hour, a day and a month.
    let start = ago(14 * 86_400 + 8 * 3_600);
    let before = UsageEvent {
        at: start - Duration::from_micros(1),
        ..tokens(tenant, "1", 1)
    };
    let at = UsageEvent {
        at: start,
        ..tokens(tenant, "2", 2)
    };
    record(sink, &[before, at]).await;
    for (resolution, seconds_before, seconds) in [
        (Resolution::Minute, 60, 60),
        (Resolution::Hour, 3_600, 3_600),
        (Resolution::Day, 86_400, 86_400),
        (Resolution::Period, 31 * 86_400, 31 * 86_400),
    ] {
        let windows = each(sink, tenant, "tokens", resolution).await;
        let first = Window::new(start - Duration::from_secs(seconds_before), start);
        let second = Window::new(start, start + Duration::from_secs(seconds));
        assert_eq!(
            windows,
            [(first, 1.into(), 1), (second, 2.into(), 1)],
            "{resolution:?}"
        );
    }
    // A total takes what is within full minutes, and nothing beside.
    let january = Window::new(start, NOW);
    let query = RollupQuery::total(tenant, "tokens", january);
    let rollups = sink.rollups(&query).await.unwrap();
    let told: Vec<_> = rollups.iter().map(|it| (it.window, it.quantity)).collect();
    assert_eq!(told, [(january, 2.into())]);
    // Whichever windows a sink reads for it.
    for (before, after, quantity) in [
        (60, 60, 3),
        (60, 0, 1),
        (3_600, 3_600, 3),
        (3_600, 0, 1),
        (0, 3_600, 2),
        (86_400, 86_400, 3),
        (86_400, 0, 1),
        (0, 86_400, 2),
        (86_400, 60, 3),
        (31 * 86_400, 31 * 86_400, 3),
        (31 * 86_400, 0, 1),
    ] {
        let seconds = Duration::from_secs;
        let range = Window::new(start - seconds(before), start + seconds(after));
        let query = RollupQuery::total(tenant, "tokens", range);
        let rollups = sink.rollups(&query).await.unwrap();
        let told: Vec<_> = rollups.iter().map(|it| (it.window, it.quantity)).collect();
        assert_eq!(told, [(range, quantity.into())]);
    }
}

/// A query for what is not declared, or for no time, is an error, and not an empty answer.
pub async fn queries_that_make_no_sense_are_refused(sink: &dyn UsageSink, tenant: TenantId) {
    let empty = Window::new(NOW, NOW);
    let odd = Window::new(ago(61), NOW + Duration::from_secs(1));
    for query in [
        RollupQuery::total(tenant, "undeclared", all_time()),
        RollupQuery::total(tenant, "tokens", all_time()).by_dimension("route"),
        RollupQuery::total(tenant, "tokens", empty),
        RollupQuery::total(tenant, "tokens", odd),
    ] {
        let error = sink.rollups(&query).await.unwrap_err();
        assert_eq!(error.kind(), UsageErrorKind::InvalidQuery, "{query:?}");
    }
    let nothing = RollupQuery::total(tenant, "tokens", all_time());
    assert_eq!(sink.rollups(&nothing).await.unwrap(), []);
}
