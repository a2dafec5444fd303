//! The service as people use it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

#[path = "../../../pages/scenarios/mod.rs"]
mod scenarios;

use scenarios::specify;

specify!("CARGO_BIN_EXE_pages-actix");
