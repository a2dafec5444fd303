//! Why a password was not hashed or looked at, and what to answer then.

use std::time::Duration;

use crate::{
    Refusal, RefusalKind,
    key::{SecretError, SecretErrorKind},
};

/// Why nobody may choose a password. The text is for the page.
///
/// ```
/// let unfit = tenancy_core::UnfitPassword::TooShort { min: 8 };
/// assert_eq!(unfit.to_string(), "a password has at least 8 characters");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitPassword {
    /// It has too few characters.
    #[error("a password has at least {min} characters")]
    TooShort {
        /// So many it needs.
        min: usize,
    },
    /// It is one of those that everybody tries.
    #[error("this password is one of those that are tried first; choose another one")]
    Common,
}

/// A password that was not hashed, or not looked at. Says nothing about it.
///
/// ```
/// use std::time::Duration;
/// use tenancy_core::{PasswordError, Refusal};
///
/// let refusal: Refusal = PasswordError::Spent(Duration::from_secs(6)).into();
/// assert_eq!(refusal.kind().status(), 429);
/// assert_eq!(refusal.retry_after(), Some(Duration::from_secs(6)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Nobody may choose it.
    #[error(transparent)]
    Unfit(#[from] UnfitPassword),
    /// Too many attempts have failed; one is allowed after this time.
    #[error("too many attempts have failed; try again later")]
    Spent(Duration),
    /// Too many passwords are being hashed: try again later.
    #[error("too many passwords are being hashed; try again later")]
    Busy,
    /// The stored hash is not Argon2id, or costs more than is allowed.
    #[error(
        "the stored hash is not Argon2id within the allowed cost; have the person choose another password"
    )]
    Stored,
    /// The machine did not do it.
    #[error("the password could not be hashed")]
    Failed,
}

impl From<SecretError> for PasswordError {
    fn from(error: SecretError) -> Self {
        match error.kind() {
            SecretErrorKind::Busy => Self::Busy,
            SecretErrorKind::Stored => Self::Stored,
            // A secret of this type has a length that can be hashed.
            SecretErrorKind::Length | SecretErrorKind::Failed => Self::Failed,
        }
    }
}

/// What to answer: 400 for a password that nobody may choose, 429 and 503 with a time to wait, else 500.
impl From<PasswordError> for Refusal {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Unfit(UnfitPassword::TooShort { .. }) => {
                Self::new(RefusalKind::Invalid, "password-too-short")
            }
            PasswordError::Unfit(UnfitPassword::Common) => {
                Self::new(RefusalKind::Invalid, "password-common")
            }
            PasswordError::Spent(wait) => {
                Self::new(RefusalKind::RateLimited, "password-attempts-spent")
                    .with_retry_after(wait)
            }
            PasswordError::Busy => SecretError::from(SecretErrorKind::Busy).into(),
            PasswordError::Stored => SecretError::from(SecretErrorKind::Stored).into(),
            PasswordError::Failed => SecretError::from(SecretErrorKind::Failed).into(),
        }
    }
}
