//! What a key was when a change of it was decided on.

use super::ApiKey;
use crate::{Grant, StoreError, StoreErrorKind, UserId};

/// Whose a key was, and what it was for, when a change of it was decided on.
///
/// # Security
/// Whether a caller may have a key do something is decided before the store's transaction begins. With this the store
/// makes the change only if the key is still the same: else somebody who may take scopes away could give back those
/// that its creator has just taken away.
///
/// ```
/// use tenancy_core::{
///     KeyId, StoreErrorKind, TenantId, Timestamp, UserId,
///     key::{ApiKey, Environment, KeyDigest, KeySeen},
/// };
///
/// # let (id, now) = (KeyId::new(), Timestamp::EPOCH);
/// # let digest = KeyDigest::new(1, [0; 32]);
/// let mut key = ApiKey::new(id, TenantId::new(), UserId::new(), Environment::Live, digest, now);
/// let seen = KeySeen::of(&key);
/// assert!(seen.check(&key).is_ok());
/// key.scopes = vec!["notes:read".parse()?];
/// assert_eq!(seen.check(&key).unwrap_err().kind(), StoreErrorKind::Conflict);
/// assert!(KeySeen::Any.check(&key).is_ok());
/// # Ok::<(), tenancy_core::InvalidGrant>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that ignores what was seen must not compile"
)]
pub enum KeySeen {
    /// Nobody looked: whoever makes the change may let any key do anything.
    Any,
    /// This was seen.
    Key {
        /// The user as whom the key acts.
        creator: UserId,
        /// What it is for at most.
        scopes: Vec<Grant>,
    },
}

impl KeySeen {
    /// What is seen of a key now.
    #[must_use]
    pub fn of(key: &ApiKey) -> Self {
        Self::Key {
            creator: key.creator,
            scopes: key.scopes.clone(),
        }
    }

    /// Whether the key is still what was seen: for stores, inside the transaction.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if not.
    pub fn check(&self, found: &ApiKey) -> Result<(), StoreError> {
        let is_same = match self {
            Self::Any => true,
            Self::Key { creator, scopes } => *creator == found.creator && *scopes == found.scopes,
        };
        if is_same {
            return Ok(());
        }
        let message = "the key has changed meanwhile; look at it again, and try again";
        Err(StoreError::new(StoreErrorKind::Conflict, message))
    }
}
