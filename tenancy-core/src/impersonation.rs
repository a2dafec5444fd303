//! Impersonations: an operator acts as a user of one tenant, for a reason and for a while.

mod new;
mod policy;
mod record;
mod store;
mod token;

pub use new::NewImpersonation;
pub(crate) use policy::CheckedPolicy;
pub use policy::ImpersonationPolicy;
pub use record::{Impersonation, ImpersonationState};
pub use store::{ImpersonationLookup, ImpersonationStore, StartTerms};
pub use token::{ImpersonationDigest, ImpersonationToken};
