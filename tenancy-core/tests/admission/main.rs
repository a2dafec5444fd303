//! What the engine answers to a request: one public answer to each question, audited.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod access;
mod ages;
mod alerts;
mod authority;
mod broken;
mod caches;
mod contexts;
mod cors;
mod credentials;
mod domain_joins;
mod escalation;
mod explaining;
mod feed;
mod front;
mod gains;
mod hints;
mod invitations;
mod jobs;
mod keys;
mod managing;
mod members;
mod memory;
mod model;
mod operators;
mod plans;
mod projects;
mod provisioning;
mod quotas;
mod reading;
mod roles;
mod sources;
mod strangers;
mod support;
mod tenants_of;
mod token_revocations;
mod tokens;
mod trail;
mod unknown_names;
mod watch;
