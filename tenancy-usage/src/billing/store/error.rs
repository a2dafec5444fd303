//! Why a store of billing did not do what it was asked.

use std::sync::Arc;

use crate::{credit::LedgerError, credit::LedgerErrorKind, invoice::RatingError};

/// Why a store of billing did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BillingStoreErrorKind {
    /// The store did not answer. Whether it was done is not known; ask for the same again.
    Unavailable,
    /// What is asked for can't be meant, or can't be kept. The message says why.
    Refused,
    /// It was done before, otherwise. What was done stands.
    Conflict,
    /// What is kept can't be read: a newer release has written it, or somebody has changed it.
    Unreadable,
}

/// Why a store of billing did not do what it was asked. Nothing was changed, but for
/// [`Unavailable`](BillingStoreErrorKind::Unavailable). For logs, and for no caller.
///
/// ```
/// use tenancy_usage::billing::{BillingStoreError, BillingStoreErrorKind};
///
/// let error = BillingStoreError::unavailable("connection refused");
/// assert_eq!(error.kind(), BillingStoreErrorKind::Unavailable);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct BillingStoreError {
    kind: BillingStoreErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl BillingStoreError {
    /// The store did not answer, for this cause.
    #[must_use]
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(Arc::from(cause.into())),
            ..Self::new(
                BillingStoreErrorKind::Unavailable,
                "the store of billing did not answer",
            )
        }
    }

    /// An error of this kind.
    #[must_use]
    pub fn new(kind: BillingStoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// What is kept has not this field, or something else there.
    #[must_use]
    pub fn unreadable(what: &str, field: &str) -> Self {
        Self::new(
            BillingStoreErrorKind::Unreadable,
            format!(
                "the field `{field}` of {what} is missing, or is not what this release writes there"
            ),
        )
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(BillingStoreErrorKind::Refused, message)
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> BillingStoreErrorKind {
        self.kind
    }
}

impl From<LedgerError> for BillingStoreError {
    fn from(error: LedgerError) -> Self {
        let kind = match error.kind() {
            LedgerErrorKind::Conflict => BillingStoreErrorKind::Conflict,
            LedgerErrorKind::Invalid => BillingStoreErrorKind::Refused,
        };
        Self::new(kind, error.to_string())
    }
}

/// An invoice that is kept can't be read.
impl From<RatingError> for BillingStoreError {
    fn from(error: RatingError) -> Self {
        Self::new(
            BillingStoreErrorKind::Unreadable,
            format!("an invoice that is kept can't be read: {error}"),
        )
    }
}
