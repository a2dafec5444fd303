//! What goes wrong with billing systems.

use std::sync::Arc;

/// Why a billing system was not told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BillingErrorKind {
    /// It did not answer, or asks to wait. Whether it has taken it is not known; send the same again.
    Unavailable,
    /// It has refused, and will again. The message says why.
    Refused,
    /// It has answered something that can't be read.
    Unreadable,
}

/// Why a billing system was not told something. For logs, and for no caller.
///
/// ```
/// use tenancy_usage::billing::{BillingError, BillingErrorKind};
///
/// let error = BillingError::unavailable("connection reset");
/// assert_eq!(error.kind(), BillingErrorKind::Unavailable);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct BillingError {
    kind: BillingErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl BillingError {
    /// It did not answer, for this cause.
    #[must_use]
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            kind: BillingErrorKind::Unavailable,
            message: "the billing system did not answer".to_owned(),
            source: Some(Arc::from(cause.into())),
        }
    }

    /// An error of this kind.
    #[must_use]
    pub fn new(kind: BillingErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> BillingErrorKind {
        self.kind
    }
}

/// Why a webhook is not believed, or not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WebhookErrorKind {
    /// The header of the signature is not one. Answer 400.
    Malformed,
    /// No signature is right. Answer 400.
    WrongSignature,
    /// It was signed longer ago, or further ahead, than is tolerated: it may be a replay. Answer 400.
    OutOfTime,
    /// It is signed, and its body can't be read. Answer 400, and look into it.
    Unreadable,
}

/// Why a webhook is not believed, or not understood. The message has nothing of what was sent.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::billing::{WebhookErrorKind, WebhookSecret};
///
/// let secret = WebhookSecret::new("whsec_0123456789abcdef0123456789abcdef")?;
/// let error = secret.verify("t=1,v1=00", b"{}", Timestamp::from_unix_seconds(1)).unwrap_err();
/// assert_eq!(error.kind(), WebhookErrorKind::WrongSignature);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WebhookError {
    kind: WebhookErrorKind,
    message: &'static str,
}

impl WebhookError {
    pub(super) const fn new(kind: WebhookErrorKind, message: &'static str) -> Self {
        Self { kind, message }
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> WebhookErrorKind {
        self.kind
    }
}
