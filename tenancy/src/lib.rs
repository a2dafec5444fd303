//! Makes an existing axum or actix-web + sqlx service multi-tenant, and lets PostgreSQL itself keep the
//! tenants apart.
//!
//! This crate only passes on what others have, so that a program names one dependency:
//!
//! * at the root: the engine and its types, such as [`Tenancy`], [`TenantContext`] and [`TenantRecord`]
//!   (all of `tenancy-core`);
//! * `axum`, `actix`: what handlers and routers use (all of `tenancy-axum` and `tenancy-actix`);
//! * `http`: what both adapters share, such as the error of handlers;
//! * `postgres`: pools, the directory and the schema (all of `tenancy-sqlx`);
//! * `redis`: limits that many processes count together (all of `tenancy-redis`);
//! * `usage`: what tenants use, and what it costs (all of `tenancy-usage`).
//!
//! # Features
//! No feature is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `axum` | `tenancy::axum`, for axum 0.8 and other tower services |
//! | `actix` | `tenancy::actix`, for actix-web 4 |
//! | `http` | `tenancy::http`, for code that serves either framework; each framework turns it on |
//! | `postgres` | `tenancy::postgres`, on sqlx 0.9; with `axum` or `actix` also their extractor `TenantDb`, and `?` on errors of the database |
//! | `redis` | `tenancy::redis`, what the processes of a service have in common, in Redis or Valkey |
//! | `redis-tls` | `rediss://`; turns `redis` on |
//! | `tower-sessions`, `actix-session` | `tenancy::redis::RedisSessions`, a store of sessions for the layer of that crate; turns `redis` on |
//! | `usage` | `tenancy::usage`, meters, prices, invoices and forecasts; with `postgres` also `tenancy::postgres::PgUsage`, and with `axum` or `actix` their layer meters requests |
//! | `jwt` | `tenancy::jwt`, tokens; AWS-LC verifies their signatures, and a C compiler is needed to build it |
//! | `jwt-rust-crypto` | the same with RustCrypto, which needs no C compiler; with `jwt` too, AWS-LC verifies |
//! | `jwks-http` | an HTTPS client for the keys that issuers of tokens publish; turns `jwt` on, because its TLS is AWS-LC's |
//! | `argon2` | `tenancy::Passwords` and `tenancy::key::SecretHasher` for secrets that people choose, and imported API keys |
//! | `toml` | `PlanBook::from_toml`, a book of plans that is written as TOML, and with `usage` a book of prices |
//! | `testing` | `tenancy::testing`, `tenancy::conformance` and, with `postgres`, `tenancy::postgres::testing`: for `[dev-dependencies]` |
//!
//! None is a default, because each program names its framework anyway, and what is large should be built only
//! where it is asked for.
//!
//! # The shortest integration
//! `tenancy = { version = "0.1", features = ["axum", "jwt", "postgres"] }`, and in the migration of each
//! table `SELECT tenancy.protect('notes')`:
//!
#![cfg_attr(
    all(feature = "axum", feature = "jwt", feature = "postgres"),
    doc = "```no_run"
)]
#![cfg_attr(
    not(all(feature = "axum", feature = "jwt", feature = "postgres")),
    doc = "```ignore"
)]
#![doc = include_str!("docs/shortest.rs")]
//! ```
//!
//! # Why `Tenant` is not at the root
//! Each framework has its own extractor of that name. A program may be built with both features, because
//! some other crate asks for the second, and must still compile. So the extractors are in the module of
//! their framework: `tenancy::axum::Tenant`, `tenancy::actix::Tenant`. What both give to a handler is a
//! [`TenantContext`]. The tenant as the directory keeps it is a [`TenantRecord`].
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "usage")]
pub mod usage;

#[doc(inline)]
pub use tenancy_core::*;
