//! Backfills: as a whole or not at all, once under their name, and reverted as if they had never been.

use std::{slice::from_ref, time::Duration};

use tenancy_core::{Actor, TenantId, Timestamp, quota::Window};

use super::{NOW, ago, each, record, record_one, tokens};
use crate::{
    BackfillOutcome, CorrectionOutcome, EventErrorKind, EventOutcome, Resolution, RevertOutcome,
    RollupQuery, UsageBackfill, UsageBackfills, UsageCorrection, UsageEvent, UsageSink,
};

/// Far beyond the late window: 2026-10-07T08:00:00Z.
const LONG_AGO: Timestamp = Timestamp::from_unix_seconds(1_800_000_000 - 100 * 86_400);

fn old(tenant: TenantId, id: &str, quantity: i64) -> UsageEvent {
    UsageEvent {
        at: LONG_AGO,
        ..tokens(tenant, id, quantity)
    }
}

fn fill(tenant: TenantId, name: &str, events: &[UsageEvent]) -> UsageBackfill {
    let events = events.iter().cloned();
    UsageBackfill::new(tenant, name, "tokens", events).by(Actor::System, "a test")
}

/// What a tenant has of `tokens` since long before.
async fn whole(sink: &dyn UsageSink, tenant: TenantId) -> Option<(rust_decimal::Decimal, u64)> {
    let range = Window::new(LONG_AGO - Duration::from_secs(86_400), NOW);
    let query = RollupQuery::total(tenant, "tokens", range);
    let rollups = sink.rollups(&query).await.unwrap();
    rollups.first().map(|one| (one.quantity, one.events))
}

/// A backfill adds what is too late, once, and its revert takes that away again.
pub async fn a_backfill_adds_once_and_is_reverted(sink: &dyn UsageBackfills, tenant: TenantId) {
    let event = old(tenant, "1", 5);
    let late = record_one(sink, event.clone()).await;
    assert!(matches!(late, EventOutcome::TooLate(_)), "{late:?}");
    let june = fill(tenant, "june", &[event.clone(), old(tenant, "2", 6)]);
    let applied = sink.backfill(&june).await.unwrap();
    assert_eq!(
        applied,
        BackfillOutcome::Applied {
            added: 2,
            voided: 0
        }
    );
    let again = sink.backfill(&june).await.unwrap();
    assert_eq!(again, BackfillOutcome::AlreadyApplied);
    let other = sink
        .backfill(&fill(tenant, "june", &[event]))
        .await
        .unwrap();
    assert_eq!(other, BackfillOutcome::Conflict);
    assert_eq!(whole(sink, tenant).await, Some((11.into(), 2)));

    // What it added is corrected like any other event.
    let correction = UsageCorrection::amend(june.events[0].event_key(), 1, "suite", "1");
    let correction = correction.by(Actor::System, "a test");
    let outcomes = sink.correct(&[correction]).await.unwrap();
    assert_eq!(outcomes, [CorrectionOutcome::Applied]);
    assert_eq!(whole(sink, tenant).await, Some((7.into(), 2)));

    let revert = async |name: &str, reason: &str| {
        let reverted = sink.revert_backfill(tenant, name, &Actor::System, reason);
        reverted.await.unwrap()
    };
    assert_eq!(revert("july", "a test").await, RevertOutcome::Unknown);
    let refused = revert("june", "").await;
    assert!(matches!(refused, RevertOutcome::Refused(_)), "{refused:?}");
    let reverted = RevertOutcome::Reverted {
        voided: 2,
        restored: 0,
    };
    assert_eq!(revert("june", "a test").await, reverted);
    assert_eq!(
        revert("june", "a test").await,
        RevertOutcome::AlreadyReverted
    );
    assert_eq!(whole(sink, tenant).await, None);
    let again = sink.backfill(&june).await.unwrap();
    assert_eq!(again, BackfillOutcome::Reverted);

    let backfills = sink.list_backfills(tenant, 0, 10).await.unwrap();
    let [told] = &*backfills else {
        panic!("{backfills:?}");
    };
    assert_eq!((&*told.name, told.added, told.voided), ("june", 2, 0));
    assert_eq!((&*told.by, &*told.reason), ("system", "a test"));
    assert!(told.reverted_at.is_some());
    let corrections = sink.list_corrections(tenant, 0, 10).await.unwrap();
    let told: Vec<_> = corrections
        .iter()
        .map(|it| (&*it.source, it.before, it.after))
        .collect();
    let own = "backfill:june";
    assert_eq!(told[0], ("suite", Some(5.into()), Some(1.into())));
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[1..].contains(&(own, Some(1.into()), None)), "{told:?}");
    assert!(told[1..].contains(&(own, Some(6.into()), None)), "{told:?}");
    let rest = sink
        .list_corrections(tenant, corrections[0].number, 1)
        .await
        .unwrap();
    assert_eq!(rest, corrections[1..2]);
}

