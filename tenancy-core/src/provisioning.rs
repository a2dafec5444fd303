//! Provisioning: all that a new tenant begins with, made in one transaction.

mod request;
mod store;
mod unit;

pub use request::{Provisioned, Provisioning};
pub use store::ProvisioningStore;
pub use unit::{Idempotency, NewTenant, ProvisionedBefore};
