//! Changes of an account.

use super::{Account, ExternalSubject};
use crate::{RevokedBefore, key::SecretHash};

/// A change of an account, as a store makes it.
///
/// ```
/// use tenancy_core::{Account, AccountChange, ExternalSubject};
///
/// let mut alice = Account::external(ExternalSubject::new("https://login.example.com", "4711")?);
/// let other = ExternalSubject::new("https://sso.example.org", "alice")?;
/// AccountChange::Link(other.clone()).apply(&mut alice);
/// assert_eq!(alice.subjects.last(), Some(&other));
/// # Ok::<(), tenancy_core::InvalidSubject>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that ignores a change must not compile"
)]
pub enum AccountChange {
    /// Another password. The user's tokens that were issued before are taken back.
    Password {
        /// What is stored of it.
        hash: SecretHash,
        /// Which tokens are taken back.
        revoked: RevokedBefore,
    },
    /// Nobody signs in any more, and the user's tokens are taken back.
    Disable {
        /// Which tokens are taken back.
        revoked: RevokedBefore,
    },
    /// The owner signs in again.
    Enable,
    /// Known elsewhere, too.
    Link(ExternalSubject),
    /// No longer known there.
    Unlink(ExternalSubject),
}

impl AccountChange {
    /// Makes the change in an account.
    pub fn apply(&self, account: &mut Account) {
        match self {
            Self::Password { hash, .. } => account.password = Some(hash.clone()),
            Self::Disable { .. } => account.disabled = true,
            Self::Enable => account.disabled = false,
            Self::Link(subject) if account.subjects.contains(subject) => {}
            Self::Link(subject) => account.subjects.push(subject.clone()),
            Self::Unlink(subject) => account.subjects.retain(|one| one != subject),
        }
    }

    /// Which of the user's tokens it takes back, in the same transaction.
    #[must_use]
    pub const fn revoked(&self) -> Option<RevokedBefore> {
        match self {
            Self::Password { revoked, .. } | Self::Disable { revoked } => Some(*revoked),
            Self::Enable | Self::Link(_) | Self::Unlink(_) => None,
        }
    }
}
