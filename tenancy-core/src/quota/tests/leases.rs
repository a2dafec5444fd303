//! Leases, against a list of all that were ever begun.

use proptest::{collection::vec, prelude::*};

use super::{START, seconds};
use crate::{
    Timestamp,
    quota::{Concurrency, Leases, OperationId, Wait},
};

fn limit(amount: u64) -> Concurrency {
    Concurrency::new(amount, seconds(60)).unwrap()
}

fn holder(number: u8) -> OperationId {
    OperationId::of([number.to_string().as_str()])
}

proptest! {
    #![proptest_config(super::histories())]

    #[test]
    fn leases_are_those_that_have_begun_and_not_ended(
        amount in 1..6_u64,
        history in vec((0..3_u8, 0..6_u8, 0..4_u64, 0..50_u64), 1..80),
    ) {
        let limit = limit(amount);
        let (mut now, mut leases) = (START, Leases::default());
        let mut model: Vec<(u8, u64, Timestamp)> = Vec::new();
        for (what, who, amount, step) in history {
            now = now + seconds(step);
            model.retain(|(_, _, until)| *until > now);
            let own = model.iter().position(|(of, ..)| *of == who);
            let used: u64 = model.iter().map(|(_, amount, _)| amount).sum();
            match what {
                0 => {
                    let passes = own.is_some() || amount == 0 || used + amount <= limit.amount();
                    let taken = leases.take(&limit, holder(who), amount, now);
                    prop_assert_eq!(taken.is_ok(), passes);
                    if passes && own.is_none() && amount > 0 {
                        model.push((who, amount, now + limit.lease()));
                    }
                }
                1 => {
                    prop_assert_eq!(leases.renew(&limit, holder(who), now), own.is_some());
                    if let Some(own) = own {
                        model[own].2 = now + limit.lease();
                    }
                }
                _ => {
                    // One that has ended may still be kept, and ending it is no news.
                    let ended = leases.end(holder(who));
                    prop_assert!(ended || own.is_none());
                    model.retain(|(of, ..)| *of != who);
                }
            }
            let used: u64 = model.iter().map(|(_, amount, _)| amount).sum();
            prop_assert_eq!(leases.peek(&limit, now).used, used);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_ends_no_lease_and_keeps_none_for_longer_than_its_time(
        back in 1..1_000_000_u64,
    ) {
        let one = limit(1);
        let mut leases = Leases::default();
        prop_assert!(leases.take(&one, holder(1), 1, START).is_ok());
        let now = START - seconds(back);
        prop_assert!(leases.take(&one, holder(2), 1, now).is_err());
        prop_assert!(leases.take(&one, holder(2), 1, now + one.lease()).is_ok());
    }
}

/// litellm#20256, shenyu#6646: a holder that is gone. llm-d-async#336: and one that stays.
#[test]
fn each_holder_has_a_time_of_its_own() {
    let two = limit(2);
    let mut leases = Leases::default();
    assert!(leases.take(&two, holder(1), 1, START).is_ok());
    let later = START + seconds(30);
    assert!(leases.take(&two, holder(2), 1, later).is_ok());
    let denied = leases.take(&two, holder(3), 1, later).unwrap_err();
    assert_eq!((denied.standing.used, denied.wait), (2, Wait::Unknown));
    // The first is gone, and the second stays although the first has ended.
    let end = START + seconds(60);
    assert!(leases.take(&two, holder(3), 1, end).is_ok());
    assert!(leases.take(&two, holder(4), 1, end).is_err());
    assert!(leases.renew(&two, holder(2), end));
    assert!(leases.take(&two, holder(4), 1, end + seconds(31)).is_err());
    assert!(!leases.renew(&two, holder(1), end), "its place is taken");
}

#[test]
fn more_than_the_limit_is_refused_for_ever() {
    let denied = Leases::default().check(&limit(2), holder(1), 3, START);
    assert_eq!(denied.unwrap_err().wait, Wait::Forever);
    assert!(Concurrency::new(0, seconds(1)).is_err());
    assert!(Concurrency::new(u64::MAX, seconds(1)).is_err());
}
