//! What a consumer needs of the place where events are kept.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{ConsumerName, Event, MAX_ERROR_LEN, OutboxError, OutboxErrorKind};
use crate::cut::cut;
use crate::{Actor, Timestamp};

/// Where a consumer begins that is new to the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Start {
    /// At the oldest event that is kept. The default.
    #[default]
    Oldest,
    /// Behind every event that has committed by now.
    Now,
}

/// A process's wish to be the one that runs a consumer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The consumer.
    pub consumer: ConsumerName,
    /// The process.
    pub holder: Uuid,
    /// For how long others leave the consumer alone after the process has last been heard of.
    pub lease: Duration,
    /// Where a new consumer begins.
    pub start: Start,
    /// After how many tries an event is set aside.
    pub most_tries: u32,
    /// How long an event waits that the process before has left in the middle.
    pub pause: Duration,
}

impl ClaimRequest {
    /// A request of a process that is not known yet, with a lease of 30 seconds, 10 tries and a pause of one
    /// second.
    #[must_use]
    pub fn new(consumer: ConsumerName) -> Self {
        Self {
            consumer,
            holder: Uuid::now_v7(),
            lease: Duration::from_secs(30),
            start: Start::default(),
            most_tries: 10,
            pause: Duration::from_secs(1),
        }
    }
}

/// A process's right to run a consumer, until its lease ends and another process takes it over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The consumer.
    pub consumer: ConsumerName,
    /// The number of the claim, greater than that of each earlier one.
    pub number: u64,
    /// For how long each call extends it.
    pub lease: Duration,
}

impl Claim {
    /// A claim, as a store makes it.
    #[must_use]
    pub const fn new(consumer: ConsumerName, number: u64, lease: Duration) -> Self {
        Self {
            consumer,
            number,
            lease,
        }
    }
}

/// What to handle next.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct EventPage {
    /// Events that failed and are to be tried again, each with those of its tenant that wait behind it. If one
    /// fails, the others of its tenant are left out.
    pub parked: Vec<Event>,
    /// New events. If one fails, its tenant's next one ends the page.
    pub new: Vec<Event>,
}

impl EventPage {
    /// A page, as a store makes it.
    #[must_use]
    pub const fn new(parked: Vec<Event>, new: Vec<Event>) -> Self {
        Self { parked, new }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty() && self.new.is_empty()
    }
}

/// What is noted of a try in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What the handler said, cut to 1 KiB.
    pub error: String,
    /// After what time the event is tried again; `None` sets it aside.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure after which the event is tried again.
    #[must_use]
    pub fn retry(error: &str, after: Duration) -> Self {
        Self {
            error: storable(error),
            retry_after: Some(after),
        }
    }

    /// A failure after which the event is set aside.
    #[must_use]
    pub fn set_aside(error: &str) -> Self {
        Self {
            error: storable(error),
            retry_after: None,
        }
    }
}

/// An error as it is stored: not too long, and without what a store has no place for.
fn storable(error: &str) -> String {
    cut(error.replace('\0', "\u{fffd}"), MAX_ERROR_LEN)
}

/// An event that a consumer could not handle, or that waits behind one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ParkedEvent {
    /// The event; its [try number](Event::try_number) is that of the next try.
    pub event: Event,
    /// How often it was tried; 0 for one that waits behind another.
    pub tries: u32,
    /// When it is tried again; `None` for one that waits behind another, or that was set aside.
    pub due_at: Option<Timestamp>,
    /// What the handler said last.
    pub last_error: Option<String>,
    /// Since when it is set aside: not tried any more, and nobody waits behind it.
    pub set_aside_at: Option<Timestamp>,
}

impl ParkedEvent {
    /// A parked event that was not tried yet, as a store makes it.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            tries: 0,
            due_at: None,
            last_error: None,
            set_aside_at: None,
        }
    }
}

