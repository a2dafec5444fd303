//! The crate from outside: requests through real tower services, answers as a client sees them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cancellation;
mod cors;
mod errors;
mod extractors;
mod layer_order;
mod nesting;
#[path = "../../../tenancy-http/tests/pages/mod.rs"]
mod pages;
mod readiness;
mod refusal_pages;
#[path = "../../../tenancy-http/tests/refusal_pages/mod.rs"]
mod refusal_pages_cases;
mod support;
mod tower_services;
mod warm_path;
