//! One scenario suite for both frameworks: the same request gets the same answer, the same audit
//! entries and leaves the same rows, over real HTTP on real PostgreSQL.
//!
//! [`routes`] is the table of the service's routes, [`scenario`] what a scenario consists of,
//! [`cases`] are the scenarios.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a fault of the suite itself ends it"
)]

mod actix_service;
mod axum_service;
mod cases;
mod coverage;
mod credentials;
mod engines;
mod handlers;
mod issuers;
mod key_server;
mod keys;
mod logs;
mod matrix;
mod play;
mod routes;
mod scenario;
mod sequences;
mod sessions;
mod sign_ons;
mod signer;
mod streams;
mod tokens;
mod watching;
mod wire;
mod world;
