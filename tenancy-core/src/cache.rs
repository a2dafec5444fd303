//! Caches of what directories say: bounded, one load at a time per key, and dropped by tenant.

mod age;
mod flights;
mod lookup;
mod stamps;

pub(crate) use age::MaxAge;
#[cfg(feature = "argon2")]
pub(crate) use flights::{Flights, Work};
pub(crate) use lookup::{Lookup, Probe};
pub(crate) use stamps::{Stamp, Stamps};
