//! The secret of a key that is imported: itself, or its hash.

use crate::key::{LowEntropySecret, SecretHash};

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
