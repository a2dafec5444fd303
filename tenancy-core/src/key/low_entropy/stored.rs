//! Stored hashes, which say themselves what verifying them costs.

use argon2::{Algorithm, Params, password_hash::phc::PasswordHash};

use super::{SecretError, SecretErrorKind};

/// The most memory a stored hash may ask for, in KiB.
const MAX_MEMORY: u32 = 64 * 1024;

/// The most passes a stored hash may ask for.
const MAX_PASSES: u32 = 10;

/// The most lanes a stored hash may ask for.
const MAX_LANES: u32 = 4;

/// The longest stored hash that is read, in bytes.
const MAX_STORED: usize = 512;

/// Reads a stored hash, if verifying it costs no more than it may.
pub(super) fn read(stored: &str) -> Result<PasswordHash, SecretError> {
    let unusable = SecretErrorKind::Stored;
    if stored.len() > MAX_STORED {
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
