//! Tokens that were verified before, so that their signature need not be checked again.

use std::{fmt, sync::Arc};

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::claims::Validity;
use crate::Principal;

/// A token's SHA-256, which stands for it: the token itself is never kept.
pub(super) type Fingerprint = [u8; 32];

/// What is known about a verified token, as long as its issuer's keys stay.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) principal: Arc<Principal>,
    pub(super) validity: Validity,
    /// The version of the keys it was verified with.
    pub(super) keys: u64,
}

/// Holds verified tokens only: what was rejected can't push them out.
pub(super) struct TokenCache(Cache<Fingerprint, Verified>);

impl TokenCache {
    /// A cache for so many tokens; none for 0.
    pub(super) fn new(capacity: usize) -> Option<Self> {
        (capacity > 0).then(|| Self(Cache::new(capacity)))
    }

    pub(super) fn fingerprint(token: &str) -> Fingerprint {
        Sha256::digest(token).into()
    }

    pub(super) fn get(&self, token: &Fingerprint) -> Option<Verified> {
        self.0.get(token)
    }

    pub(super) fn insert(&self, token: Fingerprint, verified: Verified) {
        self.0.insert(token, verified);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("capacity", &self.0.capacity())
            .finish_non_exhaustive()
    }
}
