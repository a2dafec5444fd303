//! What the library costs, as ratios measured side by side in one run: `cargo bench`.
//!
//! `cargo bench -- admission` runs the parts whose name starts so: admission, keys, tokens, quotas, counters, redis,
//! sessions, pools, provisioning, trail, usage, http.
//! `BENCH_SECONDS=0.2` sets how long each pair is measured (default 3 s).
#![allow(clippy::unwrap_used, reason = "a benchmark ends at its first fault")]

mod admission;
mod counters;
mod http;
mod key_world;
mod keys;
mod pools;
mod provisioning;
mod quotas;
mod ratio;
mod redis;
mod services;
mod sessions;
mod signer;
mod tokens;
mod trail;
mod usage;
mod world;

fn main() {
    // `cargo test --benches` passes `--test`: then a moment is enough to see that it runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        ratio::hurry();
    }
    let wanted: Vec<_> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let runs =
        |part: &str| wanted.is_empty() || wanted.iter().any(|w| part.starts_with(w.as_str()));

    // Searching the log would be measured too.
    tenancy_tests::logwatch::look_away();
    ratio::describe_machine();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    if runs("admission") {
        runtime().block_on(admission::run());
    }
    if runs("keys") {
        runtime().block_on(keys::run());
    }
    if runs("tokens") {
        runtime().block_on(tokens::run());
    }
    if runs("quotas") {
        runtime().block_on(quotas::run());
    }
    if runs("counters") {
        runtime().block_on(counters::run()).unwrap();
    }
    if runs("redis") {
        runtime().block_on(redis::run()).unwrap();
    }
    if runs("sessions") {
        runtime().block_on(sessions::run()).unwrap();
    }
    if runs("pools") {
        runtime().block_on(pools::run()).unwrap();
    }
    if runs("provisioning") {
        runtime().block_on(provisioning::run()).unwrap();
    }
    if runs("trail") {
        runtime().block_on(trail::run()).unwrap();
    }
    if runs("usage") {
        runtime().block_on(usage::run()).unwrap();
    }
    if runs("http") {
        runtime().block_on(http::run()).unwrap();
    }
}
