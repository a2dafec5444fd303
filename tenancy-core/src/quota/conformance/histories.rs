//! Random histories, against a store that is written in the plainest way.

use std::collections::{HashMap, HashSet};

use super::{START, at_once, held, month, rate, seconds, settle, take};
use crate::{
    TenantId, Timestamp,
    quota::{
        Algorithm, Bucket, Count, Counters, Holder, Holdings, Leases, Operation, OperationId,
        Settle, Settled, Take,
    },
    testing::random::Random,
};

/// Plays a random history of so many steps: takes of several limits at once, repetitions, settlements, renewals, and
/// a clock that goes on. Compares each answer with what single decisions say.
pub async fn histories(counters: &dyn Counters, seed: u64, steps: usize) {
    let mut random = Random::new(seed);
    let tenants = [TenantId::new(), TenantId::new(), TenantId::new()];
    let mut model = Model::default();
    let mut now = START;
    let mut operations: Vec<(Operation, Vec<Take<'static>>)> = Vec::new();
    for step in 0..steps {
        now = now + seconds(random.below(8) as u64) * u32::from(random.one_in(3));
        if random.one_in(40) {
            now = now + seconds(86_400);
            // A day later nobody repeats them, and they may be forgotten.
            operations.clear();
        }
        match random.below(8) {
            0 if !operations.is_empty() => {
                let (operation, takes) = operations[random.below(operations.len())].clone();
                // Whoever settles an operation that nobody repeats does it once.
                operations.retain(|(other, _)| *other != operation || other.is_repeatable());
                let settles: Vec<_> = takes
                    .iter()
                    .map(|one| Settle::new(*one, random.below(one.amount as usize + 3) as u64))
                    .collect();
                let expected = model.settle(operation, &settles, now);
                let settled = settle(counters, operation, &settles, now).await;
                assert_eq!(settled, expected, "seed {seed}, step {step}");
            }
            1 if !operations.is_empty() => {
                let (operation, takes) = &operations[random.below(operations.len())];
                let expected = model.renew(*operation, takes, now);
                let renewed = counters.renew(operation.id(), takes, now).answer().await;
                assert_eq!(renewed.unwrap(), expected, "seed {seed}, step {step}");
            }
            2 if !operations.is_empty() => {
                let (operation, takes) = operations[random.below(operations.len())].clone();
                if operation.is_repeatable() {
                    let granted = take(counters, operation, &takes, now).await;
                    let expected = model.take(operation, &takes, now);
                    let granted = granted.map(|granted| granted.repeated);
                    assert_eq!(granted.ok(), expected.ok(), "seed {seed}, step {step}");
                }
            }
            _ => {
                let takes = some_takes(&mut random, &tenants, now);
                let operation = match random.below(2) {
                    0 => Operation::once(),
                    _ => Operation::repeatable(OperationId::unique()),
                };
                let taken = take(counters, operation, &takes, now).await;
                let expected = model.take(operation, &takes, now);
                match (&taken, &expected) {
                    (Ok(_), Ok(_)) => operations.push((operation, takes.clone())),
                    (Err(denied), Err(expected)) => {
                        let denied: Vec<_> = denied.iter().map(|one| one.take).collect();
                        assert_eq!(denied, *expected, "seed {seed}, step {step}");
                    }
                    _ => panic!("seed {seed}, step {step}: {taken:?}, and not {expected:?}"),
                }
            }
        }
        let takes = some_takes(&mut random, &tenants, now);
        let standings = counters.standings(&takes, now).answer().await.unwrap();
        let used: Vec<_> = standings.iter().map(|one| one.used).collect();
        let expected: Vec<_> = takes.iter().map(|one| model.used(one, now)).collect();
        assert_eq!(used, expected, "seed {seed}, step {step}");
    }
}

/// One to 5 limits of one tenant, and of the system.
fn some_takes(random: &mut Random, tenants: &[TenantId], now: Timestamp) -> Vec<Take<'static>> {
    let tenant = Holder::tenant(*random.of(tenants));
    let of_all = Holder::caller(Some(tenants[0]), None, None);
    let mut takes = vec![
        Take::new(tenant, "rate", rate(6), 0),
        Take::new(tenant, "month", month(200, now), 0),
        Take::new(tenant, "jobs", at_once(4), 0),
        Take::new(tenant, "projects", held(9), 0),
        Take::new(of_all, "shared", rate(14), 0),
    ];
    for _ in 0..random.below(5) {
        takes.remove(random.below(takes.len()));
    }
    for one in &mut takes {
        one.amount = random.below(4) as u64;
    }
    takes
}

