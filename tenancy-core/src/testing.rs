//! For the tests of applications: tenants, members and tokens in a line, contexts without requests, requests
//! without a server, a directory that fails when it is told to, a hasher of secrets that is busy.

mod context;
mod directly;
mod directory;
#[cfg(feature = "argon2")]
mod hasher;
#[doc(hidden)]
pub mod random;
mod request;
mod tenant;
#[cfg(feature = "jwt")]
mod tokens;

pub use context::ContextBuilder;
pub use directly::{KeyStoreDirectly, StoreDirectly, unattributed};
pub use directory::SwitchedDirectory;
#[cfg(feature = "argon2")]
pub use hasher::BusyHasher;
pub use request::FakeRequest;
pub use tenant::TestTenant;
#[cfg(feature = "jwt")]
pub use tokens::TestTokens;

/// The authority of a test: the service itself.
///
/// ```
/// assert_eq!(tenancy_core::testing::service().reason(), Some("a test"));
/// ```
pub fn service() -> crate::Authority {
    crate::Authority::of_service("a test")
}
