//! Caches. What directories say: bounded, one load at a time per key, and dropped by tenant. What
//! follows from it, and from credentials: within a budget of bytes.

mod age;
mod budget;
mod lookup;
mod single_flight;
mod versions;

pub(crate) use age::MaxAge;
pub(crate) use budget::Budgeted;
pub(crate) use lookup::{Lookup, Probe};
pub(crate) use single_flight::{SingleFlight, Work};
pub(crate) use versions::{CacheVersion, CacheVersions};
