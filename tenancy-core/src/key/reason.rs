//! The reasons for which a key is refused, each with one cause.
//!
//! They are listed for readers in the documentation of the module `key`.

use crate::Rejection;
#[cfg(feature = "argon2")]
use crate::{Refusal, RefusalKind};

pub(crate) const MALFORMED: Rejection = Rejection::new("key-malformed");
pub(crate) const CHECKSUM: Rejection = Rejection::new("key-checksum");
pub(crate) const ENVIRONMENT: Rejection = Rejection::new("key-environment");
pub(crate) const UNKNOWN: Rejection = Rejection::new("key-unknown");
pub(crate) const SECRET: Rejection = Rejection::new("key-secret");
pub(crate) const PEPPER: Rejection = Rejection::new("key-pepper-unknown");
pub(crate) const REVOKED: Rejection = Rejection::new("key-revoked");
pub(crate) const DISABLED: Rejection = Rejection::new("key-disabled");
pub(crate) const EXPIRED: Rejection = Rejection::new("key-expired");
pub(crate) const ROTATED: Rejection = Rejection::new("key-rotated");
pub(crate) const NETWORK: Rejection = Rejection::new("key-network");
pub(crate) const NETWORK_UNKNOWN: Rejection = Rejection::new("key-network-unknown");

#[cfg(feature = "argon2")]
pub(crate) const HASH: Rejection = Rejection::new("key-hash-unusable");

/// What is answered while no secret of a key, or from an address, is looked at.
#[cfg(feature = "argon2")]
pub(crate) fn attempts_spent(wait: std::time::Duration) -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "key-attempts-spent").with_retry_after(wait)
}
