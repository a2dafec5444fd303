//! Leases in hand: never more than the limit, whoever holds what, and what comes back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use proptest::{prelude::*, test_runner::Config};
use tokio::sync::Notify;

use super::{START, seconds};
use crate::{
    TenantId, Timestamp,
    quota::{
        Algorithm, Bucket, Calendar, Ceiling, Concurrency, Counters, CountersError, Counting,
        Granted, Holder, LeasedCounters, MemoryCounters, Operation, OperationId, Overage, Period,
        Rate, Settle, Settled, Standings, Take, Taken, conformance,
    },
    testing::random::Random,
};

fn rate(amount: u64, per: Duration, burst: u64) -> Algorithm {
    Algorithm::Rate(Rate::new(amount, per, burst).unwrap())
}

fn month(amount: u64) -> Algorithm {
    let ceiling = Ceiling::new(amount, Overage::Denied).unwrap();
    Algorithm::Period(ceiling, Calendar::utc().window(Period::Month, START))
}

fn a_tenant() -> Holder {
    Holder::tenant(TenantId::new())
}

async fn take(
    counters: &dyn Counters,
    operation: Operation,
    takes: &[Take<'_>],
    now: Timestamp,
) -> Option<Granted> {
    match counters.take(operation, takes, now).answer().await.unwrap() {
        Taken::Granted(granted) => Some(granted),
        Taken::Denied(_) => None,
    }
}

async fn passes(counters: &dyn Counters, one: Take<'_>, now: Timestamp) -> bool {
    take(counters, Operation::once(), &[one], now)
        .await
        .is_some()
}

async fn used(counters: &dyn Counters, one: Take<'_>, now: Timestamp) -> u64 {
    let standings = counters.standings(&[one], now).answer().await.unwrap();
    standings.iter().next().unwrap().used
}

/// A store that counts how often it is asked, and can be told to fail, or to wait.
#[derive(Debug, Default)]
struct Store {
    counters: MemoryCounters,
    takes: AtomicUsize,
    settles: AtomicUsize,
    is_slow: AtomicBool,
    is_down: AtomicBool,
    /// Whether its answers to settlements are lost, and it remembers none of them.
    is_deaf: AtomicBool,
    opened: Notify,
}

impl Store {
    fn later<T: Send + 'static>(
        self: &Arc<Self>,
        asked: impl FnOnce() -> Counting<T>,
    ) -> Counting<T> {
        if self.is_down.load(Ordering::SeqCst) {
            return Counting::Ready(Err(CountersError::unavailable("it is down")));
        }
        let answer = asked();
        if !self.is_slow.load(Ordering::SeqCst) {
            return answer;
        }
        let store = Arc::clone(self);
        Counting::Pending(Box::pin(async move {
            while store.is_slow.load(Ordering::SeqCst) {
                let opened = store.opened.notified();
                if !store.is_slow.load(Ordering::SeqCst) {
                    break;
                }
                opened.await;
            }
            answer.answer().await
        }))
    }

    fn open(&self) {
        self.is_slow.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    fn asked(&self) -> usize {
        self.takes.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Store>);

impl Counters for Shared {
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken> {
        self.0.takes.fetch_add(1, Ordering::SeqCst);
        self.0.later(|| self.0.counters.take(operation, takes, now))
    }

    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        let before = self.0.settles.fetch_add(1, Ordering::SeqCst);
        if self.0.is_deaf.load(Ordering::SeqCst) {
            let _ = (before == 0).then(|| self.0.counters.settle(operation, settles, now));
            return Counting::Ready(Err(CountersError::unavailable("its answer is lost")));
        }
        self.0
            .later(|| self.0.counters.settle(operation, settles, now))
    }

    fn renew(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.0
            .later(|| self.0.counters.renew(operation, takes, now))
    }

    fn give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.0
            .later(|| self.0.counters.give_back(operation, takes, now))
    }

    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings> {
        self.0.later(|| self.0.counters.standings(takes, now))
    }
}

impl Shared {
    fn leased(&self) -> LeasedCounters {
        let builder = LeasedCounters::builder(Arc::new(self.clone()));
        // By the tests' clock alone.
        builder.return_after(seconds(1)).build()
    }
}

#[tokio::test]
async fn leased_counters_promise_what_all_counters_promise() {
    let counters = LeasedCounters::new(MemoryCounters::new());
    conformance::counters(&counters).await;
    counters.close().await;
    // Then each operation asks the store.
    conformance::histories(&counters, 1, 500).await;
    conformance::counters(&counters).await;
}