/// A backfill that replaces voids what its meter had in the range, and nothing beside; the revert brings it back.
pub async fn a_backfill_replaces_and_gives_back(
    sink: &dyn UsageBackfills,
    [tenant, other]: [TenantId; 2],
) {
    let minute = Duration::from_secs(60);
    let at = |id: &str, seconds, quantity| UsageEvent {
        at: ago(seconds),
        ..tokens(tenant, id, quantity)
    };
    let requests = UsageEvent::new(tenant, "requests", "suite", "r", ago(90));
    record(
        sink,
        &[
            at("before", 200, 1),
            at("in", 119, 10).dimension("model", "large"),
            at("too", 100, 20),
            at("after", 30, 2),
            requests,
            tokens(other, "1", 5),
        ],
    )
    .await;
    let range = Window::new(ago(120), ago(60));
    let replacing = fill(tenant, "replaced", &[at("new", 90, 100)]).replacing(range);
    let applied = sink.backfill(&replacing).await.unwrap();
    assert_eq!(
        applied,
        BackfillOutcome::Applied {
            added: 1,
            voided: 2
        }
    );
    assert_eq!(whole(sink, tenant).await, Some((103.into(), 3)));
    assert_eq!(whole(sink, other).await, Some((5.into(), 1)));
    let minutes = each(sink, tenant, "tokens", Resolution::Minute).await;
    let told: Vec<_> = minutes.iter().map(|it| (it.0.start, it.1, it.2)).collect();
    assert_eq!(
        told,
        [
            (ago(240), 1.into(), 1),
            (ago(120), 100.into(), 1),
            (ago(60), 2.into(), 1)
        ]
    );
    let query = RollupQuery::total(tenant, "requests", Window::new(ago(120), NOW + minute));
    assert_eq!(sink.rollups(&query).await.unwrap()[0].events, 1);

    // What another one has replaced is reverted after it.
    let above = fill(tenant, "above", &[]).replacing(range);
    let applied = sink.backfill(&above).await.unwrap();
    assert_eq!(
        applied,
        BackfillOutcome::Applied {
            added: 0,
            voided: 1
        }
    );
    assert_eq!(whole(sink, tenant).await, Some((3.into(), 2)));
    let revert = async |name: &str| {
        let reverted = sink.revert_backfill(tenant, name, &Actor::System, "a test");
        reverted.await.unwrap()
    };
    match revert("replaced").await {
        RevertOutcome::Refused(error) => assert!(error.to_string().contains("`above`"), "{error}"),
        outcome => panic!("{outcome:?}"),
    }
    let told = revert("above").await;
    assert_eq!(
        told,
        RevertOutcome::Reverted {
            voided: 0,
            restored: 1
        }
    );
    assert_eq!(whole(sink, tenant).await, Some((103.into(), 3)));
    let told = revert("replaced").await;
    assert_eq!(
        told,
        RevertOutcome::Reverted {
            voided: 1,
            restored: 2
        }
    );
    assert_eq!(whole(sink, tenant).await, Some((33.into(), 4)));
}

