//! Stored hashes, which say themselves what verifying them costs.

use argon2::{Algorithm, Params, password_hash::phc::PasswordHash};

use super::{SecretError, SecretErrorKind};
use crate::key::SecretHash;

/// The most memory a stored hash may ask for, in KiB.
pub(super) const MAX_MEMORY: u32 = 64 * 1024;

/// The most passes a stored hash may ask for.
pub(super) const MAX_PASSES: u32 = 10;

/// The most lanes a stored hash may ask for.
const MAX_LANES: u32 = 4;

impl SecretHash {
    /// Takes a hash of another system: Argon2id of version 19, of at least 16 bytes, with its salt,
    /// that asks for at most 64 MiB, 10 passes and 4 lanes.
    ///
    /// ```
    /// use tenancy_core::key::SecretHash;
    ///
    /// let theirs = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA\
    ///               $MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
    /// assert!(SecretHash::argon2id(theirs).is_ok());
    /// assert!(SecretHash::argon2id(&theirs.replace("m=19456", "m=4194304")).is_err());
    /// assert!(SecretHash::argon2id("$2b$12$a.bcrypt.hash").is_err());
    /// ```
    ///
    /// # Errors
    /// [`SecretErrorKind::Stored`] for any other.
    pub fn argon2id(phc: &str) -> Result<Self, SecretError> {
        read(phc).map(|_| Self::from_stored(phc))
    }

    /// Whether a secret can be verified against it.
    pub(crate) fn is_usable(&self) -> bool {
        read(self.as_str()).is_ok()
    }
}

/// Reads a stored hash, if verifying it costs no more than it may.
pub(super) fn read(stored: &str) -> Result<PasswordHash, SecretError> {
    let unusable = SecretErrorKind::Stored;
    if stored.len() > SecretHash::MAX_LEN {
        return Err(unusable.into());
    }
    let hash = PasswordHash::new(stored).map_err(|_| unusable)?;
    let params = Params::try_from(&hash).map_err(|_| unusable)?;
    let affordable = params.m_cost() <= MAX_MEMORY
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES;
    let complete = hash.salt.is_some() && hash.hash.is_some_and(|output| output.len() >= 16);
    let argon2id = hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(19);
    if affordable && complete && argon2id {
        Ok(hash)
    } else {
        Err(unusable.into())
    }
}