#[tokio::test]
async fn many_are_served_by_few_messages_and_near_the_limit_each_asks() {
    let store = Shared::default();
    let counters = store.leased();
    let one = Take::new(a_tenant(), "exports", month(100_000), 1);
    for _ in 0..10_000 {
        assert!(passes(&counters, one, START).await);
    }
    // 1, 2, 4, … 64, and then 100 each.
    assert!(store.0.asked() <= 7 + 10_000 / 100, "{}", store.0.asked());
    assert_eq!(used(&counters, one, START).await, 10_000);
    assert!(used(&store, one, START).await < 10_100);
    let before = store.0.asked();
    let few = Take::new(a_tenant(), "exports", month(100), 1);
    for _ in 0..100 {
        assert!(passes(&counters, few, START).await);
    }
    assert!(!passes(&counters, few, START).await);
    assert_eq!(store.0.asked() - before, 101);
}

#[tokio::test]
async fn what_is_not_used_comes_back_and_the_store_then_knows_what_was_used() {
    let store = Shared::default();
    let counters = store.leased();
    let acme = a_tenant();
    let exports = Take::new(acme, "exports", month(100_000), 2);
    let requests = Take::new(acme, "requests", rate(100, seconds(1), 100_000), 1);
    for _ in 0..100 {
        assert!(
            take(&counters, Operation::once(), &[exports, requests], START)
                .await
                .is_some()
        );
    }
    assert!(used(&store, exports, START).await > 200, "some are in hand");
    assert_eq!(used(&counters, exports, START).await, 200);
    assert_eq!(used(&counters, requests, START).await, 100);
    let soon = START + Duration::from_millis(999);
    counters.return_unused(soon).await;
    assert!(used(&store, exports, START).await > 200, "too early");
    counters.return_unused(START + seconds(1)).await;
    assert_eq!(used(&store, exports, START).await, 200);
    // What was in hand has leaked there, and is not returned a second time: it leaks in the store, too.
    assert_eq!(used(&counters, requests, START + seconds(2)).await, 0);
    assert_eq!(used(&store, requests, START + seconds(2)).await, 0);
    let settles = store.0.settles.load(Ordering::SeqCst);
    counters.return_unused(START + seconds(5)).await;
    counters.close().await;
    assert_eq!(
        store.0.settles.load(Ordering::SeqCst),
        settles,
        "nothing is left"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_returns_what_is_not_used() {
    let store = Shared::default();
    let counters = store.leased();
    let one = Take::new(a_tenant(), "exports", month(100_000), 1);
    for _ in 0..40 {
        assert!(passes(&counters, one, START).await);
    }
    assert!(used(&store, one, START).await > 40);
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    assert_eq!(used(&store, one, START).await, 40);
    // The store is down when it is to be returned, and hears of it later.
    for _ in 0..40 {
        assert!(passes(&counters, one, START).await);
    }
    store.0.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(seconds(3)).await;
    store.0.is_down.store(false, Ordering::SeqCst);
    assert!(used(&store, one, START).await > 80);
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(used(&store, one, START).await, 80);
}

#[tokio::test(start_paused = true)]
async fn what_is_returned_late_is_returned_once_and_nothing_of_what_leaks() {
    let store = Shared::default();
    let counters = store.leased();
    let acme = a_tenant();
    // The store hears of it, its answer is lost, and it has forgotten that when it can be asked again.
    let exports = Take::new(acme, "exports", month(100_000), 1);
    for _ in 0..40 {
        assert!(passes(&counters, exports, START).await);
    }
    assert_eq!(store.0.settles.load(Ordering::SeqCst), 0);
    store.0.is_deaf.store(true, Ordering::SeqCst);
    tokio::time::sleep(seconds(10)).await;
    store.0.is_deaf.store(false, Ordering::SeqCst);
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(used(&store, exports, START).await, 40);

    // What is in hand of a rate leaks in the store meanwhile, and then others have the whole burst.
    let requests = Take::new(acme, "requests", rate(1, seconds(1), 10_000), 1);
    for _ in 0..40 {
        assert!(passes(&counters, requests, START).await);
    }
    store.0.is_down.store(true, Ordering::SeqCst);
    counters.return_unused(START + seconds(1)).await;
    store.0.is_down.store(false, Ordering::SeqCst);
    let later = START + seconds(1_000);
    let all = Take::new(acme, "requests", requests.algorithm, 10_000);
    assert!(passes(&store, all, later).await);
    counters.return_unused(later).await;
    assert!(!passes(&store, requests, later).await, "more than a burst");
}

#[tokio::test]
async fn what_is_refused_further_inside_goes_back_to_the_hand_or_to_the_store() {
    let store = Shared::default();
    let counters = store.leased();
    let one = Take::new(a_tenant(), "exports", month(100_000), 1);
    for _ in 0..50 {
        assert!(passes(&counters, one, START).await);
    }
    let refused = Operation::once();
    assert!(take(&counters, refused, &[one], START).await.is_some());
    let before = used(&store, one, START).await;
    let all = [Settle::new(one, 0)];
    assert_eq!(
        counters
            .settle(refused, &all, START)
            .answer()
            .await
            .unwrap(),
        Settled::Done
    );
    assert_eq!(used(&counters, one, START).await, 50);
    assert_eq!(used(&store, one, START).await, before, "it is in hand");
    // A long one, whose batch was returned meanwhile: the store hears of it, once.
    let long = Operation::once();
    assert!(take(&counters, long, &[one], START).await.is_some());
    counters.return_unused(START + seconds(2)).await;
    assert_eq!(used(&store, one, START).await, 51);
    for _ in 0..2 {
        counters.settle(long, &all, START).answer().await.unwrap();
        assert_eq!(used(&store, one, START).await, 50);
    }
}

#[tokio::test]
async fn estimates_repetitions_and_other_kinds_ask_each_time() {
    let store = Shared::default();
    let counters = store.leased();
    let acme = a_tenant();
    let month = Take::new(acme, "tokens", month(1_000_000), 10);
    let jobs = Algorithm::Concurrent(Concurrency::new(1_000, seconds(60)).unwrap());
    let job = Take::new(acme, "jobs", jobs, 1);
    for _ in 0..100 {
        let estimate = Operation::once();
        assert!(
            take(&counters, estimate, &[month.estimated()], START)
                .await
                .is_some()
        );
        let truth = [Settle::new(month.estimated(), 7)];
        counters
            .settle(estimate, &truth, START)
            .answer()
            .await
            .unwrap();
        let named = Operation::repeatable(OperationId::unique());
        assert!(take(&counters, named, &[month], START).await.is_some());
        assert!(
            take(&counters, named, &[month], START)
                .await
                .unwrap()
                .repeated
        );
        let with_job = Operation::once();
        assert!(
            take(&counters, with_job, &[month, job], START)
                .await
                .is_some()
        );
        let ends = [Settle::new(job, 0)];
        counters
            .settle(with_job, &ends, START)
            .answer()
            .await
            .unwrap();
    }
    assert_eq!(store.0.asked(), 400);
    assert_eq!(used(&store, month, START).await, 100 * (7 + 10 + 10));
    assert_eq!(used(&store, job, START).await, 0);
}

/// What other operations of the process need is not kept from them.
#[tokio::test]
async fn what_one_hand_has_another_one_of_the_process_gets() {
    let store = Shared::default();
    let counters = store.leased();
    let acme = a_tenant();
    let of = |amount| Take::new(acme, "exports", month(1_000), amount);
    let mut passed = 0;
    // Leaves some in hand.
    while passed < 300 || used(&store, of(1), START).await == passed {
        assert!(passes(&counters, of(1), START).await);
        passed += 1;
    }
    let rest = 1_000 - passed;
    assert!(passes(&counters, of(rest), START).await);
    assert!(!passes(&counters, of(1), START).await);
    assert_eq!(used(&store, of(1), START).await, 1_000);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_by_one_batch_also_when_the_first_one_leaves() {
    let store = Shared::default();
    let counters = store.leased();
    let one = Take::new(a_tenant(), "exports", month(10_000), 1);
    assert!(passes(&counters, one, START).await);
    store.0.is_slow.store(true, Ordering::SeqCst);
    let before = store.0.asked();
    let waiting = (0..50).map(|_| {
        let counters = counters.clone();
        tokio::spawn(async move { passes(&counters, one, START).await })
    });
    let waiting: Vec<_> = waiting.collect();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.0.asked() - before, 1, "one asks for all");
    waiting[0].abort();
    waiting[7].abort();
    store.0.open();
    let mut passed = 0;
    for one in waiting {
        passed += usize::from(one.await.unwrap_or(false));
    }
    assert_eq!(passed, 48);
    // The first batch was asked for before others came; the second was for all who wait.
    assert!(
        store.0.asked() - before <= 3,
        "{}",
        store.0.asked() - before
    );
    assert_eq!(used(&counters, one, START).await, 49);
    counters.close().await;
    assert_eq!(used(&store, one, START).await, 49);
}

#[tokio::test]
async fn a_store_that_fails_fails_all_who_wait_and_takes_nothing() {
    let store = Shared::default();
    let counters = store.leased();
    let one = Take::new(a_tenant(), "exports", month(10_000), 1);
    assert!(passes(&counters, one, START).await);
    store.0.is_down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let failed = counters
            .take(Operation::once(), &[one], START)
            .answer()
            .await;
        assert!(matches!(failed, Err(CountersError::Unavailable(_))));
    }
    store.0.is_down.store(false, Ordering::SeqCst);
    assert!(passes(&counters, one, START).await);
    assert_eq!(used(&counters, one, START).await, 2);
    // What is in hand serves while it is down.
    while used(&store, one, START).await == used(&counters, one, START).await {
        assert!(passes(&counters, one, START).await);
    }
    store.0.is_down.store(true, Ordering::SeqCst);
    assert!(passes(&counters, one, START).await);
}

#[tokio::test]
async fn more_hands_than_there_is_room_for_ask_the_store() {
    let store = Shared::default();
    let counters = LeasedCounters::builder(Arc::new(store.clone()))
        .capacity(10)
        .build();
    for _ in 0..1_000 {
        let one = Take::new(a_tenant(), "exports", month(100_000), 1);
        for _ in 0..3 {
            assert!(passes(&counters, one, START).await);
        }
        assert_eq!(used(&counters, one, START).await, 3);
    }
    counters.close().await;
}

/// Each of them is killed with what it has in hand: nobody settles, nobody closes.
#[tokio::test]
async fn processes_that_are_killed_lose_what_they_have_in_hand_and_no_more() {
    let store = Shared::default();
    let one = Take::new(a_tenant(), "exports", month(1_000), 1);
    let mut passed = 0;
    for _ in 0..4 {
        let counters = store.leased();
        for _ in 0..100 {
            passed += usize::from(passes(&counters, one, START).await);
        }
    }
    let counters = store.leased();
    while passes(&counters, one, START).await {
        passed += 1;
    }
    assert!((1_000 - 4 * 15..=1_000).contains(&passed), "{passed}");
    // Of a rate, it is back when it has leaked.
    let one = Take::new(a_tenant(), "requests", rate(1_000, seconds(60), 1_000), 1);
    for _ in 0..100 {
        assert!(passes(&store.leased(), one, START).await);
    }
    let later = START + seconds(60);
    let mut passed = 0;
    while passes(&counters, one, later).await {
        passed += 1;
    }
    assert_eq!(passed, 1_000);
}

/// Until each caller was refused, and then again when what others hold has come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_budget_of_1_000_exactly_1_000_pass() {
    for budget in [month(1_000), rate(1_000, seconds(86_400 * 365), 1_000)] {
        let store = Shared::default();
        let one = Take::new(a_tenant(), "budget", budget, 1);
        let processes: Vec<_> = (0..4).map(|_| store.leased()).collect();
        let tasks = (0..64).map(|number| {
            let counters = processes[number % 4].clone();
            tokio::spawn(async move {
                let mut passed = 0;
                while passes(&counters, one, START).await {
                    passed += 1;
                    tokio::task::yield_now().await;
                }
                passed
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut passed: u64 = 0;
        for one in join_all(tasks).await {
            passed += one.unwrap();
        }
        assert!(passed <= 1_000, "{passed}");
        // No more than each process may have of what is left.
        assert!(passed >= 1_000 - 4 * 15, "{passed}");
        for counters in &processes {
            counters.return_unused(START + seconds(1)).await;
        }
        while passes(&processes[0], one, START).await {
            passed += 1;
        }
        assert_eq!(passed, 1_000);
        for counters in &processes {
            assert!(!passes(counters, one, START).await);
            assert_eq!(used(counters, one, START).await, 1_000);
        }
    }
}

/// What was really admitted, by the plainest counters of all.
#[derive(Default)]
struct Truth {
    buckets: HashMap<&'static str, Bucket>,
    counts: HashMap<&'static str, u64>,
}

impl Truth {
    /// Counts what was admitted; panics where it is more than the limit.
    fn admit(&mut self, takes: &[Take<'static>], now: Timestamp) {
        for one in takes {
            match one.algorithm {
                Algorithm::Rate(rate) => {
                    let bucket = self.buckets.entry(one.limit).or_insert(Bucket::full(START));
                    let taken = bucket.take(&rate, one.amount, now);
                    assert!(
                        taken.is_ok(),
                        "more than the rate of {}: {taken:?}",
                        one.limit
                    );
                }
                Algorithm::Period(ceiling, _) => {
                    let count = self.counts.entry(one.limit).or_default();
                    *count += one.amount;
                    assert!(
                        *count <= ceiling.amount(),
                        "more than {}: {count}",
                        one.limit
                    );
                }
                _ => unreachable!("neither is leased"),
            }
        }
    }

    fn give_back(&mut self, takes: &[Take<'static>], now: Timestamp) {
        for one in takes {
            match one.algorithm {
                Algorithm::Rate(rate) => {
                    let bucket = self.buckets.entry(one.limit).or_insert(Bucket::full(START));
                    bucket.give_back(&rate, one.amount, now);
                }
                _ => *self.counts.entry(one.limit).or_default() -= one.amount,
            }
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(super::histories().cases / 100))]

    /// Several processes on one store, and a clock that goes on: in no stretch of time more is admitted than the
    /// limit, which is what a bucket of what was admitted says.
    #[test]
    fn never_more_than_the_limit_is_admitted(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(seed));
    }
}

async fn play(seed: u64) {
    let mut random = Random::new(seed);
    let store = Shared::default();
    let mut processes: Vec<_> = (0..3).map(|_| store.leased()).collect();
    let acme = a_tenant();
    let burst = 64 * (1 + random.below(20) as u64);
    let limits = [
        Take::new(acme, "fast", rate(burst, seconds(1), burst), 1),
        Take::new(acme, "slow", rate(100, seconds(60), burst), 1),
        Take::new(acme, "month", month(burst * 3), 1),
    ];
    let mut truth = Truth::default();
    let mut now = START;
    let mut taken: Vec<(usize, Operation, Vec<Take<'static>>)> = Vec::new();
    for _ in 0..150 {
        let which = random.below(processes.len());
        match random.below(24) {
            0 => now = now + Duration::from_micros(random.below(2_000_000) as u64),
            1..=4 => now = now + Duration::from_micros(random.below(5_000) as u64),
            5 => processes[which].return_unused(now).await,
            6 if random.one_in(4) => processes[which] = store.leased(),
            7 if !taken.is_empty() => {
                let (which, operation, takes) = taken.swap_remove(random.below(taken.len()));
                let all: Vec<_> = takes.iter().map(|one| Settle::new(*one, 0)).collect();
                processes[which]
                    .settle(operation, &all, now)
                    .answer()
                    .await
                    .unwrap();
                truth.give_back(&takes, now);
            }
            _ => {
                let mut takes = limits.to_vec();
                for _ in 0..random.below(3) {
                    takes.remove(random.below(takes.len()));
                }
                let amount = 1 + random.below(3) as u64;
                takes.iter_mut().for_each(|one| one.amount = amount);
                let is_named = random.one_in(10);
                for _ in 0..=random.below(60) {
                    let operation = match is_named {
                        true => Operation::repeatable(OperationId::unique()),
                        false => Operation::once(),
                    };
                    if take(&processes[which], operation, &takes, now)
                        .await
                        .is_some()
                    {
                        truth.admit(&takes, now);
                        if random.one_in(20) && !is_named {
                            taken.push((which, operation, takes.clone()));
                        }
                    }
                }
            }
        }
    }
    let exports = limits[2];
    let told = used(&store, exports, now).await;
    let truly = truth.counts.get("month").copied().unwrap_or(0);
    assert!(told >= truly, "the store knows of all that was admitted");
    for rate in &limits[..2] {
        let Algorithm::Rate(of) = rate.algorithm else {
            continue;
        };
        let truly = truth
            .buckets
            .get(rate.limit)
            .map_or(0, |bucket| bucket.peek(&of, now).used);
        assert!(used(&store, *rate, now).await >= truly);
    }
}

/// Without anybody who is killed, the store's count is what was used once all is returned.
#[tokio::test]
async fn when_all_is_returned_the_store_counts_what_was_used() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let store = Shared::default();
        let processes: Vec<_> = (0..3).map(|_| store.leased()).collect();
        let acme = a_tenant();
        let all = Mutex::new(0);
        for _ in 0..40 {
            let amount = 1 + random.below(3) as u64;
            let one = Take::new(acme, "exports", month(5_000), amount);
            let counters = &processes[random.below(3)];
            for _ in 0..random.below(100) {
                let operation = Operation::once();
                if take(counters, operation, &[one], START).await.is_some() {
                    if random.one_in(10) {
                        let back = [Settle::new(one, 0)];
                        counters
                            .settle(operation, &back, START)
                            .answer()
                            .await
                            .unwrap();
                    } else {
                        *all.lock().unwrap() += amount;
                    }
                }
            }
        }
        for counters in &processes {
            counters.close().await;
        }
        let one = Take::new(acme, "exports", month(5_000), 1);
        assert_eq!(
            used(&store, one, START).await,
            *all.lock().unwrap(),
            "seed {seed}"
        );
    }
}
