//! Measuring two things by turns, and printing how they compare.
//!
//! Machines are noisy and drift: the two sides take turns in short rounds, and what is printed is
//! the median of the rounds' ratios, with each side's median beside it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

static HURRY: AtomicBool = AtomicBool::new(false);

/// Measures for a moment only.
pub(crate) fn hurry() {
    HURRY.store(true, Ordering::Relaxed);
}

pub(crate) fn hurries() -> bool {
    HURRY.load(Ordering::Relaxed)
}

/// How long a pair is measured.
pub(crate) fn budget() -> Duration {
    if hurries() {
        return Duration::from_millis(20);
    }
    let seconds = std::env::var("BENCH_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(3.0))
}

pub(crate) fn describe_machine() {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, {}", model.unwrap_or("unknown processor"));
}

pub(crate) fn heading(text: &str) {
    println!("\n{text}");
}

/// A budget of the design: what a ratio may be at most, or must be at least.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    None,
}

impl Bound {
    fn verdict(self, value: f64) -> String {
        match self {
            Self::AtMost(most) => {
                format!("≤ {most:<6} {}", if value <= most { "ok" } else { "OVER" })
            }
            Self::AtLeast(least) => {
                format!(
                    "≥ {least:<6} {}",
                    if value >= least { "ok" } else { "UNDER" }
                )
            }
            Self::None => String::new(),
        }
    }
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints one measured figure against its budget.
pub(crate) fn figure(name: &str, value: f64, unit: &str, bound: Bound) {
    println!(
        "  {name:<58} {value:>9.1} {unit:<7} {}",
        bound.verdict(value)
    );
}

/// Prints a pair: both sides' medians, and the median of the rounds' ratios.
pub(crate) fn pair(name: &str, rounds: &[(f64, f64)], unit: &str, bound: Bound) {
    let mut ours: Vec<_> = rounds.iter().map(|round| round.0).collect();
    let mut theirs: Vec<_> = rounds.iter().map(|round| round.1).collect();
    let mut ratios: Vec<_> = rounds.iter().map(|round| round.0 / round.1).collect();
    let (ours, theirs, ratio) = (median(&mut ours), median(&mut theirs), median(&mut ratios));
    println!(
        "  {name:<58} {ours:>9.1} : {theirs:>9.1} {unit:<5} = {ratio:<6.3} {}",
        bound.verdict(ratio)
    );
}

/// The median time of one call, in nanoseconds.
pub(crate) fn nanoseconds(mut call: impl FnMut()) -> f64 {
    const BATCH: u32 = 200;
    let end = Instant::now() + budget();
    let mut rounds = Vec::new();
    while Instant::now() < end || rounds.len() < 3 {
        let start = Instant::now();
        for _ in 0..BATCH {
            call();
        }
        rounds.push(start.elapsed().as_nanos() as f64 / f64::from(BATCH));
    }
    median(&mut rounds)
}

/// The median time of one call, in nanoseconds, over arguments made beforehand from random numbers.
pub(crate) fn nanoseconds_each<T>(make: impl Fn(usize) -> T, mut call: impl FnMut(&T)) -> f64 {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // xorshift64 (Marsaglia 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    let end = Instant::now() + budget();
    let mut rounds = Vec::new();
    while Instant::now() < end || rounds.len() < 3 {
        let batch: Vec<T> = (0..200).map(|_| make(next())).collect();
        let start = Instant::now();
        batch.iter().for_each(&mut call);
        rounds.push(start.elapsed().as_nanos() as f64 / 200.0);
    }
    median(&mut rounds)
}

/// Lets two sides take turns until the budget is spent; microseconds per call of each round.
pub(crate) async fn by_turns(
    calls: u32,
    mut ours: impl AsyncFnMut(),
    mut theirs: impl AsyncFnMut(),
) -> Vec<(f64, f64)> {
    let end = Instant::now() + budget();
    let mut rounds = Vec::new();
    let per_call = |start: Instant| start.elapsed().as_nanos() as f64 / 1000.0 / f64::from(calls);
    while Instant::now() < end || rounds.len() < 3 {
        let mut round = [0.0; 2];
        // Whoever goes first is changed from round to round.
        for turn in [rounds.len() % 2, (rounds.len() + 1) % 2] {
            let start = Instant::now();
            for _ in 0..calls {
                if turn == 0 {
                    ours().await
                } else {
                    theirs().await
                }
            }
            if let Some(slot) = round.get_mut(turn) {
                *slot = per_call(start);
            }
        }
        rounds.push((round[0], round[1]));
    }
    rounds
}