#[derive(Default)]
struct Model {
    buckets: HashMap<(Holder, &'static str), Bucket>,
    counts: HashMap<(Holder, &'static str), Count>,
    leases: HashMap<(Holder, &'static str), Leases>,
    holdings: HashMap<(Holder, &'static str), Holdings>,
    taken: HashSet<OperationId>,
    settled: HashSet<OperationId>,
    /// Those of which a repetition was granted.
    shared: HashSet<OperationId>,
}

impl Model {
    fn bucket(&mut self, one: &Take<'static>, now: Timestamp) -> &mut Bucket {
        let of = (one.holder, one.limit);
        self.buckets.entry(of).or_insert(Bucket::full(now))
    }

    fn count(&mut self, one: &Take<'static>) -> &mut Count {
        self.counts.entry((one.holder, one.limit)).or_default()
    }

    fn of_leases(&mut self, one: &Take<'static>) -> &mut Leases {
        self.leases.entry((one.holder, one.limit)).or_default()
    }

    fn of_holdings(&mut self, one: &Take<'static>) -> &mut Holdings {
        self.holdings.entry((one.holder, one.limit)).or_default()
    }

    fn used(&mut self, one: &Take<'static>, now: Timestamp) -> u64 {
        let standing = match one.algorithm {
            Algorithm::Rate(rate) => self.bucket(one, now).peek(&rate, now),
            Algorithm::Period(ceiling, window) => self.count(one).peek(&ceiling, &window, now),
            Algorithm::Concurrent(limit) => self.of_leases(one).peek(&limit, now),
            Algorithm::Held(ceiling, _) => self.of_holdings(one).peek(&ceiling, now),
        };
        standing.used
    }

    /// Whether it is a repetition; else which of the takes refuse.
    fn take(
        &mut self,
        operation: Operation,
        takes: &[Take<'static>],
        now: Timestamp,
    ) -> Result<bool, Vec<usize>> {
        let id = operation.id();
        if operation.is_repeatable() && self.taken.contains(&id) {
            self.shared.insert(id);
            return Ok(true);
        }
        let mut denied = Vec::new();
        for (index, one) in takes.iter().enumerate() {
            let amount = one.amount;
            let checked = match one.algorithm {
                Algorithm::Rate(rate) => self.bucket(one, now).check(&rate, amount, now),
                Algorithm::Period(ceiling, window) => {
                    self.count(one).check(&ceiling, &window, amount, now)
                }
                Algorithm::Concurrent(limit) => self.of_leases(one).check(&limit, id, amount, now),
                Algorithm::Held(ceiling, _) => {
                    self.of_holdings(one).check(&ceiling, id, amount, now)
                }
            };
            if checked.is_err() {
                denied.push(index);
            }
        }
        if !denied.is_empty() {
            return Err(denied);
        }
        for one in takes {
            let amount = one.amount;
            let taken = match one.algorithm {
                Algorithm::Rate(rate) => self.bucket(one, now).take(&rate, amount, now),
                Algorithm::Period(ceiling, window) => {
                    self.count(one).take(&ceiling, &window, amount, now)
                }
                Algorithm::Concurrent(limit) => self.of_leases(one).take(&limit, id, amount, now),
                Algorithm::Held(ceiling, lasts) => self
                    .of_holdings(one)
                    .reserve(&ceiling, id, amount, lasts, now),
            };
            taken.unwrap();
        }
        if operation.is_repeatable() {
            self.taken.insert(id);
            self.settled.remove(&id);
            self.shared.remove(&id);
        }
        Ok(false)
    }

    fn settle(
        &mut self,
        operation: Operation,
        settles: &[Settle<'static>],
        now: Timestamp,
    ) -> Settled {
        let id = operation.id();
        if operation.is_repeatable() && !self.settled.insert(id) {
            return Settled::Repeated;
        }
        if settles.iter().all(|settle| settle.actual == 0) {
            let is_by_period = settles.iter().all(|settle| settle.take.is_by_period());
            if is_by_period && self.shared.contains(&id) {
                return Settled::Repeated;
            }
            self.taken.remove(&id);
        }
        let mut settled = Settled::Done;
        for settle in settles {
            let (one, actual) = (&settle.take, settle.actual);
            let more = actual.saturating_sub(one.amount);
            let less = one.amount.saturating_sub(actual);
            match one.algorithm {
                Algorithm::Rate(rate) => {
                    let bucket = self.bucket(one, now);
                    bucket.add(&rate, more, now);
                    bucket.give_back(&rate, less, now);
                }
                Algorithm::Period(_, window) => {
                    self.count(one).give_back(&window, less);
                    if more > 0 {
                        self.count(one).add(&window, more);
                    }
                }
                Algorithm::Concurrent(_) => {
                    self.of_leases(one).end(id);
                }
                Algorithm::Held(..) if actual == 0 => {
                    self.of_holdings(one).release(id);
                }
                Algorithm::Held(..) => {
                    if !self.of_holdings(one).commit(id, actual, now) {
                        settled = Settled::Late;
                    }
                }
            }
        }
        settled
    }

    fn renew(&mut self, operation: Operation, takes: &[Take<'static>], now: Timestamp) -> Settled {
        let mut renewed = true;
        for one in takes {
            renewed &= match one.algorithm {
                Algorithm::Concurrent(limit) => {
                    self.of_leases(one).renew(&limit, operation.id(), now)
                }
                Algorithm::Held(..) => self.of_holdings(one).renew(operation.id(), now),
                _ => true,
            };
        }
        if renewed {
            Settled::Done
        } else {
            Settled::Late
        }
    }
}
