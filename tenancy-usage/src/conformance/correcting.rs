//! Corrections: one clear outcome each, applied once, and every window tells what still stands.

use futures_util::future::{join, join_all};
use rust_decimal::Decimal;
use tenancy_core::{Actor, TenantId};

use super::{ago, each, record, record_one, tokens, total};
use crate::{
    CorrectionOutcome, EventErrorKind, EventKey, EventOutcome, Resolution, UsageBackfill,
    UsageCorrection, UsageEvent, UsageSink,
};

fn void(event: &UsageEvent, id: &str) -> UsageCorrection {
    UsageCorrection::void(event.event_key(), "suite", id).by(Actor::System, "a test")
}

fn amend(event: &UsageEvent, quantity: impl Into<Decimal>, id: &str) -> UsageCorrection {
    UsageCorrection::amend(event.event_key(), quantity, "suite", id).by(Actor::System, "a test")
}

async fn correct_one(sink: &dyn UsageSink, correction: UsageCorrection) -> CorrectionOutcome {
    let mut outcomes = sink.correct(&[correction]).await.unwrap();
    assert_eq!(outcomes.len(), 1, "one outcome for each correction");
    outcomes.remove(0)
}

/// The same correction twice applies once, another under its id is a conflict, and an event that is not there, is another
/// tenant's or was voided is told as such.
pub async fn a_correction_applies_once_or_says_why_not(
    sink: &dyn UsageSink,
    [tenant, other]: [TenantId; 2],
) {
    use CorrectionOutcome::{AlreadyApplied, Applied, Conflict, UnknownEvent, Voided};
    let (own, theirs) = (tokens(tenant, "1", 7), tokens(other, "theirs", 5));
    let requests = UsageEvent::new(tenant, "requests", "suite", "r", ago(60));
    let visit = UsageEvent::new(tenant, "visitors", "suite", "v", ago(60)).unique_value("ann");
    record(
        sink,
        &[own.clone(), theirs.clone(), requests.clone(), visit.clone()],
    )
    .await;
    // Theirs is there.
    assert_eq!(total(sink, other, "tokens").await, Some((5.into(), 1)));

    let outcomes = sink
        .correct(&[
            amend(&own, 3, "a"),
            amend(&own, 3, "a"),
            amend(&own, 4, "a"),
        ])
        .await
        .unwrap();
    assert_eq!(outcomes, [Applied, AlreadyApplied, Conflict]);
    assert_eq!(total(sink, tenant, "tokens").await, Some((3.into(), 1)));

    let not_own = EventKey::new(tenant, "suite", "theirs");
    for key in [not_own, EventKey::new(tenant, "suite", "never")] {
        let nobodys = UsageCorrection::void(key, "suite", "b").by(Actor::System, "a test");
        assert_eq!(correct_one(sink, nobodys).await, UnknownEvent);
    }
    for (correction, kind) in [
        (amend(&own, -1, "c"), EventErrorKind::NegativeQuantity),
        (
            amend(&own, UsageEvent::MAX_QUANTITY + Decimal::ONE, "c"),
            EventErrorKind::Overflow,
        ),
        (
            void(&own, "c").by(Actor::System, " "),
            EventErrorKind::InvalidText,
        ),
        (void(&own, ""), EventErrorKind::InvalidText),
        (
            UsageCorrection {
                source: UsageBackfill::source_of("c"),
                ..void(&own, "c")
            },
            EventErrorKind::InvalidText,
        ),
        (
            void(&own, "c").by(Actor::System, "a\0test"),
            EventErrorKind::InvalidText,
        ),
        (
            amend(&requests, Decimal::new(5, 1), "c"),
            EventErrorKind::Misfit,
        ),
        (amend(&requests, 0, "c"), EventErrorKind::Misfit),
        (amend(&visit, 1, "c"), EventErrorKind::Misfit),
    ] {
        match correct_one(sink, correction.clone()).await {
            CorrectionOutcome::Refused(error) if error.kind() == kind => {}
            outcome => panic!("{outcome:?} and not {kind:?} for {correction:?}"),
        }
    }
    // What was refused is not remembered, and an amended event is amended again.
    assert_eq!(correct_one(sink, amend(&own, 2, "c")).await, Applied);
    assert_eq!(total(sink, tenant, "tokens").await, Some((2.into(), 1)));
    assert_eq!(correct_one(sink, void(&own, "d")).await, Applied);
    assert_eq!(correct_one(sink, void(&own, "d")).await, AlreadyApplied);
    assert_eq!(correct_one(sink, void(&own, "e")).await, Voided);
    assert_eq!(correct_one(sink, amend(&own, 9, "f")).await, Voided);
    assert_eq!(correct_one(sink, amend(&own, 3, "a")).await, AlreadyApplied);
    assert_eq!(total(sink, tenant, "tokens").await, None);
    // The event stays known: sent again it does not count.
    assert_eq!(record_one(sink, own).await, EventOutcome::AlreadyCounted);
    assert_eq!(total(sink, tenant, "tokens").await, None);
    assert_eq!(total(sink, other, "tokens").await, Some((5.into(), 1)));
}

