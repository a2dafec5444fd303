//! What tenants use, and what it costs: `tenancy-usage`.
//!
//! ```
//! use tenancy::usage::{UsageMeter, UsageMeters};
//!
//! let meters = UsageMeters::new([UsageMeter::sum("llm-tokens").unit("tokens").dimension("model")])?;
//! # let _ = meters;
//! # Ok::<(), tenancy::ConfigError>(())
//! ```
#[doc(inline)]
pub use tenancy_usage::*;
