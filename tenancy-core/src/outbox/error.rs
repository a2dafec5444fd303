//! Errors of outboxes.

use std::sync::Arc;

/// Why an outbox did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutboxErrorKind {
    /// Another process has taken the consumer over, or the lease was given back. Claim it anew.
    LeaseLost,
    /// There is no such consumer, or no such parked event.
    NotFound,
    /// There are as many consumers as there may be.
    TooManyConsumers,
    /// A value can't be stored.
    Invalid,
    /// The store did not answer, or refused.
    Unavailable,
}

/// An outbox that did not do what it was asked; nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct OutboxError {
    kind: OutboxErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl OutboxError {
    /// An error with a message that names what is wrong.
    #[must_use]
    pub fn new(kind: OutboxErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The lease of a consumer was lost.
    #[must_use]
    pub fn lease_lost(consumer: &super::ConsumerName) -> Self {
        let message =
            format!("the lease of the consumer `{consumer}` was taken over or given back");
        Self::new(OutboxErrorKind::LeaseLost, message)
    }

    /// There are as many consumers as there may be.
    #[must_use]
    pub fn too_many_consumers() -> Self {
        let most = super::MAX_CONSUMERS;
        let message = format!(
            "there are {most} consumers of the outbox, as many as there may be; remove one that is not used \
             any more"
        );
        Self::new(OutboxErrorKind::TooManyConsumers, message)
    }

    /// The store did not answer.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source: Arc<dyn std::error::Error + Send + Sync> = Arc::from(source.into());
        Self {
            kind: OutboxErrorKind::Unavailable,
            message: format!("the outbox did not answer: {source}"),
            source: Some(source),
        }
    }

    /// Why it was not done.
    #[must_use]
    pub const fn kind(&self) -> OutboxErrorKind {
        self.kind
    }
}
