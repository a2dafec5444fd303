//! Operations: taken once, settled once, renewed, released.

use super::{START, a_tenant, at_once, held, month, passes, rate, seconds, settle, standing, take};
use crate::quota::{Counters, Operation, OperationId, Settle, Settled, Take};

fn named(name: &str) -> Operation {
    let unique = format!("{:?}", OperationId::unique());
    Operation::repeatable(OperationId::of([unique.as_str(), name]))
}

/// A repetition is granted, and takes nothing.
pub async fn an_operation_that_is_repeated_is_taken_once(counters: &dyn Counters) {
    let acme = a_tenant();
    for (limit, algorithm) in [
        ("rate", rate(2)),
        ("month", month(2, START)),
        ("held", held(2)),
    ] {
        let one = Take::new(acme, limit, algorithm, 1);
        let (first, second) = (named("first"), named("second"));
        for repetition in 0..3 {
            let granted = take(counters, first, &[one], START).await.unwrap();
            assert_eq!(granted.repeated, repetition > 0);
            assert_eq!(granted.standings.iter().next().unwrap().used, 1);
        }
        assert!(take(counters, second, &[one], START).await.is_ok());
        assert!(take(counters, named("third"), &[one], START).await.is_err());
        // Granted as before, although nothing is left now.
        assert!(take(counters, first, &[one], START).await.unwrap().repeated);
    }
}

/// A denial is not remembered.
pub async fn a_denied_operation_may_be_tried_again(counters: &dyn Counters) {
    let one = Take::new(a_tenant(), "requests", rate(1), 1);
    assert!(passes(counters, one, START).await);
    let retried = named("retried");
    assert!(take(counters, retried, &[one], START).await.is_err());
    let later = START + seconds(10);
    assert!(
        !take(counters, retried, &[one], later)
            .await
            .unwrap()
            .repeated
    );
    assert!(
        take(counters, retried, &[one], later)
            .await
            .unwrap()
            .repeated
    );
}

/// An estimate becomes the truth, once: less, or more than there is room for.
pub async fn a_settlement_counts_once(counters: &dyn Counters) {
    let acme = a_tenant();
    for (limit, algorithm) in [("rate", rate(1_000)), ("month", month(1_000, START))] {
        let of = |amount| Take::new(acme, limit, algorithm, amount);
        let less = named("less");
        assert!(take(counters, less, &[of(800)], START).await.is_ok());
        let truth = [Settle::new(of(800), 300)];
        assert_eq!(settle(counters, less, &truth, START).await, Settled::Done);
        assert_eq!(
            settle(counters, less, &truth, START).await,
            Settled::Repeated
        );
        let other = [Settle::new(of(800), 0)];
        assert_eq!(
            settle(counters, less, &other, START).await,
            Settled::Repeated
        );
        assert_eq!(standing(counters, of(0), START).await.used, 300, "{limit}");
        let more = named("more");
        assert!(take(counters, more, &[of(700)], START).await.is_ok());
        let truth = [Settle::new(of(700), 763)];
        assert_eq!(settle(counters, more, &truth, START).await, Settled::Done);
        let over = standing(counters, of(0), START).await;
        assert_eq!((over.used, over.remaining), (1_063, 0), "{limit}");
        assert!(!passes(counters, of(1), START).await, "{limit}");
    }
}

/// What a client repeats after it was given back is charged again.
pub async fn what_was_given_back_is_taken_again(counters: &dyn Counters) {
    let one = Take::new(a_tenant(), "exports", month(2, START), 1);
    let export = named("export");
    for _ in 0..3 {
        assert!(
            !take(counters, export, &[one], START)
                .await
                .unwrap()
                .repeated
        );
        assert_eq!(standing(counters, one, START).await.used, 1);
        let failed = [Settle::new(one, 0)];
        assert_eq!(
            settle(counters, export, &failed, START).await,
            Settled::Done
        );
        assert_eq!(
            settle(counters, export, &failed, START).await,
            Settled::Repeated
        );
        assert_eq!(standing(counters, one, START).await.used, 0);
    }
}

/// Two requests of one id at once pay once, however one of them ends: also where two processes share the counters.
pub async fn what_a_repetition_was_granted_with_stays_taken(counters: &dyn Counters) {
    let of = Take::new(a_tenant(), "exports", month(10, START), 2);
    let export = named("export");
    for repetition in 0..2 {
        let granted = take(counters, export, &[of], START).await.unwrap();
        assert_eq!(granted.repeated, repetition > 0);
    }
    settle(counters, export, &[Settle::new(of, 0)], START).await;
    assert_eq!(standing(counters, of, START).await.used, 2);
    between_two(counters, counters).await;
}

