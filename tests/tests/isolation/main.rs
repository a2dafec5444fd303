//! PostgreSQL shows one tenant's rows and no others, whatever the statement says. Every test
//! first makes sure that the other tenant's rows exist: the fixture seeds and counts them past
//! row security.

mod bulk;
mod ddl;
mod keys;
mod managing;
mod queries;
mod registry;
mod settings;
mod writes;
