//! The adapter to axum and to other tower services: `tenancy-axum`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tenancy::{
//!     Tenancy,
//!     axum::{Error, TenancyLayer, Tenant},
//! };
//!
//! async fn whoami(tenant: Tenant) -> Result<String, Error> {
//!     tenant.require("notes:read")?;
//!     Ok(format!("you work for {}", tenant.record().name))
//! }
//!
//! fn app(tenancy: &Tenancy) -> Router {
//!     Router::new().route("/", get(whoami)).layer(TenancyLayer::new(tenancy))
//! }
//! ```
#[doc(inline)]
pub use tenancy_axum::*;