/// How far behind a consumer is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerLag {
    /// The consumer.
    pub consumer: ConsumerName,
    /// The place up to which everything was handled or is parked.
    pub place: u64,
    /// How many committed events are behind that place.
    pub waiting: u64,
    /// When the first of them was written. An event of a transaction that is open for long is seen after its
    /// commit only, and is old then.
    pub oldest_waiting: Option<Timestamp>,
    /// How many events are parked to be tried again, with those that wait behind them.
    pub parked: u64,
    /// How many events are set aside.
    pub set_aside: u64,
    /// Until when a process has the lease. If this is past, or `None`, no process runs the consumer.
    pub held_until: Option<Timestamp>,
}

impl ConsumerLag {
    /// A consumer that is behind with nothing, as a store makes it.
    #[must_use]
    pub const fn new(consumer: ConsumerName, place: u64) -> Self {
        Self {
            consumer,
            place,
            waiting: 0,
            oldest_waiting: None,
            parked: 0,
            set_aside: 0,
            held_until: None,
        }
    }
}

/// Who intervenes in an outbox, and why: for the audit trail.
///
/// ```
/// use tenancy_core::{Actor, UserId, outbox::Intervention};
///
/// let me = Actor::User(UserId::new());
/// assert!(Intervention::new(me.clone(), "ticket 4711: the endpoint is gone").is_ok());
/// assert!(Intervention::new(me, " ").is_err());
/// ```
///
/// # Security
/// Nothing here checks that the actor is an operator: guard whatever leads here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intervention {
    actor: Actor,
    reason: String,
}

impl Intervention {
    /// An intervention of somebody, with a reason.
    ///
    /// # Errors
    /// [`OutboxErrorKind::Invalid`] if the reason is blank or has more than 1 KiB.
    pub fn new(actor: Actor, reason: impl Into<String>) -> Result<Self, OutboxError> {
        let reason = reason.into();
        if reason.trim().is_empty() || reason.len() > 1024 || reason.contains('\0') {
            return Err(OutboxError::new(
                OutboxErrorKind::Invalid,
                "an intervention in the outbox needs a reason for the audit trail, of 1 to 1024 bytes and \
                 without NUL",
            ));
        }
        Ok(Self { actor, reason })
    }

    /// Who intervenes.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Where events are kept, as consumers and operators see it.
///
/// Each call with a [`Claim`] extends its lease, and fails with [`OutboxErrorKind::LeaseLost`] once another
/// process has taken the consumer over.
///
/// What an operator looks at, and does:
///
/// ```
///
/// use tenancy_core::outbox::{Intervention, Outbox, OutboxError};
///
/// /// Has everything tried again that was set aside.
/// async fn retry_all(outbox: &dyn Outbox, me: Intervention) -> Result<(), OutboxError> {
///     for lag in outbox.lag().await? {
///         println!("{}: {} wait, {} are set aside", lag.consumer, lag.waiting, lag.set_aside);
///         for parked in outbox.parked(&lag.consumer, 0, 100).await? {
///             if parked.set_aside_at.is_some() {
///                 println!("{:?}", parked.last_error);
///                 outbox.retry(&me, &lag.consumer, parked.event.place).await?;
///             }
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// # Security
/// It shows the events of all tenants.
#[async_trait]
pub trait Outbox: Send + Sync + fmt::Debug {
    /// Claims a consumer for a process; `None` while another process has the lease. Makes the consumer if it is
    /// new.
    ///
    /// If the process before has ended in the middle of an event, that event counts as tried in vain: it is
    /// parked, or set aside after `most_tries`.
    ///
    /// # Errors
    /// [`OutboxErrorKind::TooManyConsumers`] if there are 64 already, or [`OutboxErrorKind::Unavailable`].
    async fn claim(&self, request: &ClaimRequest) -> Result<Option<Claim>, OutboxError>;

    /// What to handle next; at most so many parked events, and as many new ones. Notes the first one as being
    /// handled.
    ///
    /// # Errors
    /// [`OutboxErrorKind::LeaseLost`] or [`OutboxErrorKind::Unavailable`].
    async fn next_page(&self, claim: &Claim, at_most: usize) -> Result<EventPage, OutboxError>;

