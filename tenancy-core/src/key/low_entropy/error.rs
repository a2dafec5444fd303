//! Why a secret was not hashed or verified, and what to answer then.

use crate::{Refusal, RefusalKind};

/// Why a secret was not hashed or verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretErrorKind {
    /// The secret is empty or too long.
    Length,
    /// Too many are waiting: try again later.
    Busy,
    /// The stored hash is not Argon2id, or costs more than is allowed.
    Stored,
    /// The machine did not do it.
    Failed,
}

/// A secret that was not hashed or verified. Says nothing about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", match kind {
    SecretErrorKind::Length => "a secret is 1 to 1,024 bytes long",
    SecretErrorKind::Busy => "too many secrets are being hashed; try again later",
    SecretErrorKind::Stored => "the stored hash is not Argon2id within the allowed cost",
    SecretErrorKind::Failed => "the secret could not be hashed",
})]
pub struct SecretError {
    kind: SecretErrorKind,
}

impl SecretError {
    /// Why.
    #[must_use]
    pub const fn kind(&self) -> SecretErrorKind {
        self.kind
    }
}

impl From<SecretErrorKind> for SecretError {
    fn from(kind: SecretErrorKind) -> Self {
        Self { kind }
    }
}

/// What to answer a request whose secret could not be looked at: 401 for one that can't be right,
/// 503 with a time to wait where too many wait, else 500.
impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        match error.kind {
            SecretErrorKind::Length => Self::new(RefusalKind::Unauthenticated, "secret-length"),
            SecretErrorKind::Busy => Self::new(RefusalKind::Unavailable, "secret-hasher-busy"),
            SecretErrorKind::Stored => Self::new(RefusalKind::Internal, "secret-hash-unusable"),
            SecretErrorKind::Failed => Self::new(RefusalKind::Internal, "secret-hasher-failed"),
        }
    }
}