/// The same, of two processes that share what is counted. Not in [`counters`](super::counters()), which has one.
pub async fn between_two(one: &dyn Counters, other: &dyn Counters) {
    let acme = a_tenant();
    let of = Take::new(acme, "exports", month(10, START), 1);
    let back = [Settle::new(of, 0)];
    // The first one is refused further inside, after the repetition was admitted.
    let export = named("repeated");
    assert!(!take(one, export, &[of], START).await.unwrap().repeated);
    for _ in 0..2 {
        assert!(take(other, export, &[of], START).await.unwrap().repeated);
    }
    for _ in 0..2 {
        assert_eq!(
            settle(one, export, &back, START).await,
            Settled::Repeated,
            "a repetition was granted with it"
        );
    }
    assert!(take(one, export, &[of], START).await.unwrap().repeated);
    // The first one is refused before the repetition arrives: that one pays, and may give back what is its own.
    let export = named("given back");
    assert!(!take(one, export, &[of], START).await.unwrap().repeated);
    assert_eq!(settle(one, export, &back, START).await, Settled::Done);
    assert!(!take(other, export, &[of], START).await.unwrap().repeated);
    assert_eq!(settle(other, export, &back, START).await, Settled::Done);
    assert!(!take(one, export, &[of], START).await.unwrap().repeated);
    assert!(take(other, export, &[of], START).await.unwrap().repeated);
    // A reservation is released, whoever has heard of it.
    let of = Take::new(acme, "projects", held(10), 1);
    let project = named("project");
    assert!(!take(one, project, &[of], START).await.unwrap().repeated);
    assert!(take(other, project, &[of], START).await.unwrap().repeated);
    let back = [Settle::new(of, 0)];
    assert_eq!(settle(one, project, &back, START).await, Settled::Done);
    assert_eq!(standing(other, of, START).await.used, 0);
}

/// A lease ends with its holder, or by itself; a renewed one goes on.
pub async fn leases_end_and_are_renewed(counters: &dyn Counters) {
    let one = Take::new(a_tenant(), "jobs", at_once(2), 1);
    let (first, second) = (Operation::once(), Operation::once());
    assert!(take(counters, first, &[one], START).await.is_ok());
    assert!(take(counters, second, &[one], START).await.is_ok());
    assert!(!passes(counters, one, START).await);
    let renew = async |operation: Operation, now| {
        let renewed = counters.renew(operation.id(), &[one], now);
        renewed.answer().await.unwrap()
    };
    let later = START + seconds(30);
    assert_eq!(renew(first, later).await, Settled::Done);
    // The second ends by itself, and the first goes on.
    let end = START + seconds(60);
    assert_eq!(renew(second, end).await, Settled::Late);
    assert_eq!(standing(counters, one, end).await.used, 1);
    let done = [Settle::new(one, 0)];
    assert_eq!(settle(counters, first, &done, end).await, Settled::Done);
    settle(counters, first, &done, end).await;
    assert_eq!(standing(counters, one, end).await.used, 0);
}

/// What was reserved is kept, released, or ends by itself; what is kept late counts all the same.
pub async fn reservations_are_kept_or_released(counters: &dyn Counters) {
    let acme = a_tenant();
    let of = |amount| Take::new(acme, "projects", held(3), amount);
    let (kept, released, late) = (named("kept"), named("released"), named("late"));
    for operation in [kept, released, late] {
        assert!(take(counters, operation, &[of(1)], START).await.is_ok());
    }
    assert!(!passes(counters, of(1), START).await);
    let actual = |amount| [Settle::new(of(1), amount)];
    assert_eq!(
        settle(counters, kept, &actual(1), START).await,
        Settled::Done
    );
    assert_eq!(
        settle(counters, kept, &actual(1), START).await,
        Settled::Repeated
    );
    assert_eq!(
        settle(counters, released, &actual(0), START).await,
        Settled::Done
    );
    assert_eq!(standing(counters, of(0), START).await.used, 2);
    let end = START + seconds(60);
    assert_eq!(standing(counters, of(0), end).await.used, 1);
    assert!(
        take(counters, Operation::once(), &[of(2)], end)
            .await
            .is_ok()
    );
    assert_eq!(settle(counters, late, &actual(1), end).await, Settled::Late);
    assert_eq!(standing(counters, of(0), end).await.used, 4);
    // What there was before it was counted: nothing of it is taken, and what there is counts in full, once.
    let there_were = named("there were");
    for repeated in [false, true] {
        let granted = take(counters, there_were, &[of(0)], end).await.unwrap();
        assert_eq!(granted.repeated, repeated);
        let settled = settle(counters, there_were, &[Settle::new(of(0), 40)], end).await;
        assert_eq!(settled == Settled::Repeated, repeated);
        assert_eq!(standing(counters, of(0), end).await.used, 44);
    }
    assert!(!passes(counters, of(1), end).await);
    let removed = counters.give_back(OperationId::unique(), &[of(40)], end);
    assert_eq!(removed.answer().await.unwrap(), Settled::Done);
    // A project that is removed, and the message of it comes twice.
    let removed = OperationId::unique();
    for expected in [Settled::Done, Settled::Repeated] {
        let freed = counters.give_back(removed, &[of(1)], end);
        assert_eq!(freed.answer().await.unwrap(), expected);
    }
    assert_eq!(standing(counters, of(0), end).await.used, 3);
}
