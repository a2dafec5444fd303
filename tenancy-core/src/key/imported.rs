//! Keys of another system, or with secrets that people chose: how they look, and what they may cost.

mod format;

pub use format::ImportedFormat;

use super::{LowEntropySecret, SecretHash, SecretHasher};
use crate::ConfigError;

/// Imported keys of one service, given to [`ApiKeys::imported`](super::ApiKeys::imported).
///
/// ```
/// use tenancy_core::{
///     ConfigError, MemoryDirectory,
///     key::{
///         ApiKeys, Environment, HmacKeyHasher, ImportedFormat, ImportedKeys, KeyFormat, Pepper,
///     },
/// };
///
/// let pepper = Pepper::new(1, b"32 random bytes from a secret store")?;
/// let format = KeyFormat::new("acme", Environment::Live)?;
/// let theirs = ImportedFormat::separated("oldco_", '.')?; // oldco_4711.correcthorse
/// let keys = ApiKeys::new(format, HmacKeyHasher::new(pepper), MemoryDirectory::new())
///     .imported(ImportedKeys::new(theirs));
/// # Ok::<(), ConfigError>(())
/// ```
///
/// # Security
/// The first request with a key costs a hash, two passes over 19 MiB, and everybody can cause that.
/// So it is bounded, whatever comes in:
///
/// - Attempts that fail are counted before anything is hashed, by handle and by the caller's
///   address (an IPv6 /64): so many at once, and as many come back in a minute, one after the other.
///   When either is spent, secrets are not looked at until one has come back, and the answer is 503
///   with that time in `Retry-After`: it says nothing about the secret, and is the same for a handle
///   that there is not.
/// - The [`SecretHasher`] runs as many at once as there are cores, four times as many wait, and who
///   comes then gets 503 as well.
///
/// A secret that was right is remembered, and neither bound applies to it: a caller who guesses at a key
/// doesn't lock its owner out of a process that has seen the owner. One that has not, such as a
/// process that has just started, asks the owner of a key that is being guessed at to come again; it
/// never says that the key is wrong. A caller whose address is not known counts by handle alone.
#[derive(Debug, Clone)]
#[must_use]
pub struct ImportedKeys {
    pub(crate) format: ImportedFormat,
    pub(crate) hasher: SecretHasher,
    pub(crate) per_handle: u16,
    pub(crate) per_address: u16,
}

impl ImportedKeys {
    /// Keys that look so.
    pub fn new(format: ImportedFormat) -> Self {
        Self {
            format,
            hasher: SecretHasher::new(),
            per_handle: 10,
            per_address: 100,
        }
    }

    /// The hasher. Default: one of its own; a clone shares its bounds with, say, a log-in page.
    pub fn hasher(mut self, hasher: SecretHasher) -> Self {
        self.hasher = hasher;
        self
    }

    /// How many attempts may fail per handle: so many at once, and then as many in a minute. Default: 10.
    pub const fn attempts_per_handle(mut self, attempts: u16) -> Self {
        self.per_handle = attempts;
        self
    }

    /// How many attempts may fail per address: so many at once, and then as many in a minute. Default: 100.
    ///
    /// First requests that are under way count as well: leave room for customers behind one address.
    pub const fn attempts_per_address(mut self, attempts: u16) -> Self {
        self.per_address = attempts;
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.per_handle == 0 || self.per_address == 0 {
            return Err(ConfigError::new(
                "no attempt may fail, so that no imported key could ever be used; allow at least 1",
            ));
        }
        Ok(())
    }
}

/// What is known of the secret of a key that is imported.
///
/// ```
/// use tenancy_core::key::{ImportedSecret, LowEntropySecret};
///
/// let chosen: ImportedSecret = LowEntropySecret::new("correcthorse")?.into();
/// # Ok::<(), tenancy_core::key::SecretError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportedSecret {
    /// The secret, which is hashed and not kept.
    Text(LowEntropySecret),
    /// Its hash, as the other system has it.
    Hash(SecretHash),
}

impl From<LowEntropySecret> for ImportedSecret {
    fn from(secret: LowEntropySecret) -> Self {
        Self::Text(secret)
    }
}

impl From<SecretHash> for ImportedSecret {
    fn from(hash: SecretHash) -> Self {
        Self::Hash(hash)
    }
}
