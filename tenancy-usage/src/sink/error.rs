//! Why a sink gave no answer.

use std::sync::Arc;

/// Why a sink gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UsageErrorKind {
    /// The store did not answer. Whether it counted is not known; send the same events again.
    Unavailable,
    /// The query can't be answered.
    InvalidQuery,
    /// This sink does not do what is asked of it, now or later.
    Unsupported,
    /// What is asked for is not allowed: a retention that drops what is still needed.
    Refused,
    /// A custom metric can't be told, or there is no room for it.
    InvalidMetric,
}

/// Why a sink gave no answer. The cause is for logs, and is sent to no caller.
///
/// ```
/// use tenancy_usage::{UsageError, UsageErrorKind};
///
/// let error = UsageError::unavailable("connection refused");
/// assert_eq!(error.kind(), UsageErrorKind::Unavailable);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    kind: UsageErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl UsageError {
    /// The store did not answer, for this cause.
    #[must_use]
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            kind: UsageErrorKind::Unavailable,
            message: "the store of usage did not answer".to_owned(),
            source: Some(Arc::from(cause.into())),
        }
    }

    /// The query can't be answered, as the message says.
    #[must_use]
    pub fn invalid_query(message: impl Into<String>) -> Self {
        Self {
            kind: UsageErrorKind::InvalidQuery,
            message: message.into(),
            source: None,
        }
    }

    /// This sink does not do what is asked of it, as the message says.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self {
            kind: UsageErrorKind::Unsupported,
            ..Self::invalid_query(message)
        }
    }

    /// What is asked for is not allowed, as the message says.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            kind: UsageErrorKind::Refused,
            ..Self::invalid_query(message)
        }
    }

    /// A custom metric can't be defined, as the message says.
    #[must_use]
    pub fn invalid_metric(message: impl Into<String>) -> Self {
        Self {
            kind: UsageErrorKind::InvalidMetric,
            ..Self::invalid_query(message)
        }
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> UsageErrorKind {
        self.kind
    }
}
