//! Password resets as a store has them.

use uuid::Uuid;

use crate::{
    EmailAddress, RevokedBefore, Timestamp, UserId, key::SecretHash, one_time::OneTimeDigest,
};

/// A password reset that somebody has asked for. It is kept by its address, whether there is such an account or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewPasswordReset {
    /// Its id, which is in the token.
    pub id: Uuid,
    /// The address that was typed.
    pub email: EmailAddress,
    /// What is stored of the token.
    pub digest: OneTimeDigest,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The moment from which it no longer holds.
    pub expires_at: Timestamp,
}

impl NewPasswordReset {
    /// A reset of this address.
    #[must_use]
    pub const fn new(
        id: Uuid,
        email: EmailAddress,
        digest: OneTimeDigest,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            id,
            email,
            digest,
            created_at,
            expires_at,
        }
    }
}

/// A password reset that is open, with whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PasswordReset {
    /// The address that was typed.
    pub email: EmailAddress,
    /// What is stored of the token.
    pub digest: OneTimeDigest,
    /// The moment from which it no longer holds.
    pub expires_at: Timestamp,
    /// Whose address it is now; `None` if it is nobody's, or the account is disabled.
    pub user: Option<UserId>,
}

impl PasswordReset {
    /// A reset of this address.
    #[must_use]
    pub const fn new(
        email: EmailAddress,
        digest: OneTimeDigest,
        expires_at: Timestamp,
        user: Option<UserId>,
    ) -> Self {
        Self {
            email,
            digest,
            expires_at,
            user,
        }
    }
}

/// What comes of a password reset: the token was right.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsedPasswordReset {
    /// The reset.
    pub id: Uuid,
    /// The digest that the token was compared with.
    pub digest: OneTimeDigest,
    /// Whose account it was then.
    pub user: UserId,
    /// The moment of now.
    pub now: Timestamp,
    /// What is stored of the new password.
    pub hash: SecretHash,
    /// Which of the user's tokens are taken back.
    pub revoked: RevokedBefore,
}

impl UsedPasswordReset {
    /// A reset that is used now.
    #[must_use]
    pub const fn new(
        (id, digest): (Uuid, OneTimeDigest),
        user: UserId,
        now: Timestamp,
        hash: SecretHash,
    ) -> Self {
        Self {
            id,
            digest,
            user,
            now,
            hash,
            revoked: RevokedBefore::revoking_at(now),
        }
    }
}
