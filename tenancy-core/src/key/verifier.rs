//! What a store has of a key instead of its secret.

use std::fmt;

use super::{KeyDigest, KeyHandle};

/// How the secret of a key is verified.
///
/// The kinds are apart in the types: the digest of a key that was issued here is never taken for the
/// hash of an imported one, nor the reverse.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyVerifier {
    /// Of a key in the service's own [format](super::KeyFormat), which is found by its id.
    Digest(KeyDigest),
    /// Of a key that was imported, which is found by its handle.
    ///
    /// Without the feature `argon2`, and where no format of imported keys is configured, such a key
    /// is refused.
    Argon2id {
        /// Its handle.
        handle: KeyHandle,
        /// The hash of its secret.
        hash: SecretHash,
    },
}

impl KeyVerifier {
    /// The digest, of a key that was issued here.
    #[must_use]
    pub const fn digest(&self) -> Option<&KeyDigest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Argon2id { .. } => None,
        }
    }

    /// The handle, of an imported key.
    #[must_use]
    pub const fn handle(&self) -> Option<&KeyHandle> {
        match self {
            Self::Digest(_) => None,
            Self::Argon2id { handle, .. } => Some(handle),
        }
    }

    /// The hash of the secret, of an imported key.
    #[must_use]
    pub const fn hash(&self) -> Option<&SecretHash> {
        match self {
            Self::Digest(_) => None,
            Self::Argon2id { hash, .. } => Some(hash),
        }
    }
}

impl From<KeyDigest> for KeyVerifier {
    fn from(digest: KeyDigest) -> Self {
        Self::Digest(digest)
    }
}

/// The Argon2id hash of a secret, as a PHC string. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(Box<str>);

impl SecretHash {
    /// The longest hash that is looked at, in bytes.
    pub const MAX_LEN: usize = 512;

    /// Takes a hash as a store has it. It is looked at when a secret is verified, and one that
    /// can't be used then verifies none.
    #[must_use]
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The PHC string, as it is stored.
    ///
    /// # Security
    /// Secrets that people choose can be guessed from it: never log it, never send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(redacted)")
    }
}
