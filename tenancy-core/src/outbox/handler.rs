//! What a consumer does with an event.

use std::fmt;

use async_trait::async_trait;

use super::Event;

/// Handles the events of a consumer.
///
/// An event may come again: after a process ended before its success was noted, and after a copy of the database
/// was restored. Make handling it twice the same as handling it once, such as by keeping the
/// [id](Event::id) with what was done, or by sending it along as an idempotency key.
///
/// A handler of the wrong kind of event returns `Ok(())`: each consumer sees all events.
///
/// ```
/// use tenancy_core::{async_trait, outbox::{Event, EventHandler, HandlerError}};
///
/// struct Welcome;
///
/// #[async_trait]
/// impl EventHandler for Welcome {
///     async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
///         if event.kind != "member.added" {
///             return Ok(());
///         }
///         let Some(address) = event.payload["email"].as_str() else {
///             // No further try can succeed.
///             return Err(HandlerError::permanent("the event has no address"));
///         };
///         send(address).await?;
///         Ok(())
///     }
/// }
/// # async fn send(_: &str) -> Result<(), std::io::Error> { Ok(()) }
/// ```
#[async_trait]
pub trait EventHandler: Send + Sync {
    /// Handles one event.
    ///
    /// The future may be dropped: when it takes longer than the
    /// [limit](super::OutboxConsumerBuilder::handler_timeout), when the lease is lost, and when the consumer is
    /// dropped. A panic counts as a failure.
    ///
    /// # Errors
    /// A [`HandlerError`], after which the event is tried again later.
    async fn handle(&self, event: &Event) -> Result<(), HandlerError>;
}

/// Why an event was not handled.
///
/// Any error converts into one by `?`, with the errors that caused it in its text.
///
/// ```
/// use tenancy_core::outbox::HandlerError;
///
/// let later = HandlerError::new("the mail server answered 421");
/// assert!(!later.is_permanent());
/// // Not tried again: an operator has to look at it.
/// let never = HandlerError::permanent("the event has no address");
/// assert!(never.is_permanent());
/// ```
///
/// # Security
/// The text is stored, 1 KiB of it, and shown to operators. Put no secrets into it.
pub struct HandlerError {
    message: String,
    is_permanent: bool,
}

impl HandlerError {
    /// A failure after which another try may succeed.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            is_permanent: false,
        }
    }

    /// A failure after which no other try can succeed: the event is set aside at once.
    #[must_use]
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            is_permanent: true,
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether no other try can succeed.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.is_permanent
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            let text = next.to_string();
            // Many errors repeat the text of their cause.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = next.source();
        }
        Self::new(message)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
