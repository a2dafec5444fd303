//! Operators over HTTP and PostgreSQL, on both frameworks: who they are, and what happens while one acts as a user.

mod access;
mod impersonating;
mod logins;
mod metering;
mod racing;
mod service;
mod world;
