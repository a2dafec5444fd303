//! Operators: the people who run the service, apart from the users of every tenant.

mod record;
mod right;
mod store;

pub use record::Operator;
pub use right::{OperatorRight, OperatorRole};
pub use store::OperatorStore;
