//! Imported keys over real HTTP on real PostgreSQL: the same on axum and on actix-web.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fault of the suite itself ends it"
)]

mod http;
mod logs;
mod rows;
mod world;
