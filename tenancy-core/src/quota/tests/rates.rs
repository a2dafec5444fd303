//! Rates, against two models of GCRA: the sum over all that was admitted, and the arrival times of ITU-T I.371.

use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{START, micros, seconds};
use crate::{
    Timestamp,
    quota::{Bucket, Denial, MAX_AMOUNT, Rate, Wait},
};

fn rate(amount: u64, per: Duration, burst: u64) -> Rate {
    Rate::new(amount, per, burst).unwrap()
}

/// What was admitted, and when.
#[derive(Default)]
struct Admitted(Vec<(Timestamp, u64)>);

impl Admitted {
    /// What is used of a bucket that leaks all the time, in units of one per-th: the largest sum of the latest costs,
    /// without what has leaked since the first of them.
    fn used(&self, rate: &Rate, now: Timestamp) -> i128 {
        let per = i128::try_from(rate.per().as_nanos()).unwrap();
        let (mut sum, mut most) = (0, 0);
        for (at, cost) in self.0.iter().rev() {
            sum += i128::from(*cost) * per;
            let nanos = i128::try_from(now.since(*at).as_nanos()).unwrap();
            most = most.max(sum - nanos * i128::from(rate.amount()));
        }
        most
    }

    fn admits(&self, rate: &Rate, cost: u64, now: Timestamp) -> bool {
        let per = i128::try_from(rate.per().as_nanos()).unwrap();
        self.used(rate, now) + i128::from(cost) * per <= i128::from(rate.burst()) * per
    }
}

/// The virtual scheduling algorithm, in units of one amount-th of a nanosecond.
#[derive(Default)]
struct Arrivals {
    /// The theoretical arrival time.
    due: i128,
}

impl Arrivals {
    fn take(&mut self, rate: &Rate, cost: u64, now: Timestamp) -> bool {
        let now = i128::from(now.as_unix_micros()) * 1_000 * i128::from(rate.amount());
        let each = i128::try_from(rate.per().as_nanos()).unwrap();
        let due = self.due.max(now) + i128::from(cost) * each;
        let passes = due - now <= i128::from(rate.burst()) * each;
        if passes {
            self.due = due;
        }
        passes
    }
}

fn rates() -> impl Strategy<Value = Rate> {
    let times = select(vec![
        micros(1),
        micros(7),
        micros(1_000_001),
        seconds(1),
        seconds(60),
        seconds(86_400),
    ]);
    (1_u64..1_000, times, 1_u64..20).prop_map(|(amount, per, burst)| rate(amount, per, burst))
}

/// Steps in time as parts of the time that one unit takes, and costs of which some are above the burst.
fn history() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![4 => 0..50_u64, 3 => 50..400_u64, 1 => 400..9_000_u64];
    let cost = prop_oneof![1 => Just(0_u64), 8 => 1..4_u64, 2 => 4..22_u64];
    vec((step, cost), 1..80)
}

proptest! {
    #![proptest_config(super::histories())]

    #[test]
    fn a_rate_decides_as_both_models_do(rate in rates(), history in history()) {
        let each = rate.per().as_micros() / u128::from(rate.amount());
        let each = u64::try_from(each).unwrap();
        let (mut now, mut bucket) = (START, Bucket::full(START));
        let (mut admitted, mut arrivals) = (Admitted::default(), Arrivals::default());
        for (step, cost) in history {
            now = now + micros(step * each / 100 + step % 3);
            let before = bucket;
            let taken = bucket.take(&rate, cost, now);
            if cost > 0 {
                prop_assert_eq!(taken.is_ok(), admitted.admits(&rate, cost, now));
                prop_assert_eq!(taken.is_ok(), arrivals.take(&rate, cost, now));
            }
            match taken {
                Ok(_) if cost == 0 => {}
                Ok(standing) => {
                    admitted.0.push((now, cost));
                    prop_assert_eq!(standing, bucket.peek(&rate, now));
                }
                Err(Denial { wait, .. }) => {
                    prop_assert_eq!(bucket, before);
                    match wait {
                        Wait::For(wait) => {
                            prop_assert!(bucket.check(&rate, cost, now + wait).is_ok());
                            let sooner = wait - micros(1);
                            prop_assert!(bucket.check(&rate, cost, now + sooner).is_err());
                        }
                        other => {
                            prop_assert_eq!(other, Wait::Forever);
                            prop_assert!(cost > rate.burst());
                        }
                    }
                }
            }
            // What it says is left can be taken, and no more.
            let standing = bucket.peek(&rate, now);
            prop_assert!(bucket.check(&rate, standing.remaining, now).is_ok());
            prop_assert!(bucket.check(&rate, standing.remaining + 1, now).is_err());
            let full = now + standing.reset_after.unwrap();
            prop_assert!(bucket.is_full(&rate, full));
            prop_assert!(standing.used == 0 || !bucket.is_full(&rate, full - micros(1)));
        }
    }

    /// Whatever is charged later, given back, or measured by another limit meanwhile.
    #[test]
    fn a_bucket_is_never_negative_and_never_stuck(
        first in rates(),
        second in rates(),
        changes in vec((0..4_u8, 0..40_u64, 0..5_000_000_u64, any::<bool>()), 1..60),
    ) {
        let (mut now, mut bucket) = (START, Bucket::full(START));
        for (change, amount, step, is_first) in changes {
            let rate = if is_first { &first } else { &second };
            now = now + micros(step);
            match change {
                0 => _ = bucket.take(rate, amount, now),
                1 => bucket.add(rate, amount, now),
                2 => bucket.give_back(rate, amount, now),
                _ => now = now - micros(2 * step),
            }
            bucket.note_clock(now);
            let standing = bucket.peek(rate, now);
            prop_assert_eq!(standing.remaining, rate.burst().saturating_sub(standing.used));
            let later = now + standing.reset_after.unwrap();
            prop_assert_eq!(bucket.peek(rate, later).remaining, rate.burst());
            prop_assert!(bucket.check(rate, rate.burst(), later).is_ok());
        }
    }

    #[test]
    fn a_clock_that_is_set_back_frees_nothing_and_blocks_nothing(
        rate in rates(),
        taken in 1..20_u64,
        back in 1..10_000_000_000_u64,
    ) {
        let mut bucket = Bucket::full(START);
        let taken = taken.min(rate.burst());
        prop_assert!(bucket.take(&rate, taken, START).is_ok());
        let used = bucket.peek(&rate, START).used;
        let now = START - micros(back);
        prop_assert_eq!(bucket.peek(&rate, now).used, used);
        // Looked at or not, it is full again after its time on the clock as it goes now, but for one second.
        let refill = rate.refill() + seconds(1);
        let mut looked_at = bucket;
        let _ = looked_at.take(&rate, 1, now);
        prop_assert!(looked_at.peek(&rate, now).used >= used);
        prop_assert!(looked_at.check(&rate, rate.burst(), now + refill).is_ok());
    }
}