/// Of every aggregation, and in windows of every resolution, what still stands is told: also where the largest, the smallest,
/// the newest or the only one of its value goes.
pub async fn each_aggregation_is_computed_again(sink: &dyn UsageSink, tenant: TenantId) {
    let mut events = Vec::new();
    for (place, (seconds, quantity)) in [(30, 7), (10, 3), (90, 12), (20, 5)].iter().enumerate() {
        for meter in ["tokens", "connections", "free-bytes", "stored-bytes"] {
            let event = UsageEvent::new(
                tenant,
                meter,
                "suite",
                format!("{meter}-{place}"),
                ago(*seconds),
            );
            events.push(event.quantity(*quantity));
        }
    }
    for (place, visitor) in ["ann", "bob", "ann"].iter().enumerate() {
        let event = UsageEvent::new(tenant, "visitors", "suite", format!("v-{place}"), ago(30));
        events.push(event.unique_value(*visitor));
    }
    let many = UsageEvent::new(tenant, "requests", "suite", "r", ago(30));
    events.push(many.quantity(10).standing_for(10));
    record(sink, &events).await;
    let find = |id: &str| events.iter().find(|event| &*event.id == id).unwrap();
    let corrections = [
        void(find("tokens-2"), "1"),
        amend(find("tokens-0"), 8, "2"),
        void(find("connections-2"), "3"),
        amend(find("connections-1"), 6, "4"),
        void(find("free-bytes-1"), "5"),
        amend(find("free-bytes-2"), 4, "6"),
        void(find("stored-bytes-1"), "7"),
        amend(find("stored-bytes-3"), 50, "8"),
        void(find("v-0"), "9"),
        void(find("v-1"), "10"),
        amend(find("r"), 6, "11"),
    ];
    let outcomes = sink.correct(&corrections).await.unwrap();
    assert!(
        outcomes.iter().all(|it| *it == CorrectionOutcome::Applied),
        "{outcomes:?}"
    );
    for (meter, quantity, count) in [
        ("tokens", 16, 3),
        ("connections", 7, 3),
        ("free-bytes", 4, 3),
        ("stored-bytes", 50, 3),
        ("visitors", 1, 1),
        ("requests", 6, 6),
    ] {
        let told = total(sink, tenant, meter).await;
        assert_eq!(told, Some((quantity.into(), count)), "{meter}");
        for resolution in [Resolution::Hour, Resolution::Day, Resolution::Period] {
            let windows = each(sink, tenant, meter, resolution).await;
            let [(_, told, events)] = &*windows else {
                panic!("{windows:?}");
            };
            assert_eq!(
                (*told, *events),
                (quantity.into(), count),
                "{meter} by {resolution:?}"
            );
        }
    }
    // A window of which nothing stands has no rollup, and begins anew with the next event.
    let outcomes = sink
        .correct(&[void(find("v-2"), "12"), void(find("connections-0"), "13")])
        .await
        .unwrap();
    assert_eq!(outcomes, [const { CorrectionOutcome::Applied }; 2]);
    assert_eq!(total(sink, tenant, "visitors").await, None);
    assert_eq!(
        total(sink, tenant, "connections").await,
        Some((6.into(), 2))
    );
    let again = UsageEvent::new(tenant, "visitors", "suite", "v-9", ago(30)).unique_value("cem");
    record_one(sink, again).await;
    assert_eq!(
        total(sink, tenant, "visitors").await,
        Some((Decimal::ONE, 1))
    );
}

/// Corrections from many sides, while events of the same windows come, lose none of either.
pub async fn corrections_and_events_at_once_lose_nothing(sink: &dyn UsageSink, tenant: TenantId) {
    let value = |meter: &str, id: String| UsageEvent::new(tenant, meter, "suite", id, ago(60));
    let before: Vec<_> = (0..20)
        .flat_map(|place| {
            let quantity = place + 1;
            [
                value("connections", format!("c-{place}")).quantity(quantity),
                value("tokens", format!("t-{place}")).quantity(quantity),
                value("visitors", format!("v-{place}")).unique_value(format!("{}", place % 4)),
            ]
        })
        .collect();
    record(sink, &before).await;
    let voids: Vec<_> = before.iter().map(|event| void(event, &event.id)).collect();
    // Each twice, as when an answer got lost.
    let voiding = join_all(
        voids
            .iter()
            .chain(&voids)
            .map(|correction| correct_one(sink, correction.clone())),
    );
    let coming = join_all((0..20).map(|place| async move {
        let events = [
            value("connections", format!("d-{place}")).quantity(place),
            value("tokens", format!("u-{place}")).quantity(1),
            value("visitors", format!("w-{place}")).unique_value(format!("{}", place % 4)),
        ];
        record(sink, &events).await
    }));
    let (outcomes, _) = join(voiding, coming).await;
    let applied = outcomes
        .iter()
        .filter(|it| **it == CorrectionOutcome::Applied);
    assert_eq!(applied.count(), voids.len(), "{outcomes:?}");
    assert!(
        outcomes.iter().all(|it| matches!(
            it,
            CorrectionOutcome::Applied | CorrectionOutcome::AlreadyApplied
        )),
        "{outcomes:?}"
    );
    for (meter, quantity) in [("connections", 19), ("tokens", 20), ("visitors", 4)] {
        let told = total(sink, tenant, meter).await;
        assert_eq!(told, Some((quantity.into(), 20)), "{meter}");
    }
}
