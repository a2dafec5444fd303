//! What the engine answers to a request: one public answer to each question, audited.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod ages;
mod caches;
mod contexts;
mod cors;
mod credentials;
mod epochs;
mod feed;
mod hints;
mod keys;
mod plans;
mod strangers;
mod support;
mod tokens;
mod watch;
