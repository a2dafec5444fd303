//! What the processes of a service have in common, in Redis: `tenancy-redis`.
//!
//! ```no_run
//! use tenancy::redis::RedisClient;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = RedisClient::new("redis://127.0.0.1:6379")?;
//! client.check().await?;
//! # Ok(())
//! # }
//! ```
#[doc(inline)]
pub use tenancy_redis::*;
