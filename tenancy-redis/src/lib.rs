//! Redis for `tenancy`: what the processes of a service have in common.
//!
//! * [`RedisClient`] is one Redis, and what is waited for it at most.
//!
//! # Which Redis
//! Redis 6.2 and newer, and Valkey: one server ([`RedisClient::new`]), the master that sentinels know
//! ([`RedisClient::sentinel`]), or a cluster ([`RedisClient::cluster`]).
//!
//! In a cluster, all that belongs to a tenant is in one slot, and so at one master. A master that does not answer keeps
//! only its own tenants, if the cluster is configured with `cluster-require-full-coverage no`.
//!
//! # Features
//! * `tls`: `rediss://`, by rustls with the certificates that the operating system trusts.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod error;
mod layout;
mod link;
mod script;

pub use client::{RedisClient, RedisClientBuilder};
pub use error::{RedisError, RedisErrorKind};
