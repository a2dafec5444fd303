//! Holdings, against a list of all reservations.

use proptest::{collection::vec, prelude::*};

use super::{START, seconds};
use crate::{
    Timestamp,
    quota::{Ceiling, Holdings, OperationId, Overage, Wait},
};

fn operation(number: u8) -> OperationId {
    OperationId::of([number.to_string().as_str()])
}

fn ceiling(amount: u64) -> Ceiling {
    Ceiling::new(amount, Overage::Denied).unwrap()
}

proptest! {
    #![proptest_config(super::histories())]

    #[test]
    fn what_is_held_is_what_was_committed_and_what_is_reserved(
        amount in 0..8_u64,
        history in vec((0..5_u8, 0..6_u8, 0..4_u64, 0..50_u64), 1..80),
    ) {
        let (ceiling, lasts) = (ceiling(amount), seconds(60));
        let (mut now, mut holdings, mut kept) = (START, Holdings::default(), 0_u64);
        let mut model: Vec<(u8, u64, Timestamp)> = Vec::new();
        for (what, who, amount, step) in history {
            now = now + seconds(step);
            model.retain(|(_, _, until)| *until > now);
            let own = model.iter().position(|(of, ..)| *of == who);
            let used = kept + model.iter().map(|(_, amount, _)| amount).sum::<u64>();
            match what {
                0 | 1 => {
                    let passes = own.is_some() || amount == 0 || used + amount <= ceiling.amount();
                    let taken = holdings.reserve(&ceiling, operation(who), amount, lasts, now);
                    prop_assert_eq!(taken.is_ok(), passes);
                    if passes && own.is_none() && amount > 0 {
                        model.push((who, amount, now + lasts));
                    }
                }
                2 => {
                    prop_assert_eq!(holdings.commit(operation(who), amount, now), own.is_some());
                    model.retain(|(of, ..)| *of != who);
                    kept += amount;
                }
                3 => {
                    holdings.release(operation(who));
                    model.retain(|(of, ..)| *of != who);
                }
                _ => {
                    holdings.give_back(amount);
                    kept = kept.saturating_sub(amount);
                }
            }
            let used = kept + model.iter().map(|(_, amount, _)| amount).sum::<u64>();
            prop_assert_eq!(holdings.peek(&ceiling, now).used, used);
        }
    }
}

/// dust#27364, rallly#1905: 3 seats, 2 members, 5 invitations at once.
#[test]
fn two_that_come_at_once_do_not_both_get_the_last_seat() {
    let (three, mut seats) = (ceiling(3), Holdings::default());
    seats.commit(operation(0), 2, START);
    let invited = |seats: &mut Holdings, who, now| {
        seats
            .reserve(&three, operation(who), 1, seconds(60), now)
            .is_ok()
    };
    let passed = (1..=5)
        .filter(|who| invited(&mut seats, *who, START))
        .count();
    assert_eq!(passed, 1);
    // It expires and frees its seat; who accepts late has one all the same, and nobody else gets in.
    assert!(invited(&mut seats, 6, START + seconds(60)));
    assert!(!seats.commit(operation(1), 1, START + seconds(61)));
    assert!(seats.commit(operation(6), 1, START + seconds(61)));
    assert_eq!(seats.peek(&three, START + seconds(61)).used, 4);
    assert!(!invited(&mut seats, 7, START + seconds(61)));
}

/// growthbook#6509: down to 1 seat with 3 members.
#[test]
fn a_downgrade_removes_nothing_and_stops_growth() {
    let mut seats = Holdings::default();
    seats.commit(operation(0), 3, START);
    let one = ceiling(1);
    let denied = seats.check(&one, operation(1), 1, START).unwrap_err();
    assert_eq!((denied.standing.used, denied.standing.remaining), (3, 0));
    assert_eq!(denied.wait, Wait::Unknown);
    seats.give_back(3);
    assert!(seats.check(&one, operation(1), 1, START).is_ok());
}

#[test]
fn a_clock_that_is_set_back_keeps_no_reservation_for_longer_than_its_time() {
    let (one, mut holdings) = (ceiling(1), Holdings::default());
    let reserve = |holdings: &mut Holdings, who, now| {
        holdings
            .reserve(&one, operation(who), 1, seconds(60), now)
            .is_ok()
    };
    assert!(reserve(&mut holdings, 1, START));
    let back = START - seconds(86_400);
    assert!(!reserve(&mut holdings, 2, back));
    assert!(reserve(&mut holdings, 2, back + seconds(60)));
}
