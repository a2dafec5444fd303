//! Operators in the engine: who they are, what they may do, and as whom they act.

mod authenticate;
mod config;
mod context;
mod impersonate;
mod tokens;

pub use authenticate::PendingOperator;
pub use config::Operators;
pub(super) use config::{Configured, EngineParts};
pub use context::OperatorContext;
pub(super) use context::Staff;
pub use impersonate::StartedImpersonation;
pub(super) use impersonate::no_operators;
pub(super) use tokens::{ImpersonationTokens, reason_of};
