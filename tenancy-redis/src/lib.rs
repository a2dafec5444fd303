//! Redis for `tenancy`: what the processes of a service have in common.
//!
//! * [`RedisClient`] is one Redis, and what is waited for it at most.
//! * [`RedisCounters`] count limits that all processes share.
//! * [`TenantRedis`] has names of its own for each tenant: strings, hashes, lists, sets, sorted sets, streams, channels and
//!   locks, through [`TenantData`].
//! * [`OperatorRedis`] looks through all of it, under a login of its own: it sweeps, and erases a tenant.
//! * [`RedisNews`] tells all engines of a service of each change, so that a revocation counts everywhere at once.
//! * [`CachedDirectory`] stands before a slow directory, and shares its answers about members among the processes.
//! * [`RedisLogin`] has the ACL of both logins.
//!
//! # Which Redis
//! Redis 7 and newer, and Valkey: one server ([`RedisClient::new`]), the master that sentinels know
//! ([`RedisClient::sentinel`]), or a cluster ([`RedisClient::cluster`]).
//!
//! In a cluster, all that belongs to a tenant is in one slot, and so at one master. A master that does not answer keeps
//! only its own tenants, if the cluster is configured with `cluster-require-full-coverage no`.
//!
//! # Features
//! * `tower-sessions`, `actix-session`: `RedisSessions`, a store of sessions for the layer of that crate.
//! * `tls` (`redis-tls` of `tenancy`): `rediss://`, by rustls with the certificates that the operating system trusts.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cache;
mod client;
mod counters;
pub mod danger;
mod data;
mod error;
mod layout;
mod link;
mod login;
mod news;
mod operator;
mod script;
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
mod sessions;
mod subscriber;
mod tenant;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;

pub use cache::CachedDirectory;
pub use client::{RedisClient, RedisClientBuilder};
pub use counters::{RedisCounters, RedisCountersBuilder};
pub use data::{
    Expiry, Stored, StreamEntry, StreamGroup, StreamId, Subscription, TenantData, TenantHash,
    TenantList, TenantLock, TenantSet, TenantSortedSet, TenantStream,
};
pub use error::{RedisError, RedisErrorKind};
pub use login::RedisLogin;
pub use news::{NewsListener, RedisNews};
pub use operator::{KeyScan, OperatorRedis, PurgeReport};
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
pub use sessions::RedisSessions;
pub use tenant::TenantRedis;
