//! What actix-web's adapter has beside the scenarios of both frameworks, which play over real HTTP.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cancellation;
mod extractors;
mod guards;
mod logging;
mod paths;
mod peer;
mod refusal_pages;
#[path = "../../../tenancy-http/tests/refusal_pages/mod.rs"]
mod refusal_pages_cases;
mod support;
mod warm_path;
