//! What the engine answers to a request: one public answer to each question, audited.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod ages;
mod authority;
mod broken;
mod caches;
mod contexts;
mod cors;
mod credentials;
mod domain_joins;
mod escalation;
mod feed;
mod front;
mod hints;
mod invitations;
mod jobs;
mod keys;
mod managing;
mod memory;
mod model;
mod plans;
mod quotas;
mod reading;
mod sources;
mod strangers;
mod support;
mod tenants_of;
mod token_revocations;
mod tokens;
mod unknown_names;
mod watch;
