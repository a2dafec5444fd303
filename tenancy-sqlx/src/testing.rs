//! For the tests of applications: a database for each test, copied from one that was installed once.
//!
//! Enable the feature `testing` only under `[dev-dependencies]`.

mod database;
mod template;

pub use database::TestDatabase;
pub use template::TestDatabases;
