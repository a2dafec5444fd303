//! The outbox: events that commit or roll back with the change that they tell of, and consumers that read
//! them.
//!
//! A change writes an event in its own transaction. An [`OutboxConsumer`] reads it afterwards and hands it to an
//! [`EventHandler`]: one that calls a webhook, sends a mail, or fills a search index.
//!
//! # What a consumer can rely on
//! * **At least once.** Each committed event is handed to each consumer until its handler succeeds. A process
//!   that ends after it handled an event and before that was noted hands it over again. A handler knows it by
//!   its [id](Event::id).
//! * **In order per tenant.** A tenant's events come in the order of their [place](Event::place). If one fails,
//!   the tenant's later events wait behind it, and other tenants' events go on. Events of no tenant are a lane
//!   of their own.
//! * **No late commit is skipped, and nothing is told of what was rolled back.**
//! * **A poisoned event ends by itself.** After [so many tries](OutboxConsumerBuilder::most_tries) it is set
//!   aside, and the tenant's later events go on. Operators see it in [`Outbox::parked`].
//! * **One process at a time.** Several processes may run a consumer of one name: one has the lease, the
//!   others wait. When that process ends, or can't reach the store, the lease ends after its
//!   [time](OutboxConsumerBuilder::lease).
//!
//! # Example
//! ```
//! use tenancy_core::{TenantId, async_trait};
//! use tenancy_core::outbox::{
//!     Event, EventHandler, HandlerError, MemoryOutbox, NewEvent, OutboxConsumer,
//! };
//!
//! struct Mailer;
//!
//! #[async_trait]
//! impl EventHandler for Mailer {
//!     async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
//!         if event.kind == "note.shared" {
//!             println!("a mail about {}", event.payload["note"]);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let outbox = MemoryOutbox::new();
//! let shared = NewEvent::new("note.shared", serde_json::json!({ "note": "4711" }))?;
//! outbox.emit(&shared.of_tenant(TenantId::new()))?;
//!
//! let mailer = OutboxConsumer::builder("mailer", outbox, Mailer).build()?;
//! let handled = mailer.run_until_idle().await?;
//! assert_eq!(handled, 1);
//! # Ok(())
//! # }
//! ```

mod batch;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod consumer;
mod error;
mod event;
mod handler;
mod memory;
mod name;
mod shutdown;
mod store;
#[cfg(test)]
mod tests;

pub use consumer::{OutboxConsumer, OutboxConsumerBuilder};
pub use error::{OutboxError, OutboxErrorKind};
pub use event::{Event, InvalidEvent, NewEvent};
pub use handler::{EventHandler, HandlerError};
pub use memory::MemoryOutbox;
pub use name::{ConsumerName, InvalidConsumerName};
pub use store::{
    Claim, ClaimRequest, ConsumerLag, EventPage, Failure, Intervention, Outbox, ParkedEvent, Start,
};

/// How many consumers an outbox has at most.
pub const MAX_CONSUMERS: usize = 64;

/// How many bytes an event's payload has at most, as JSON without spaces.
pub const MAX_PAYLOAD_LEN: usize = 64 * 1024;

/// How many bytes of a handler's error are kept at most.
pub const MAX_ERROR_LEN: usize = 1024;
