//! Streams on real PostgreSQL, over real HTTP and websockets: whose notes they carry, what they
//! hold, and when they end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod binary;
mod carry;
mod client;
mod end;
mod hold;
mod world;
