//! What counts, and how often.

use std::time::Duration;

use futures_util::future::join_all;
use tenancy_core::TenantId;

use super::{NOW, ago, each, record, record_one, tokens, total};
use crate::{EventErrorKind, EventOutcome, EventTimes, Resolution, UsageEvent, UsageSink};

/// An event counts once: sent again in the same batch, and in a later one.
pub async fn one_key_counts_once(sink: &dyn UsageSink, tenant: TenantId) {
    let (one, two) = (tokens(tenant, "1", 10), tokens(tenant, "2", 5));
    let outcomes = record(sink, &[one.clone(), two.clone(), one.clone()]).await;
    assert_eq!(
        outcomes,
        [
            EventOutcome::Counted,
            EventOutcome::Counted,
            EventOutcome::AlreadyCounted
        ]
    );
    let outcomes = record(sink, &[two, one]).await;
    assert_eq!(outcomes, [const { EventOutcome::AlreadyCounted }; 2]);
    assert_eq!(total(sink, tenant, "tokens").await, Some((15.into(), 2)));
    let status = sink.status(tenant).await.unwrap();
    assert_eq!((status.counted, status.already_counted), (2, 3));
    assert_eq!(status.newest_event, Some(ago(60)));
    assert!(status.rolled_up_until.is_some());
}

/// An event counts once, also if many send it at the same time, among others and in different orders.
pub async fn one_key_counts_once_from_many_at_once(sink: &dyn UsageSink, tenant: TenantId) {
    let events: Vec<_> = (0..20)
        .map(|id| tokens(tenant, &id.to_string(), 1))
        .collect();
    let senders = (0..8).map(|sender| {
        let mut events = events.clone();
        events.rotate_left(sender * 3 % 20);
        async move { record(sink, &events).await }
    });
    let outcomes = join_all(senders).await.concat();
    let counted = outcomes.iter().filter(|it| **it == EventOutcome::Counted);
    let again = outcomes
        .iter()
        .filter(|it| **it == EventOutcome::AlreadyCounted);
    assert_eq!((counted.count(), again.count()), (20, 140), "{outcomes:?}");
    assert_eq!(total(sink, tenant, "tokens").await, Some((20.into(), 20)));
}

/// The first time of an event holds, also when the repetition is of another hour or from outside of the late window.
pub async fn an_event_sent_again_with_another_time_counts_once(
    sink: &dyn UsageSink,
    tenant: TenantId,
) {
    let first = tokens(tenant, "1", 10);
    assert_eq!(record_one(sink, first.clone()).await, EventOutcome::Counted);
    for at in [
        ago(3_660),
        ago(400 * 86_400),
        NOW + Duration::from_secs(86_400),
    ] {
        let again = UsageEvent {
            at,
            ..first.clone()
        };
        assert_eq!(
            record_one(sink, again).await,
            EventOutcome::AlreadyCounted,
            "{at}"
        );
    }
    let hours = each(sink, tenant, "tokens", Resolution::Hour).await;
    assert_eq!(hours.len(), 1, "{hours:?}");
    assert!(hours.iter().all(|(hour, ..)| hour.contains(ago(60))));
    assert_eq!(total(sink, tenant, "tokens").await, Some((10.into(), 1)));
}

/// Another content under a known key is a conflict, whatever differs; and 1.0 does not differ from 1.
pub async fn a_conflict_leaves_the_first(sink: &dyn UsageSink, tenant: TenantId) {
    let first = tokens(tenant, "1", 10);
    assert_eq!(record_one(sink, first.clone()).await, EventOutcome::Counted);
    let other = [
        first.clone().quantity(11),
        first.clone().dimension("model", "large"),
        first.clone().job("nightly"),
        first.clone().project(tenancy_core::ProjectId::new()),
        first.clone().key(tenancy_core::KeyId::new()),
        first.clone().user(tenancy_core::UserId::new()),
        UsageEvent::new(tenant, "requests", "suite", "1", first.at),
    ];
    for event in other {
        let outcome = record_one(sink, event.clone()).await;
        assert_eq!(outcome, EventOutcome::Conflict, "{event:?}");
    }
    let same = first.clone().quantity(rust_decimal::Decimal::new(100, 1));
    assert_eq!(record_one(sink, same).await, EventOutcome::AlreadyCounted);
    assert_eq!(total(sink, tenant, "tokens").await, Some((10.into(), 1)));
    assert_eq!(total(sink, tenant, "requests").await, None);
    assert_eq!(sink.status(tenant).await.unwrap().conflicts, 7);
}