    /// Extends the lease while a handler takes its time.
    ///
    /// # Errors
    /// [`OutboxErrorKind::LeaseLost`] or [`OutboxErrorKind::Unavailable`].
    async fn renew(&self, claim: &Claim) -> Result<(), OutboxError>;

    /// Notes that the event at a place was handled, moves the position, and notes the event that is handled
    /// next, if there is one: in one transaction.
    ///
    /// # Errors
    /// [`OutboxErrorKind::LeaseLost`] or [`OutboxErrorKind::Unavailable`].
    async fn note_success(
        &self,
        claim: &Claim,
        place: u64,
        next: Option<u64>,
    ) -> Result<(), OutboxError>;

    /// Parks the event at a place, or sets it aside, moves the position, and notes the event that is handled
    /// next: in one transaction.
    ///
    /// # Errors
    /// [`OutboxErrorKind::LeaseLost`] or [`OutboxErrorKind::Unavailable`].
    async fn park(
        &self,
        claim: &Claim,
        place: u64,
        failure: &Failure,
        next: Option<u64>,
    ) -> Result<(), OutboxError>;

    /// Gives the lease back, so that another process need not wait for its end. No error if it was lost.
    ///
    /// # Errors
    /// [`OutboxErrorKind::Unavailable`].
    async fn release(&self, claim: &Claim) -> Result<(), OutboxError>;

    /// The parked events of a consumer behind a place, in their order; 1000 at most.
    ///
    /// # Errors
    /// [`OutboxErrorKind::Unavailable`].
    async fn parked(
        &self,
        consumer: &ConsumerName,
        after: u64,
        at_most: usize,
    ) -> Result<Vec<ParkedEvent>, OutboxError>;

    /// Has a parked event tried again at once, with as many tries as a new one. The tenant's later events wait
    /// behind it, but for those that were handled while it was set aside.
    ///
    /// The audit trail gets an entry `outbox.retry` in the same transaction.
    ///
    /// # Errors
    /// [`OutboxErrorKind::NotFound`] or [`OutboxErrorKind::Unavailable`].
    async fn retry(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
        place: u64,
    ) -> Result<(), OutboxError>;

    /// Removes a parked event: this consumer does not see it any more.
    ///
    /// The audit trail gets an entry `outbox.drop` in the same transaction.
    ///
    /// # Errors
    /// [`OutboxErrorKind::NotFound`] or [`OutboxErrorKind::Unavailable`].
    async fn drop_parked(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
        place: u64,
    ) -> Result<(), OutboxError>;

    /// Removes a consumer that is not used any more, with its position and what it has parked: it would keep
    /// events from being [pruned](Self::prune).
    ///
    /// The audit trail gets an entry `outbox.remove-consumer` in the same transaction.
    ///
    /// # Errors
    /// [`OutboxErrorKind::NotFound`] or [`OutboxErrorKind::Unavailable`].
    async fn remove_consumer(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
    ) -> Result<(), OutboxError>;

    /// How far behind each consumer is, by name.
    ///
    /// # Errors
    /// [`OutboxErrorKind::Unavailable`].
    async fn lag(&self) -> Result<Vec<ConsumerLag>, OutboxError>;

    /// Removes events that are older than `age`, that every consumer has passed and none has parked. Looks at so
    /// many of the oldest, and returns how many it has removed: call it until that is 0. Where there is no
    /// consumer, age alone decides.
    ///
    /// # Errors
    /// [`OutboxErrorKind::Unavailable`].
    async fn prune(&self, age: Duration, at_most: usize) -> Result<u64, OutboxError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_between_two_characters() {
        let failure = Failure::set_aside(&"é".repeat(MAX_ERROR_LEN));
        assert_eq!(failure.error.len(), MAX_ERROR_LEN);
        let failure = Failure::set_aside(&format!("x{}", "é".repeat(MAX_ERROR_LEN)));
        assert_eq!(failure.error.len(), MAX_ERROR_LEN - 1);
        assert_eq!(Failure::set_aside("a\0b").error, "a\u{fffd}b");
    }
}
