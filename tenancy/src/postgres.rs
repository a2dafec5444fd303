//! Tenants in PostgreSQL: `tenancy-sqlx`.
//!
//! ```
//! use tenancy::postgres::TenantPool;
//! # use tenancy::TenantContext;
//!
//! async fn notes(
//!     pool: &TenantPool,
//!     context: &TenantContext,
//! ) -> Result<i64, Box<dyn std::error::Error>> {
//!     let db = pool.tenant(context)?;
//!     Ok(sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&db).await?)
//! }
//! ```
#[doc(inline)]
pub use tenancy_sqlx::*;
