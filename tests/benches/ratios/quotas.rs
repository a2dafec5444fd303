//! Counters in memory beside `governor`: one limit, three levels, and many keys.

use std::{hint::black_box, num::NonZeroU32, time::Duration};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, QuantaClock},
};
use tenancy_core::{
    Clock as _, KeyId, ProjectId, SystemClock, TenantId, Timestamp,
    quota::{
        Algorithm, Bucket, Counters as _, Counting, Holder, MemoryCounters, Operation, Rate, Take,
        Taken,
    },
};

use crate::ratio::{self, Bound};

/// So many in a second that none is refused.
const AMOUNT: u32 = 1_000_000;

/// How many calls one round measures.
const CALLS: u32 = 1_000;

pub(crate) async fn run() {
    parts().await;
    ratio::heading("A limit of one of many keys, beside governor with the same ids as keys");
    let mut single = Vec::new();
    for count in [10, if ratio::hurries() { 100 } else { 100_000 }] {
        single.push(beside_governor(count).await);
    }
    if let [few, many] = *single {
        let name = "one limit, 100,000 tenants : 10 tenants";
        ratio::figure(name, many / few, "x", Bound::None);
    }
}

/// What one take consists of, apart from finding its counter.
async fn parts() {
    ratio::heading("Parts of a take");
    let (system, theirs) = (SystemClock, QuantaClock::default());
    let rounds = ratio::by_turns(
        CALLS,
        async || {
            black_box(system.now());
        },
        async || {
            black_box(theirs.now());
        },
    )
    .await;
    let rounds: Vec<_> = rounds.iter().map(nanoseconds).collect();
    let name = "the system's clock : governor's, which is no time of day";
    ratio::pair(name, &rounds, "ns", Bound::None);
    let once = ratio::nanoseconds(|| {
        black_box(Operation::once());
    });
    ratio::figure("an id of an operation", once, "ns", Bound::None);
    let (rate, mut now) = (rate(), SystemClock.now());
    let mut bucket = Bucket::full(now);
    let bare = ratio::nanoseconds(|| {
        now = now + Duration::from_micros(2);
        assert!(black_box(bucket.take(black_box(&rate), 1, now)).is_ok());
    });
    let name = "the bucket alone, at a given moment, with what is left";
    ratio::figure(name, bare, "ns", Bound::None);
    let (counters, tenant) = (MemoryCounters::new(), TenantId::new());
    let known = ratio::nanoseconds(|| {
        now = now + Duration::from_micros(2);
        take(&counters, &[one(tenant, Algorithm::Rate(rate))], now);
    });
    let name = "a take of one counter, at a given moment";
    ratio::figure(name, known, "ns", Bound::None);
}

fn nanoseconds((ours, theirs): &(f64, f64)) -> (f64, f64) {
    (ours * 1_000.0, theirs * 1_000.0)
}

fn rate() -> Rate {
    Rate::new(u64::from(AMOUNT), Duration::from_secs(1), u64::from(AMOUNT)).unwrap()
}

fn one(tenant: TenantId, rate: Algorithm) -> Take<'static> {
    Take::new(Holder::tenant(tenant), "requests-per-second", rate, 1)
}

/// A tenant with a project and a key, as their ids.
type Ids = (TenantId, ProjectId, KeyId);

/// Tenants in an order that no cache foresees.
struct Order {
    tenants: Vec<Ids>,
    random: u64,
}

impl Order {
    fn next(&mut self) -> Ids {
        // xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let place = self.random as usize % self.tenants.len();
        self.tenants.get(place).copied().unwrap()
    }
}

fn takes((tenant, project, key): Ids) -> [Take<'static>; 3] {
    let rate = Algorithm::Rate(rate());
    [
        one(tenant, rate),
        Take::new(
            Holder::project(tenant, project),
            "requests-per-second-by-project",
            rate,
            1,
        ),
        Take::new(
            Holder::key(tenant, key),
            "requests-per-second-by-key",
            rate,
            1,
        ),
    ]
}

fn take(counters: &MemoryCounters, takes: &[Take<'_>], now: Timestamp) {
    let taken = counters.take(Operation::once(), takes, now);
    assert!(matches!(
        black_box(taken),
        Counting::Ready(Ok(Taken::Granted(_)))
    ));
}

/// Returns the time of one limit, in nanoseconds.
async fn beside_governor(count: usize) -> f64 {
    let tenants: Vec<Ids> = (0..count)
        .map(|_| (TenantId::new(), ProjectId::new(), KeyId::new()))
        .collect();
    let quota = Quota::per_second(NonZeroU32::new(AMOUNT).unwrap());
    let by_id: DefaultKeyedRateLimiter<uuid::Uuid> = RateLimiter::keyed(quota);
    let by_text: DefaultKeyedRateLimiter<String> = RateLimiter::keyed(quota);
    let counters = MemoryCounters::new();
    for ids in &tenants {
        take(&counters, &takes(*ids), SystemClock.now());
        for id in [ids.0.as_uuid(), ids.1.as_uuid(), ids.2.as_uuid()] {
            by_id.check_key(&id).unwrap();
        }
        by_text.check_key(&ids.0.to_string()).unwrap();
    }
    let order = || Order {
        tenants: tenants.clone(),
        random: 0x9e37_79b9_7f4a_7c15,
    };
    // Made beforehand, as governor's quota is.
    let rate = Algorithm::Rate(rate());
    let (mut ours, mut theirs) = (order(), order());
    let rounds = ratio::by_turns(
        CALLS,
        async || {
            take(&counters, &[one(ours.next().0, rate)], SystemClock.now());
        },
        async || black_box(by_id.check_key(&theirs.next().0.as_uuid())).unwrap(),
    )
    .await;
    let single: Vec<_> = rounds.iter().map(nanoseconds).collect();
    ratio::pair(
        &format!("one limit, {count} tenants : by id"),
        &single,
        "ns",
        Bound::None,
    );
    let rounds = ratio::by_turns(
        CALLS,
        async || {
            take(&counters, &[one(ours.next().0, rate)], SystemClock.now());
        },
        async || black_box(by_text.check_key(&theirs.next().0.to_string())).unwrap(),
    )
    .await;
    let text: Vec<_> = rounds.iter().map(nanoseconds).collect();
    ratio::pair(
        &format!("one limit, {count} tenants : by text"),
        &text,
        "ns",
        Bound::None,
    );
    let rounds = ratio::by_turns(
        CALLS,
        async || take(&counters, &takes(ours.next()), SystemClock.now()),
        async || {
            let (tenant, project, key) = theirs.next();
            for id in [tenant.as_uuid(), project.as_uuid(), key.as_uuid()] {
                black_box(by_id.check_key(&id)).unwrap();
            }
        },
    )
    .await;
    let three: Vec<_> = rounds.iter().map(nanoseconds).collect();
    let name = format!("key, project, tenant at once, {count} tenants : three by id");
    ratio::pair(&name, &three, "ns", Bound::None);
    ratio::median(&mut single.iter().map(|round| round.0).collect::<Vec<_>>())
}
