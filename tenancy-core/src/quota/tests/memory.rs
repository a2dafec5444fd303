//! Counters in memory: the promises of all counters, under threads, and within their room.

use std::{sync::Barrier, thread, time::Duration};

use proptest::prelude::*;

use super::{START, seconds};
use crate::{
    KeyId, TenantId, Timestamp,
    quota::{
        Algorithm, Calendar, Ceiling, Concurrency, Counters, CountersError, Counting, Holder,
        MAX_TAKES, MemoryCounters, Operation, OperationId, Overage, Period, Rate, Settle, Settled,
        Take, Taken, conformance,
    },
};

fn rate(amount: u64, per: Duration) -> Algorithm {
    Algorithm::Rate(Rate::new(amount, per, amount).unwrap())
}

fn month(amount: u64, now: Timestamp) -> Algorithm {
    let ceiling = Ceiling::new(amount, Overage::Denied).unwrap();
    Algorithm::Period(ceiling, Calendar::utc().window(Period::Month, now))
}

fn ready<T>(counting: Counting<T>) -> Result<T, CountersError> {
    match counting {
        Counting::Ready(answer) => answer,
        Counting::Pending(_) => panic!("memory answers at once"),
    }
}

fn take(
    counters: &MemoryCounters,
    takes: &[Take<'_>],
    now: Timestamp,
) -> Result<Taken, CountersError> {
    ready(counters.take(Operation::once(), takes, now))
}

fn passes(counters: &MemoryCounters, takes: &[Take<'_>], now: Timestamp) -> bool {
    matches!(take(counters, takes, now), Ok(Taken::Granted(_)))
}

#[tokio::test]
async fn memory_promises_what_all_counters_promise() {
    let counters = MemoryCounters::new();
    conformance::counters(&counters).await;
    // One suite does not disturb the other.
    conformance::counters(&counters).await;
}

proptest! {
    #![proptest_config(super::histories())]

    #[test]
    fn memory_decides_as_single_decisions_do(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let counters = MemoryCounters::new();
        runtime.block_on(conformance::histories(&counters, seed, 120));
    }
}

/// Of four kinds of limits, alone and together with limits of which each thread has its own.
#[test]
fn sixty_four_threads_get_exactly_a_budget_of_a_thousand() {
    let concurrency = Algorithm::Concurrent(Concurrency::new(1_000, seconds(60)).unwrap());
    let held = Algorithm::Held(Ceiling::new(1_000, Overage::Denied).unwrap(), seconds(60));
    for budget in [
        rate(1_000, seconds(60)),
        month(1_000, START),
        concurrency,
        held,
    ] {
        let counters = MemoryCounters::new();
        let tenant = TenantId::new();
        let together = Barrier::new(64);
        let passed: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..64)
                .map(|thread| {
                    let (counters, together) = (&counters, &together);
                    let own = Holder::key(TenantId::new(), KeyId::new());
                    scope.spawn(move || {
                        let shared = Take::new(Holder::tenant(tenant), "budget", budget, 1);
                        let own = Take::new(own, "own", rate(1_000, seconds(60)), 1);
                        // In another order, so that locks that are not sorted would stop all.
                        let takes = if thread % 2 == 0 {
                            [shared, own]
                        } else {
                            [own, shared]
                        };
                        together.wait();
                        (0..32).filter(|_| passes(counters, &takes, START)).count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 1_000);
        let all = Take::new(Holder::tenant(tenant), "budget", budget, 0);
        let standings = ready(counters.standings(&[all], START)).unwrap();
        assert_eq!(standings.iter().next().unwrap().used, 1_000);
    }
}

/// Each of them is used once, and its bucket is full again a second later.
#[test]
fn a_million_keys_take_no_more_than_their_room() {
    let room = 50_000;
    let counters = MemoryCounters::with_capacity(room);
    let tenant = TenantId::new();
    let mut now = START;
    for key in 0..1_000_000_u32 {
        let holder = if key % 2 == 0 {
            Holder::key(tenant, KeyId::new())
        } else {
            Holder::tenant(TenantId::new())
        };
        let one = Take::new(holder, "requests", rate(1, seconds(1)), 1);
        assert!(passes(&counters, &[one], now), "{key}");
        assert!(counters.len() <= room);
        // 20,000 a second, and so many are live.
        if key % 20_000 == 0 {
            now = now + seconds(1);
        }
    }
}

#[test]
fn where_there_is_no_room_new_counters_are_refused_and_live_ones_stay() {
    let counters = MemoryCounters::with_capacity(100);
    let hour = rate(2, seconds(7_200));
    let of = |holder| Take::new(holder, "requests", hour, 1);
    let live: Vec<_> = (0..100).map(|_| Holder::tenant(TenantId::new())).collect();
    for holder in &live {
        assert!(passes(&counters, &[of(*holder)], START));
    }
    assert_eq!(counters.len(), 100);
    let new = of(Holder::tenant(TenantId::new()));
    assert!(matches!(
        take(&counters, &[new], START),
        Err(CountersError::Full)
    ));
    // With one that is there, nothing is taken of that one either.
    let both = [of(live[0]), new];
    assert!(matches!(
        take(&counters, &both, START),
        Err(CountersError::Full)
    ));
    for holder in &live {
        assert!(
            passes(&counters, &[of(*holder)], START),
            "one more is left of it"
        );
        assert!(!passes(&counters, &[of(*holder)], START));
    }
    // Their buckets are full: they make room, and begin again as if they had been kept.
    let later = START + seconds(7_200);
    assert!(passes(&counters, &[new], later));
    assert!(counters.len() <= 2);
    assert!(passes(&counters, &[of(live[0])], later));
}

/// Whatever is held, reserved, leased or counted in a period that is not past.
#[test]
fn what_can_change_an_answer_is_never_forgotten() {
    let counters = MemoryCounters::with_capacity(1_000);
    let tenant = Holder::tenant(TenantId::new());
    let jobs = Algorithm::Concurrent(Concurrency::new(1, seconds(86_400)).unwrap());
    let held = Algorithm::Held(Ceiling::new(1, Overage::Denied).unwrap(), seconds(86_400));
    let live = [
        Take::new(tenant, "month", month(1, START), 1),
        Take::new(tenant, "jobs", jobs, 1),
        Take::new(tenant, "reserved", held, 1),
        Take::new(tenant, "kept", held, 1),
    ];
    assert!(passes(&counters, &live[..3], START));
    let kept = Operation::once();
    ready(counters.take(kept, &live[3..], START)).unwrap();
    ready(counters.settle(kept, &[Settle::new(live[3], 1)], START)).unwrap();
    let mut now = START;
    for round in 0..40 {
        for _ in 0..900 {
            let other = Take::new(
                Holder::tenant(TenantId::new()),
                "rate",
                rate(1, seconds(1)),
                1,
            );
            assert!(passes(&counters, &[other], now), "{round}");
        }
        for one in &live {
            assert!(
                !passes(&counters, &[*one], now),
                "{} in round {round}",
                one.limit
            );
        }
        now = now + seconds(2_000);
    }
    // Some days later only what is kept is left, and the count of the month, for a clock that is set back.
    let next = START + seconds(40 * 86_400);
    assert!(!passes(&counters, &live[3..], next));
    let month = Take::new(tenant, "month", month(1, START), 1);
    assert!(!passes(&counters, &[month], START));
}

#[test]
fn operations_are_remembered_for_a_time_and_within_the_room() {
    let counters = MemoryCounters::with_capacity(100).remembering_operations_for(seconds(60));
    let one = Take::new(
        Holder::tenant(TenantId::new()),
        "requests",
        rate(1_000, seconds(1)),
        1,
    );
    let mut full = 0;
    for _ in 0..100 {
        let operation = Operation::repeatable(OperationId::unique());
        match ready(counters.take(operation, &[one], START)) {
            Ok(Taken::Granted(granted)) => assert!(!granted.repeated),
            Ok(other) => panic!("{other:?}"),
            Err(CountersError::Full) => full += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(
        (full, counters.len()),
        (50, 51),
        "one counter, and 50 operations"
    );
    // There is room for counters.
    for _ in 0..49 {
        let other = Take::new(Holder::tenant(TenantId::new()), "month", month(1, START), 1);
        assert!(passes(&counters, &[other], START));
    }
    assert_eq!(counters.len(), 100);
    let later = START + seconds(60);
    let operation = Operation::repeatable(OperationId::unique());
    assert!(ready(counters.take(operation, &[one], later)).is_ok());
    assert_eq!(
        counters.len(),
        51,
        "49 months and one rate, and one operation"
    );
}

/// Otherwise a caller whose requests all fail could use up the room of everybody, and pay nothing.
#[test]
fn an_operation_that_was_given_back_leaves_nothing_behind() {
    let counters = MemoryCounters::with_capacity(10);
    let one = |tenant| Take::new(tenant, "month", month(1, START), 1);
    let acme = one(Holder::tenant(TenantId::new()));
    for _ in 0..100 {
        let operation = Operation::repeatable(OperationId::unique());
        let taken = ready(counters.take(operation, &[acme], START));
        assert!(matches!(taken, Ok(Taken::Granted(_))), "{taken:?}");
        let nothing = [Settle::new(acme, 0)];
        for expected in [Settled::Done, Settled::Repeated] {
            let settled = ready(counters.settle(operation, &nothing, START));
            assert_eq!(settled.unwrap(), expected);
        }
        assert_eq!(counters.len(), 1, "the counter");
    }
    let globex = one(Holder::tenant(TenantId::new()));
    let operation = Operation::repeatable(OperationId::unique());
    let taken = ready(counters.take(operation, &[globex], START));
    assert!(matches!(taken, Ok(Taken::Granted(_))), "{taken:?}");
}

#[test]
fn what_ends_leaves_no_room_taken() {
    let counters = MemoryCounters::with_capacity(10);
    let tenant = Holder::tenant(TenantId::new());
    let jobs = Algorithm::Concurrent(Concurrency::new(5, seconds(60)).unwrap());
    let held = Algorithm::Held(Ceiling::new(5, Overage::Denied).unwrap(), seconds(60));
    for _ in 0..1_000 {
        let takes = [
            Take::new(tenant, "jobs", jobs, 1),
            Take::new(tenant, "held", held, 1),
            Take::new(tenant, "rate", rate(1, seconds(1)), 1),
        ];
        let operation = Operation::once();
        assert!(ready(counters.take(operation, &takes, START)).is_ok());
        assert_eq!(counters.len(), 5);
        let nothing = takes.map(|one| Settle::new(one, 0));
        ready(counters.settle(operation, &nothing, START)).unwrap();
        assert!(counters.is_empty());
    }
}

#[test]
fn an_operation_takes_of_a_bounded_number_of_different_limits() {
    let counters = MemoryCounters::new();
    let tenant = Holder::tenant(TenantId::new());
    let names: Vec<_> = (0..=MAX_TAKES).map(|n| n.to_string()).collect();
    let takes: Vec<_> = names
        .iter()
        .map(|name| Take::new(tenant, name, rate(1, seconds(1)), 1))
        .collect();
    assert!(passes(&counters, &takes[..MAX_TAKES], START));
    assert!(matches!(
        take(&counters, &takes, START),
        Err(CountersError::Malformed)
    ));
    let twice = [takes[0], takes[0]];
    assert!(matches!(
        take(&counters, &twice, START),
        Err(CountersError::Malformed)
    ));
}