/// One id of two tenants, and of two sources, are different events.
pub async fn tenants_do_not_share_keys(sink: &dyn UsageSink, [one, other]: [TenantId; 2]) {
    let events = [
        tokens(one, "1", 10),
        tokens(other, "1", 20),
        UsageEvent::new(one, "tokens", "another", "1", ago(60)).quantity(5),
    ];
    assert_eq!(
        record(sink, &events).await,
        [const { EventOutcome::Counted }; 3]
    );
    assert_eq!(total(sink, one, "tokens").await, Some((15.into(), 2)));
    assert_eq!(total(sink, other, "tokens").await, Some((20.into(), 1)));
    assert_eq!(sink.status(one).await.unwrap().counted, 2);
}

/// Each bad event has an outcome that names what is wrong, and those beside it are counted.
pub async fn a_bad_event_keeps_no_good_one_out(sink: &dyn UsageSink, tenant: TenantId) {
    let refused = [
        (tokens(tenant, "a", -1), EventErrorKind::NegativeQuantity),
        (
            tokens(tenant, "b", 1).quantity(UsageEvent::MAX_QUANTITY + rust_decimal::Decimal::ONE),
            EventErrorKind::Overflow,
        ),
        (
            tokens(tenant, "c", 1).quantity(rust_decimal::Decimal::new(1, 10)),
            EventErrorKind::Overflow,
        ),
        (
            tokens(tenant, "d", 1).dimension("route", "/"),
            EventErrorKind::UndeclaredDimension,
        ),
        (
            UsageEvent::new(tenant, "requests", "suite", "e", ago(60)).quantity(2),
            EventErrorKind::Misfit,
        ),
        (
            UsageEvent::new(tenant, "visitors", "suite", "f", ago(60)),
            EventErrorKind::Misfit,
        ),
        (
            UsageEvent::new(tenant, "tokens", "suite", "", ago(60)),
            EventErrorKind::InvalidText,
        ),
        (
            UsageEvent {
                at: NOW + EventTimes::default().ahead() + Duration::from_micros(1),
                ..tokens(tenant, "g", 1)
            },
            EventErrorKind::InFuture,
        ),
    ];
    let mut batch = Vec::new();
    for (place, (event, _)) in refused.iter().enumerate() {
        batch.push(tokens(tenant, &format!("good-{place}"), 1));
        batch.push(event.clone());
    }
    let outcomes = record(sink, &batch).await;
    for (pair, (event, kind)) in outcomes.chunks(2).zip(&refused) {
        assert_eq!(pair[0], EventOutcome::Counted);
        match &pair[1] {
            EventOutcome::Refused(error) if error.kind() == *kind => {}
            other => panic!("{other:?} and not {kind:?} for {event:?}"),
        }
    }
    assert_eq!(total(sink, tenant, "tokens").await, Some((8.into(), 8)));
    let status = sink.status(tenant).await.unwrap();
    assert_eq!((status.counted, status.refused), (8, 8));
    // What was refused is not remembered.
    let mended = record_one(sink, tokens(tenant, "a", 1)).await;
    assert_eq!(mended, EventOutcome::Counted);
}

/// What no meter matches, and what comes too late, is told and counted as such. The edges of the late window are in time.
pub async fn an_event_that_nobody_counts_is_told(sink: &dyn UsageSink, tenant: TenantId) {
    let unmatched = UsageEvent::new(tenant, "undeclared", "suite", "1", ago(60));
    let outcome = record_one(sink, unmatched).await;
    assert!(matches!(outcome, EventOutcome::Unmatched(_)), "{outcome:?}");
    let times = EventTimes::default();
    let edge = UsageEvent {
        at: NOW - times.late_window(),
        ..tokens(tenant, "2", 1)
    };
    let beyond = UsageEvent {
        at: edge.at - Duration::from_micros(1),
        ..tokens(tenant, "3", 1)
    };
    let ahead = UsageEvent {
        at: NOW + times.ahead(),
        ..tokens(tenant, "4", 1)
    };
    assert_eq!(record_one(sink, edge).await, EventOutcome::Counted);
    let outcome = record_one(sink, beyond).await;
    assert!(matches!(outcome, EventOutcome::TooLate(_)), "{outcome:?}");
    assert_eq!(record_one(sink, ahead).await, EventOutcome::Counted);
    let status = sink.status(tenant).await.unwrap();
    assert_eq!(
        (status.counted, status.unmatched, status.too_late),
        (2, 1, 1)
    );
    assert_eq!(status.newest_event, Some(NOW + times.ahead()));
}