/// limiters#110, ratelimit-js#161: 10 in 10 s, 8 used, 5 are denied, 1 passes.
#[test]
fn denials_do_not_consume_however_often_a_client_retries() {
    let rate = rate(10, seconds(10), 10);
    let mut bucket = Bucket::full(START);
    assert!(bucket.take(&rate, 8, START).is_ok());
    for retry in 0..30 {
        let now = START + Duration::from_millis(100 * retry);
        let denied = bucket.take(&rate, 5, now).unwrap_err();
        let left = Duration::from_millis(3_000 - 100 * retry);
        assert_eq!(denied.wait, Wait::For(left));
    }
    assert_eq!(bucket.take(&rate, 1, START).unwrap().remaining, 1);
    assert!(bucket.take(&rate, 5, START + seconds(4)).is_ok());
}

/// ratelimit-js#39: a limit of 1 succeeds once.
#[test]
fn a_limit_of_one_admits_one() {
    let rate = rate(1, seconds(1), 1);
    let mut bucket = Bucket::full(START);
    assert!(bucket.take(&rate, 1, START).is_ok());
    assert_eq!(
        bucket.take(&rate, 1, START).unwrap_err().wait,
        Wait::For(seconds(1))
    );
    assert!(bucket.take(&rate, 1, START + seconds(1)).is_ok());
}

/// Seven a second have no whole number of nanoseconds between them, and none is lost in a day.
#[test]
fn nothing_is_rounded_away() {
    let rate = rate(7, seconds(1), 1);
    let mut bucket = Bucket::full(START);
    let (mut now, mut passed) = (START, 0);
    while now < START + seconds(3_600) {
        match bucket.take(&rate, 1, now) {
            Ok(_) => passed += 1,
            Err(Denial {
                wait: Wait::For(wait),
                ..
            }) => now = now + wait,
            Err(other) => panic!("{other:?}"),
        }
    }
    // Each of them waits for the next microsecond that the clock shows, and 7 of them for less than one.
    assert_eq!(passed, 7 * 3_600);
}

#[test]
fn a_new_limit_counts_units_and_not_the_time_of_the_old_one() {
    let (free, pro) = (
        rate(10, seconds(86_400), 10),
        rate(1_000, seconds(86_400), 1_000),
    );
    let mut bucket = Bucket::full(START);
    assert!(bucket.take(&free, 10, START).is_ok());
    assert_eq!(bucket.peek(&pro, START).remaining, 990);
    assert!(bucket.take(&pro, 990, START).is_ok());
    // A downgrade frees nothing, and ends the wait when as much has leaked as the new limit lets.
    let denied = bucket.check(&free, 1, START).unwrap_err();
    assert_eq!(
        (denied.standing.used, denied.standing.remaining),
        (1_000, 0)
    );
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let years = Duration::from_secs(290 * 366 * 86_400);
    let largest = rate(MAX_AMOUNT, years, MAX_AMOUNT);
    let ends = [i64::MIN, 0, i64::MAX].map(Timestamp::from_unix_micros);
    let mut bucket = Bucket::full(START);
    for now in ends {
        bucket.add(&largest, u64::MAX, now);
        let _ = bucket.take(&largest, u64::MAX, now);
        let _ = bucket.take(&largest, MAX_AMOUNT, now);
        assert!(bucket.peek(&largest, now).used <= MAX_AMOUNT);
        bucket.give_back(&largest, u64::MAX, now);
        assert_eq!(bucket.peek(&largest, now).used, 0);
    }
    for (amount, per, burst) in [
        (0, seconds(1), 1),
        (1, Duration::ZERO, 1),
        (1, seconds(1), 0),
        (MAX_AMOUNT + 1, seconds(1), 1),
        (1, seconds(1), u64::MAX),
        (1, Duration::MAX, 1),
    ] {
        assert!(
            Rate::new(amount, per, burst).is_err(),
            "{amount} {per:?} {burst}"
        );
    }
}
