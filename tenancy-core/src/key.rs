//! API keys: credentials that a tenant's users issue for their programs.
//!
//! A key is bound to one tenant and acts with the rights of the user who created it, narrowed by
//! its own scopes: each request is decided by what that user may do *now*. Its text is shown once;
//! what is stored is an HMAC of it under a pepper of the service.
//!
//! ```
//! use tenancy_core::{
//!     MemoryDirectory, Membership, PermissionRegistry, SystemRole, Tenancy, TenantRecord,
//!     TenantStatus, UserId, danger,
//!     key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, NewKey, Pepper},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = MemoryDirectory::new();
//! let pepper = Pepper::new(1, b"32 random bytes from a secret store")?;
//! let format = KeyFormat::new("acme", Environment::Live)?;
//! let tenancy = Tenancy::builder(directory.clone())
//!     .keys(ApiKeys::new(format, HmacKeyHasher::new(pepper), directory.clone()))
//!     .permissions(
//!         PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer).build()?,
//!     )
//!     .build()?;
//! # let acme = TenantRecord::new("acme".parse()?, "Acme Ltd").with_status(TenantStatus::Active);
//! # let alice = UserId::new();
//! # let admin = tenancy.admin(danger::service("an example")?);
//! # admin.create_tenant(&acme).await?;
//! # admin.put_membership(&Membership::new(acme.id, alice, "owner".parse()?)).await?;
//!
//! let nightly = NewKey::new(acme.id, alice, "nightly export", ["notes:read".parse()?]);
//! let keys = tenancy.keys()?.by(danger::service("an example")?);
//! let issued = keys.issue(nightly).await?;
//! assert!(issued.expose().starts_with("acme_live_"));
//! keys.revoke(acme.id, issued.record().id).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Keys that come from elsewhere
//! With the feature `argon2`, keys of another system, and secrets that people chose, are taken beside
//! those that are issued here: `ApiKeys::imported` says how they look, and `KeyAdmin::import` adds
//! one, by its secret or by the Argon2id hash that the other system has. They have the same record,
//! and are decided about, changed, audited, rotated and revoked like all others. Only their secrets
//! are verified in another way, which costs a slow hash once in each process, and is bounded:
//! `ImportedKeys` says how. Without the feature, such a key is refused.
//!
//! # Why a key is refused
//! To the caller each of these is the same 401 `unauthenticated`; the reason is audited.
//!
//! | reason | cause |
//! |---|---|
//! | `key-malformed` | it begins with the brand and hasn't the [format](KeyFormat) |
//! | `key-checksum` | the checksum does not fit: a character is wrong |
//! | `key-environment` | the text, or the record, says another environment |
//! | `key-unknown` | there is no such key |
//! | `key-secret` | there is, and this is not its text |
//! | `key-pepper-unknown` | its digest was made with a pepper that is no longer configured |
//! | `key-revoked` | it was revoked |
//! | `key-expired` | its time is over |
//! | `key-rotated` | another took its place, and the overlap is over |
//! | `key-disabled` | it is switched off |
//! | `key-network` | the caller's address is in none of its networks |
//! | `key-network-unknown` | it lists networks, and the caller's address is not known |
//! | `key-hash-unusable` | it was imported, and its stored hash is none that can be verified |
//!
//! While the secret of an imported key can't be looked at, the answer is 503 with a time to wait,
//! whatever the secret: `key-attempts-spent` after too many failures, `secret-hasher-busy` where too
//! many wait.
//!
//! A good key whose creator is no active member of its tenant any more gets the 404 of every
//! stranger (`not-a-member`, `membership-not-active`), and so does one that names another tenant or
//! a project other than its own. A tenant's suspension is told to its keys as to its members.
//!
//! # Security
//! - What is cached is the record, by its public id; the secret is not. On every request the
//!   digest is compared in constant time, and revocation, expiry, overlap, environment and network
//!   are looked at. A change of a key moves its tenant's generation on, so that caches, contexts
//!   and [watches](crate::ContextWatch) in this process notice at once, and others within
//!   [`max_staleness`](crate::Tenancy::max_staleness).
//! - A key's [`TenantContext::role`](crate::TenantContext::role) and
//!   [`user_id`](crate::TenantContext::user_id) are `None`: what compares roles by hand
//!   does not give a narrow key the rights of its creator.
//! - Checksums fit by chance or design: a caller who floods the service with well-formed keys makes it
//!   look up ids that do not exist. Limit request rates in front of the service.

pub(crate) mod base62;
pub(crate) mod checksum;
mod config;
mod environment;
mod format;
mod handle;
mod hasher;
#[cfg(feature = "argon2")]
mod imported;
pub(crate) mod limits;
#[cfg(feature = "argon2")]
mod low_entropy;
mod name;
mod network;
mod new;
mod own_limits;
mod range;
pub(crate) mod reason;
mod record;
mod seen;
mod store;
mod text;
mod verifier;

#[cfg(test)]
mod tests;

pub use config::ApiKeys;
pub use environment::Environment;
pub use format::{KeyFormat, MAX_KEY_LEN};
pub use handle::{InvalidKeyHandle, KeyHandle};
pub use hasher::{HmacKeyHasher, KeyDigest, KeyHasher, KeyMatch, Pepper};
#[cfg(feature = "argon2")]
pub use imported::{ImportedFormat, ImportedKeys, ImportedSecret};
#[cfg(feature = "argon2")]
pub(crate) use low_entropy::Checked;
#[cfg(feature = "argon2")]
pub use low_entropy::{LowEntropySecret, SecretError, SecretErrorKind, SecretHasher};
pub(crate) use name::KeyName;
pub use network::KeyNetworks;
pub use new::{IssuedKey, NewKey};
pub use own_limits::KeyLimits;
pub use range::KeyRange;
pub use record::{ApiKey, KeyState};
pub use seen::KeySeen;
pub use store::{KeyChange, KeyDirectory, KeyRotation, KeyStore};
pub use text::{KeyText, PresentedKey};
pub use verifier::{KeyVerifier, SecretHash};
