//! Redis for `tenancy`: what the processes of a service have in common.
//!
//! * [`RedisClient`] is one Redis, and what is waited for it at most.
//! * [`RedisCounters`] count limits that all processes share.
//!
//! # Which Redis
//! Redis 6.2 and newer, and Valkey.
//!
//! # Features
//! * `tls`: `rediss://`, by rustls with the certificates that the operating system trusts.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod counters;
mod error;
mod layout;
mod link;
mod script;

pub use client::{RedisClient, RedisClientBuilder};
pub use counters::{RedisCounters, RedisCountersBuilder};
pub use error::{RedisError, RedisErrorKind};
