//! The command as a shell runs it: the real program over real PostgreSQL.

#![allow(clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod adopting;
mod adopting_back;
mod adopting_killed;
mod adopting_long;
mod adopting_refused;
mod adopting_stand;
mod anchoring;
mod arguments;
mod erasing;
mod exporting;
mod keeping;
mod operators;
mod planning;
mod schema;
mod secrets;
mod stand;
mod tailing;
mod usage;
mod verifying;
