//! Tokens that were verified before, so that their signature need not be checked again.

use std::{fmt, sync::Arc};

use crate::{Principal, Timestamp, cache::Budgeted, digest::Digest};

/// How many bytes of verified tokens are kept, unless a builder is told otherwise.
pub(super) const DEFAULT_BYTES: usize = 16 << 20;

/// What is known about a verified token, as long as its issuer's keys stay.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) principal: Arc<Principal>,
    /// The number of the authenticator that verified it: another one has other rules.
    pub(super) by: u64,
    /// The version of the keys it was verified with.
    pub(super) keys: u64,
}

/// Holds verified tokens only: what was rejected can't push them out. A token's digest stands for it,
/// and the token itself is never kept. Several authenticators may share it.
pub(super) struct TokenCache(Budgeted<Verified>);

impl TokenCache {
    /// A cache of so many bytes; none for 0.
    pub(super) fn new(bytes: usize) -> Option<Self> {
        Budgeted::new(bytes).map(Self)
    }

    pub(super) fn get(&self, token: &Digest, by: u64, now: Timestamp) -> Option<Verified> {
        self.0.get(token, now).filter(|known| known.by == by)
    }

    /// Keeps a token until it expires, unless its claims take too much room.
    pub(super) fn insert(&self, token: Digest, verified: Verified, now: Timestamp) {
        let Some(ends_at) = verified.principal.expires_at else {
            return;
        };
        let weight = verified.principal.weight();
        self.0.insert(token, verified, weight, ends_at, now);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenCache").field(&self.0).finish()
    }
}
