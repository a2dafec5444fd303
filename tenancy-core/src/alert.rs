//! Alerts: what somebody should look at soon, told as events.
//!
//! Give the engine [rules](AlertRules) and a [sink](AlertSink) with
//! [`TenancyBuilder::alerts`](crate::TenancyBuilder::alerts). What the rules see then goes out once for each subject and
//! cool-down: as an event for the outbox, and as an entry `alert.raise` in the audit trail.
//!
//! | event | what has happened | about |
//! |---|---|---|
//! | `alert.cross-tenant` | one caller was refused in several tenants that are not its own | `actor` |
//! | `alert.new-network` | an API key was used from a network from which it was not used before | `actor`, the tenant |
//! | `alert.refusals` | many more requests of a tenant were refused than before | the tenant |
//! | `alert.break-glass` | an operator became a user without the tenant's consent, or somebody crossed tenants by `danger` | `actor`, the tenant |
//! | `alert.chain-broken` | a verification of the audit trail has found a broken link | the tenant |
//!
//! Refusals count whether they are recorded or [sampled away](crate::TenancyBuilder::audit). What is counted is counted in
//! the memory of one process, and in bounds: a process that begins anew learns anew.
//!
//! ```
//! use std::time::Duration;
//!
//! use tenancy_core::{
//!     MemoryDirectory, Tenancy,
//!     alert::{AlertRules, TracingAlertSink},
//! };
//!
//! # fn main() -> Result<(), tenancy_core::ConfigError> {
//! let rules = AlertRules::new().cross_tenant(3, Duration::from_secs(600));
//! let tenancy = Tenancy::builder(MemoryDirectory::new())
//!     .alerts(rules, TracingAlertSink)
//! #   .established_principals()
//!     .build()?;
//! # drop(tenancy);
//! # Ok(())
//! # }
//! ```
//!
//! # Security
//! An alert has ids and networks, and no address, name or text that a caller has sent. Its event may concern several
//! tenants: `alert.cross-tenant` and what has no tenant are for operators, so hand them to no tenant's webhook.

mod kind;
mod raised;
mod rules;
mod sink;

pub use kind::AlertKind;
pub use raised::Alert;
pub use rules::AlertRules;
pub(crate) use rules::{CrossTenant, Surge};
pub(crate) use sink::is_final;
pub use sink::{AlertSink, MemoryAlertSink, TracingAlertSink};
