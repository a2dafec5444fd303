//! An axum service on PostgreSQL over real HTTP: isolation, interleaving, a database that goes away.

mod isolation;
mod outage;
mod service;
