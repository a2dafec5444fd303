//! How long it takes to take one of a limit, and of three at once: these counters beside `governor` and `limitador`.
//!
//! Each round measures all sides, one after the other, so that what else the machine does meets them alike. The medians
//! of the rounds are printed in nanoseconds, and what ours are to the others'.

use std::{
    collections::HashMap,
    error::Error,
    hint::black_box,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use limitador::limit::{Context, Limit, Namespace};
use tenancy_core::{
    Clock as _, KeyId, ProjectId, SystemClock, TenantId,
    quota::{
        Algorithm, Counters as _, Counting, Holder, MemoryCounters, Operation, Rate, Take, Taken,
    },
};
use uuid::Uuid;

const TENANTS: usize = 100_000;
const ROUNDS: usize = 21;
const CALLS: u32 = 2_000;

/// So many in a second that none is refused.
const AMOUNT: u32 = 1_000_000;

/// A tenant, a project of it and a key.
type Ids = [Uuid; 3];

const NAMES: [&str; 3] = ["tenant", "project", "key"];

/// Takes one of the first so many limits of somebody.
trait Side {
    fn take(&self, ids: &Ids, limits: usize);
}

struct Ours(MemoryCounters, Rate);

impl Side for Ours {
    fn take(&self, &[tenant, project, key]: &Ids, limits: usize) {
        let tenant = TenantId::from_uuid(tenant);
        let holders = [
            Holder::tenant(tenant),
            Holder::project(tenant, ProjectId::from_uuid(project)),
            Holder::key(tenant, KeyId::from_uuid(key)),
        ];
        let take = |at: usize| Take::new(holders[at], NAMES[at], Algorithm::Rate(self.1), 1);
        let takes = [take(0), take(1), take(2)];
        let taken = self
            .0
            .take(Operation::once(), &takes[..limits], SystemClock.now());
        assert!(matches!(
            black_box(taken),
            Counting::Ready(Ok(Taken::Granted(_)))
        ));
    }
}

struct Governor(DefaultKeyedRateLimiter<Uuid>);

impl Side for Governor {
    fn take(&self, ids: &Ids, limits: usize) {
        for id in &ids[..limits] {
            assert!(black_box(self.0.check_key(id)).is_ok());
        }
    }
}

/// Two limiters, because one always takes of all its limits.
struct Limitador([limitador::RateLimiter; 2], Namespace);

impl Limitador {
    fn new() -> Result<Self, Box<dyn Error>> {
        let limiter = |names: &[&str]| {
            let limiter = limitador::RateLimiter::new(4 * TENANTS as u64);
            for name in names {
                let variable = (*name).try_into()?;
                limiter.add_limit(Limit::new(
                    "notes",
                    u64::from(AMOUNT),
                    1,
                    Vec::new(),
                    [variable],
                ));
            }
            Ok::<_, Box<dyn Error>>(limiter)
        };
        Ok(Self(
            [limiter(&NAMES[..1])?, limiter(&NAMES)?],
            "notes".into(),
        ))
    }
}

impl Side for Limitador {
    fn take(&self, ids: &Ids, limits: usize) {
        let values: HashMap<_, _> = NAMES
            .iter()
            .zip(ids)
            .take(limits)
            .map(|(name, id)| ((*name).to_owned(), id.to_string()))
            .collect();
        let limiter = &self.0[usize::from(limits > 1)];
        let checked = limiter.check_rate_limited_and_update(&self.1, &Context::from(values), 1);
        assert!(black_box(checked).is_ok_and(|checked| !checked.limited));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let tenants: Vec<Ids> = (0..TENANTS)
        .map(|_| {
            [
                TenantId::new().as_uuid(),
                ProjectId::new().as_uuid(),
                KeyId::new().as_uuid(),
            ]
        })
        .collect();
    let per_second = Quota::per_second(NonZeroU32::new(AMOUNT).ok_or("more than nothing")?);
    let rate = Rate::new(u64::from(AMOUNT), Duration::from_secs(1), u64::from(AMOUNT))?;
    let sides: [(&str, Box<dyn Side>); 3] = [
        ("tenancy", Box::new(Ours(MemoryCounters::new(), rate))),
        (
            "governor, by id, one limit after the other",
            Box::new(Governor(RateLimiter::keyed(per_second))),
        ),
        ("limitador, in memory", Box::new(Limitador::new()?)),
    ];
    for (_, side) in &sides {
        for ids in &tenants {
            side.take(ids, 1);
            side.take(ids, 3);
        }
    }
    for limits in [1, 3] {
        let mut times = vec![Vec::new(); sides.len()];
        for round in 0..ROUNDS {
            for ((_, side), times) in sides.iter().zip(&mut times) {
                // The same order for all, and one that no cache foresees.
                let mut random = 0x9e37_79b9_7f4a_7c15 ^ (round as u64 + 1);
                let began = Instant::now();
                for _ in 0..CALLS {
                    // xorshift64 (Marsaglia 2003).
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    side.take(&tenants[random as usize % TENANTS], limits);
                }
                times.push(began.elapsed().as_nanos() as f64 / f64::from(CALLS));
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        println!("{limits} of {TENANTS} tenants' limits:");
        for ((name, _), time) in sides.iter().zip(&medians) {
            println!(
                "  {time:8.0} ns  ours : it = {:.2}  {name}",
                medians[0] / time
            );
        }
    }
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
