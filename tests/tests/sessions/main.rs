//! A tenant's session: what it costs, what it limits, how it ends, and what becomes of it when the
//! database goes away.

mod constraints;
mod cost;
mod faults;
mod ignored;
mod options;
mod outages;
mod pinned;
mod releases;
mod residue;
mod retry;
mod savepoints;
mod scope;
mod strict;
mod switched;
