//! Counts of periods, against a list of all that was ever used.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{START, seconds};
use crate::{
    Timestamp,
    quota::{Calendar, Ceiling, Count, MAX_AMOUNT, Overage, Period, Wait, ceiling::reached},
};

fn ceilings() -> impl Strategy<Value = Ceiling> {
    let overage = select(vec![
        Overage::Denied,
        Overage::Allowed,
        Overage::AllowedUpTo(0),
        Overage::AllowedUpTo(3),
    ]);
    (0..12_u64, overage).prop_map(|(amount, overage)| Ceiling::new(amount, overage).unwrap())
}

proptest! {
    #![proptest_config(super::histories())]

    #[test]
    fn a_count_is_the_sum_of_what_was_used_in_the_period(
        ceiling in ceilings(),
        period in select(Period::ALL.to_vec()),
        history in vec((0..40_u64, 0..8_u64), 1..80),
    ) {
        let (mut now, mut count) = (START, Count::default());
        let mut used: Vec<(Timestamp, u64)> = Vec::new();
        for (tenths, amount) in history {
            let window = Calendar::utc().window(period, now);
            now = now + window.end.since(window.start) / 10 * u32::try_from(tenths / 8).unwrap();
            let window = Calendar::utc().window(period, now);
            let in_window = used.iter().filter(|(at, _)| window.contains(*at));
            let sum: u64 = in_window.map(|(_, amount)| amount).sum();
            let fits = ceiling.most().is_none_or(|most| sum + amount <= most);
            let before = count;
            let taken = count.take(&ceiling, &window, amount, now);
            prop_assert_eq!(taken.is_ok(), fits || amount == 0);
            match taken {
                Ok(standing) => {
                    used.push((now, amount));
                    prop_assert_eq!(standing.used, sum + amount);
                }
                Err(denial) => {
                    prop_assert_eq!(count, before);
                    prop_assert_eq!(denial.standing.used, sum);
                    let is_never = ceiling.most().is_some_and(|most| amount > most);
                    let wait = window.rest(now);
                    let expected = if is_never { Wait::Forever } else { Wait::For(wait) };
                    prop_assert_eq!(denial.wait, expected);
                }
            }
            let standing = count.peek(&ceiling, &window, now);
            prop_assert_eq!(standing.remaining, ceiling.amount().saturating_sub(standing.used));
        }
    }

    /// Forward, back by less than a period, and forward again: what is used of both periods is known.
    #[test]
    fn a_clock_that_goes_back_and_forth_over_an_edge_frees_nothing(
        moves in vec((any::<bool>(), 0..4_u64), 1..60),
    ) {
        let ten = Ceiling::new(10, Overage::Denied).unwrap();
        let edge = Calendar::utc().window(Period::Hour, START).end;
        let mut count = Count::default();
        let mut used = [0, 0];
        for (is_after, amount) in moves {
            let now = if is_after { edge + seconds(1) } else { edge - seconds(1) };
            let window = Calendar::utc().window(Period::Hour, now);
            let own = &mut used[usize::from(is_after)];
            let taken = count.take(&ten, &window, amount, now).is_ok();
            prop_assert_eq!(taken, *own + amount <= 10);
            *own += if taken { amount } else { 0 };
        }
    }
}

/// A clock that was a year ahead for a moment, and one that was set back by two months.
#[test]
fn a_clock_that_was_far_off_blocks_nothing_for_longer_than_a_period() {
    let five = Ceiling::new(5, Overage::Denied).unwrap();
    let (calendar, mut count) = (Calendar::utc(), Count::default());
    let month = |at| calendar.window(Period::Month, at);
    let ahead = START + seconds(400 * 86_400);
    assert!(count.take(&five, &month(START), 4, START).is_ok());
    assert!(count.take(&five, &month(ahead), 5, ahead).is_ok());
    assert!(count.take(&five, &month(START), 2, START).is_err());
    assert!(count.take(&five, &month(START), 1, START).is_ok());
    let next = month(START).end;
    assert!(count.take(&five, &month(next), 5, next).is_ok());
    // Further back than it remembers: nothing is freed, and the month after is as it should be.
    let back = START - seconds(60 * 86_400);
    assert!(count.take(&five, &month(back), 1, back).is_err());
    let after = month(back).end;
    assert!(count.take(&five, &month(after), 5, after).is_ok());
}

#[test]
fn what_is_given_back_is_at_most_what_is_used_and_of_its_own_period() {
    let five = Ceiling::new(5, Overage::Denied).unwrap();
    let (calendar, mut count) = (Calendar::utc(), Count::default());
    let month = calendar.window(Period::Month, START);
    assert!(count.take(&five, &month, 3, START).is_ok());
    let next = calendar.window(Period::Month, month.end);
    assert!(count.take(&five, &next, 2, next.start).is_ok());
    count.give_back(&month, 1);
    assert_eq!(count.peek(&five, &next, next.start).used, 2);
    assert_eq!(count.peek(&five, &month, START).used, 2);
    count.give_back(&next, u64::MAX);
    assert_eq!(count.peek(&five, &next, next.start).used, 0);
    count.add(&next, u64::MAX);
    assert_eq!(count.peek(&five, &next, next.start).used, MAX_AMOUNT);
    let third = calendar.window(Period::Month, next.end);
    assert!(count.take(&five, &third, 5, third.start).is_ok());
}

/// litellm#18730: 663 tokens on a limit of 100. One request overshoots, and the next ones pay for it.
#[test]
fn the_overshoot_of_one_request_is_counted_and_bounded() {
    let hundred = Ceiling::new(100, Overage::Denied).unwrap();
    let month = Calendar::utc().window(Period::Month, START);
    let mut count = Count::default();
    assert!(count.take(&hundred, &month, 100, START).is_ok());
    count.add(&month, 563);
    let standing = count.peek(&hundred, &month, START);
    assert_eq!((standing.used, standing.remaining), (663, 0));
    assert!(count.take(&hundred, &month, 1, START).is_err());
}

#[test]
fn thresholds_are_reached_at_their_percent_and_not_before() {
    for (limit, used, percent) in [
        (10, 0, 0),
        (10, 7, 0),
        (10, 8, 80),
        (10, 9, 80),
        (10, 10, 100),
        (10, 25, 100),
        (3, 2, 0),
        (3, 3, 100),
        (0, 1, 100),
        (MAX_AMOUNT, MAX_AMOUNT / 5 * 4, 0),
        (MAX_AMOUNT, MAX_AMOUNT / 5 * 4 + 4, 80),
    ] {
        assert_eq!(
            reached(&[100, 80], limit, used),
            percent,
            "{used} of {limit}"
        );
    }
    assert_eq!(reached(&[], 10, 10), 0);
}
