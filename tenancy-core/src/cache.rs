//! Caches. What directories say: bounded, one load at a time per key, and dropped by tenant. What
//! follows from it, and from credentials: within a budget of bytes.

mod age;
mod budget;
mod flights;
mod lookup;
mod stamps;

pub(crate) use age::MaxAge;
pub(crate) use budget::Budgeted;
pub(crate) use flights::{Flights, Work};
pub(crate) use lookup::{Lookup, Probe};
pub(crate) use stamps::{Stamp, Stamps};