/// While a later backfill stands in a part of its range, an earlier one is not reverted: what it had replaced would count
/// beside what the later one has put in its place.
pub async fn an_earlier_backfill_is_reverted_after_a_later_one(
    sink: &dyn UsageBackfills,
    tenant: TenantId,
) {
    let at = |id: &str, quantity| UsageEvent {
        at: ago(90),
        ..tokens(tenant, id, quantity)
    };
    record(sink, &[at("replaced", 10)]).await;
    let day = Window::new(ago(120), ago(60));
    let apply = async |name: &str, events: &[UsageEvent], range| {
        let backfill = fill(tenant, name, events).replacing(range);
        let outcome = sink.backfill(&backfill).await.unwrap();
        assert!(
            matches!(outcome, BackfillOutcome::Applied { .. }),
            "{outcome:?}"
        );
    };
    let revert = async |name: &str| {
        let reverted = sink.revert_backfill(tenant, name, &Actor::System, "a test");
        reverted.await.unwrap()
    };
    apply("without", &[], day).await;
    assert_eq!(whole(sink, tenant).await, None);
    // What only touches the range has nothing of it.
    apply("beside", &[], Window::new(ago(60), ago(30))).await;
    apply("again", &[at("new", 7)], day).await;
    match revert("without").await {
        RevertOutcome::Refused(error) => assert!(error.to_string().contains("`again`"), "{error}"),
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(whole(sink, tenant).await, Some((7.into(), 1)));
    let told = RevertOutcome::Reverted {
        voided: 1,
        restored: 0,
    };
    assert_eq!(revert("again").await, told);
    assert_eq!(whole(sink, tenant).await, None);
    let told = RevertOutcome::Reverted {
        voided: 0,
        restored: 1,
    };
    assert_eq!(revert("without").await, told);
    assert_eq!(whole(sink, tenant).await, Some((10.into(), 1)));
}

/// One bad event refuses the whole, and no other event gets in by the source of a backfill.
pub async fn a_bad_backfill_changes_nothing(sink: &dyn UsageBackfills, tenant: TenantId) {
    record(sink, &[tokens(tenant, "1", 5)]).await;
    let event = old(tenant, "good", 7);
    let range = Window::new(ago(120), NOW);
    let requests = UsageEvent::new(tenant, "requests", "suite", "r", LONG_AGO);
    let ahead = UsageEvent {
        at: NOW + Duration::from_secs(3_600),
        ..event.clone()
    };
    for (backfill, kind) in [
        (
            fill(tenant, "a", &[event.clone(), old(tenant, "bad", -1)]),
            EventErrorKind::NegativeQuantity,
        ),
        (fill(tenant, "b", &[]), EventErrorKind::Misfit),
        (
            fill(tenant, "c", &[event.clone(), event.clone()]),
            EventErrorKind::Misfit,
        ),
        (fill(tenant, "d", &[requests]), EventErrorKind::Misfit),
        (fill(tenant, "e", &[ahead]), EventErrorKind::InFuture),
        (
            fill(tenant, "", from_ref(&event)),
            EventErrorKind::InvalidText,
        ),
        (
            fill(tenant, "f", from_ref(&event)).by(Actor::System, ""),
            EventErrorKind::InvalidText,
        ),
        (
            fill(tenant, "f", from_ref(&event)).by(Actor::System, "a\0test"),
            EventErrorKind::InvalidText,
        ),
        (
            fill(tenant, "f\0", from_ref(&event)),
            EventErrorKind::InvalidText,
        ),
        (
            fill(tenant, "g", from_ref(&event)).replacing(range),
            EventErrorKind::Misfit,
        ),
        (
            UsageBackfill::new(tenant, "h", "a\0meter", []).by(Actor::System, "a test"),
            EventErrorKind::UndeclaredMeter,
        ),
        (
            UsageBackfill::new(tenant, "h", "undeclared", []).by(Actor::System, "a test"),
            EventErrorKind::UndeclaredMeter,
        ),
    ] {
        match sink.backfill(&backfill).await.unwrap() {
            BackfillOutcome::Refused(error) if error.kind() == kind => {}
            outcome => panic!("{outcome:?} and not {kind:?} for {backfill:?}"),
        }
    }
    let forged = UsageEvent {
        source: UsageBackfill::source_of("a"),
        ..tokens(tenant, "forged", 9)
    };
    let outcome = record_one(sink, forged).await;
    assert!(matches!(outcome, EventOutcome::Refused(_)), "{outcome:?}");
    assert_eq!(whole(sink, tenant).await, Some((5.into(), 1)));
    assert_eq!(sink.list_backfills(tenant, 0, 10).await.unwrap(), []);
    assert_eq!(sink.list_corrections(tenant, 0, 10).await.unwrap(), []);
}
