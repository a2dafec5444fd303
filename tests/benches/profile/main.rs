//! Warm requests for a profiler, in one process and without sockets: `scripts/profile`.
//!
//! Each case asks the same requests in the same order. What is asked stands in [`measured`], and nothing else
//! does, so that a profiler can count there alone; [`finished`] comes at the end of each case.
//! With `--few` there are 10 tenants only. The times that are printed are for a first look: nothing takes turns.
#![allow(clippy::unwrap_used, reason = "a benchmark ends at its first fault")]

#[path = "../ratios/key_world.rs"]
mod key_world;
mod services;
#[path = "../ratios/world.rs"]
mod world;

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tenancy_core::{
    Admission, Clock as _, ManualClock, RouteNeeds, SystemClock, Tenancy, testing::FakeRequest,
};
use world::World;

/// How often one request is asked in each case, and how often before, so that everything is warm.
const ASKED: usize = 2_000;
const BEFORE: usize = 500;

fn main() {
    // `cargo test --benches` passes `--test`: then it is enough to see that it runs.
    let tests = std::env::args().any(|argument| argument == "--test");
    // Searching the log would be measured too.
    tenancy_tests::logwatch::look_away();
    actix_web::rt::System::new().block_on(async {
        let many = if tests { 100 } else { 100_000 };
        let few_only = std::env::args().any(|argument| argument == "--few");
        for many in if few_only { vec![10] } else { vec![10, many] } {
            with_tokens(many).await;
            with_keys(many).await;
        }
    });
}

/// What a profiler counts.
#[inline(never)]
fn measured(ask: &mut dyn FnMut()) {
    ask();
}

/// The end of a case.
#[inline(never)]
fn finished(case: &str, nanoseconds: u128) {
    println!("{case}\t{ASKED}\t{} ns", black_box(nanoseconds));
}

/// How many requests have been asked.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Asks one request after the other, spread over all that there are: each case goes on where the last one ended,
/// so that none finds in the processor's caches what another has left there.
pub(crate) fn case<T>(name: &str, of: usize, make: impl Fn(usize) -> T, mut ask: impl FnMut(T)) {
    let mut nanoseconds = 0;
    for number in 0..BEFORE + ASKED {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        // What has just arrived is in the processor's caches; what is known of the tenant is not.
        let mut request = Some(make(turn * 7_919 % of));
        let mut ask = || ask(request.take().unwrap());
        if number < BEFORE {
            ask();
            continue;
        }
        let start = Instant::now();
        measured(&mut ask);
        nanoseconds += start.elapsed().as_nanos();
    }
    finished(name, nanoseconds / ASKED as u128);
}

async fn with_tokens(tenants: usize) {
    // What is warm stays warm, however slow the profiler makes all of this.
    let clock = Arc::new(ManualClock::now_frozen());
    let world = World::new(tenants, clock.clone()).await;
    // The tokens were issued later than the clock shows.
    clock.advance(SystemClock.now().since(clock.now()));
    let requests = world.warm_requests().await;
    let fake = |number: usize| requests.get(number).unwrap().clone();
    case(&format!("token {tenants}"), tenants, fake, |request| {
        admit(&world.tenancy, &request);
    });
    let named = |number: usize| {
        let host = format!("{}.notes.example", world.tenants.get(number).unwrap().0);
        (
            host,
            format!("Bearer {}", world.tokens.get(number).unwrap()),
        )
    };
    for (with, tenancy) in [("bare", None), ("with", Some(&world.tenancy))] {
        let name = |framework| format!("{framework}-{with} {tenants}");
        services::axum(&name("axum"), tenants, &named, tenancy);
        services::actix(&name("actix"), tenants, &named, tenancy).await;
    }
}

async fn with_keys(count: usize) {
    let (tenancy, keys) =
        key_world::world(count, count * 2, Arc::new(ManualClock::now_frozen())).await;
    let fake =
        |number: usize| FakeRequest::new("/notes").bearer(keys.get(number).unwrap().expose());
    // The first time loads the record, and the tenant of each key.
    for number in 0..count {
        match tenancy.admit(&fake(number), RouteNeeds::tenant()) {
            Admission::Ready(admitted) => drop(admitted.unwrap()),
            Admission::Pending(pending) => drop(pending.resolve().await.unwrap()),
        }
        admit(&tenancy, &fake(number));
    }
    case(&format!("key {count}"), count, fake, |request| {
        admit(&tenancy, &request);
    });
}

fn admit(tenancy: &Tenancy, request: &FakeRequest) {
    match tenancy.admit(request, RouteNeeds::tenant()) {
        Admission::Ready(admitted) => drop(black_box(admitted.unwrap())),
        Admission::Pending(_) => unreachable!("the caches are warm"),
    }
}
