//! An outbox in memory: for tests and first steps.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Claim, ClaimRequest, ConsumerLag, ConsumerName, Event, EventPage, Failure, Intervention,
    MAX_CONSUMERS, NewEvent, Outbox, OutboxError, OutboxErrorKind, ParkedEvent, Start,
};
use crate::{AuditEntry, ChangeRecord, Clock, EventId, Outcome, SystemClock, TenantId, Timestamp};

/// Keeps events, positions and parked events in memory; clones share them.
///
/// Events have their place as soon as they are written.
///
/// ```
/// use tenancy_core::{
///     async_trait,
///     outbox::{Event, EventHandler, HandlerError, MemoryOutbox, NewEvent, OutboxConsumer},
/// };
///
/// struct Print;
///
/// #[async_trait]
/// impl EventHandler for Print {
///     async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
///         println!("{}: {}", event.kind, event.payload);
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let outbox = MemoryOutbox::new();
/// outbox.emit(&NewEvent::new("note.created", serde_json::json!({ "note": "4711" }))?)?;
/// let consumer = OutboxConsumer::builder("print", outbox, Print).build()?;
/// consumer.run_until_idle().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryOutbox {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    events: BTreeMap<u64, Event>,
    ids: HashSet<EventId>,
    last: u64,
    consumers: BTreeMap<ConsumerName, Consumer>,
    trail: Vec<AuditEntry>,
    entries: HashSet<Uuid>,
}

#[derive(Default)]
struct Consumer {
    place: u64,
    claim: u64,
    held: Option<(Uuid, Timestamp)>,
    in_hand: Option<u64>,
    parked: BTreeMap<u64, ParkedEvent>,
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryOutbox {
    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty outbox whose leases and pauses end by this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::default(),
            clock,
        }
    }

    /// What the clock says.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes an event.
    ///
    /// # Errors
    /// [`OutboxErrorKind::Invalid`] if it was written before.
    pub fn emit(&self, event: &NewEvent) -> Result<(), OutboxError> {
        self.emit_all(std::slice::from_ref(event))
    }

    /// Writes several events, or none.
    ///
    /// # Errors
    /// [`OutboxErrorKind::Invalid`] if one of them was written before.
    pub fn emit_all(&self, events: &[NewEvent]) -> Result<(), OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        let mut ids = HashSet::new();
        let is_known =
            |event: &&NewEvent| state.ids.contains(&event.id()) || !ids.insert(event.id());
        if let Some(known) = events.iter().find(is_known) {
            let message = format!("the event {} was written before", known.id());
            return Err(OutboxError::new(OutboxErrorKind::Invalid, message));
        }
        for event in events {
            state.last += 1;
            state.ids.insert(event.id());
            let place = state.last;
            state.events.insert(place, Event::new(event, place, now));
        }
        Ok(())
    }

    /// Writes what a change has to say: its entry, and its events.
    pub(crate) fn commit(&self, record: &ChangeRecord) -> Result<(), OutboxError> {
        self.emit_all(&record.events)?;
        self.add_entry(record.entry.clone());
        Ok(())
    }

    /// Adds an entry to the trail, once.
    pub(crate) fn add_entry(&self, entry: AuditEntry) {
        let mut state = self.state();
        if state.entries.insert(entry.id) {
            state.trail.push(entry);
        }
    }

    /// The entries of the trail, in the order in which they were written.
    #[must_use]
    pub fn trail(&self) -> Vec<AuditEntry> {
        self.state().trail.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a parked event, and records who did.
    fn intervene(
        &self,
        by: &Intervention,
        action: &'static str,
        name: &ConsumerName,
        place: u64,
        change: impl FnOnce(&mut Consumer, ParkedEvent, Timestamp),
    ) -> Result<(), OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        let consumer = state.consumers.get_mut(name);
        let found = consumer.and_then(|consumer| {
            let parked = consumer.parked.remove(&place)?;
            Some((consumer, parked))
        });
        let Some((consumer, parked)) = found else {
            return Err(no_parked_event(name, place));
        };
        let (event, tenant) = (parked.event.id, parked.event.tenant);
        change(consumer, parked, now);
        consumer.mend_lane(tenant, now);
        let mut entry = entry(by, action, name, now).about("event", event);
        entry.tenant = tenant;
        state.trail.push(entry);
        Ok(())
    }
}

impl State {
    fn held(&mut self, claim: &Claim, now: Timestamp) -> Result<&mut Consumer, OutboxError> {
        match self.consumers.get_mut(&claim.consumer) {
            Some(consumer) if consumer.claim == claim.number => match &mut consumer.held {
                Some((_, until)) => {
                    *until = now + claim.lease;
                    Ok(consumer)
                }
                None => Err(OutboxError::lease_lost(&claim.consumer)),
            },
            _ => Err(OutboxError::lease_lost(&claim.consumer)),
        }
    }

    fn fail(&mut self, name: &ConsumerName, place: u64, failure: &Failure, now: Timestamp) {
        let (Some(consumer), Some(event)) = (self.consumers.get_mut(name), self.events.get(&place))
        else {
            return;
        };
        // Somebody has removed it meanwhile.
        if place <= consumer.place && !consumer.parked.contains_key(&place) {
            return;
        }
        let parked = consumer
            .parked
            .entry(place)
            .or_insert_with(|| ParkedEvent::new(event.clone()));
        parked.tries += 1;
        parked.last_error = Some(failure.error.clone());
        parked.due_at = failure.retry_after.map(|pause| now + pause);
        parked.set_aside_at = failure.retry_after.is_none().then_some(now);
        consumer.place = consumer.place.max(place);
        consumer.mend_lane(event.tenant, now);
    }
}

impl Consumer {
    fn waits(&self, tenant: Option<TenantId>) -> bool {
        self.lane(tenant).next().is_some()
    }

    /// What is parked of a tenant and not set aside, in its order.
    fn lane(&self, tenant: Option<TenantId>) -> impl Iterator<Item = &ParkedEvent> {
        self.parked
            .values()
            .filter(move |parked| parked.event.tenant == tenant && parked.set_aside_at.is_none())
    }

    /// Has the first event of a lane, and no other, say when it is tried again.
    fn mend_lane(&mut self, tenant: Option<TenantId>, now: Timestamp) {
        let mut is_first = true;
        for parked in self.parked.values_mut() {
            if parked.event.tenant == tenant && parked.set_aside_at.is_none() {
                let due = parked.due_at.unwrap_or(now);
                parked.due_at = is_first.then_some(due);
                is_first = false;
            }
        }
    }
}

fn entry(
    by: &Intervention,
    action: &'static str,
    name: &ConsumerName,
    now: Timestamp,
) -> AuditEntry {
    AuditEntry::new(now, action, Outcome::Allowed)
        .actor(by.actor().clone())
        .reason(by.reason().to_owned())
        .about("consumer", name)
}

fn no_parked_event(consumer: &ConsumerName, place: u64) -> OutboxError {
    OutboxError::new(
        OutboxErrorKind::NotFound,
        format!("the consumer `{consumer}` has no parked event at place {place}"),
    )
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn claim(&self, request: &ClaimRequest) -> Result<Option<Claim>, OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        let name = &request.consumer;
        if !state.consumers.contains_key(name) {
            if state.consumers.len() >= MAX_CONSUMERS {
                return Err(OutboxError::too_many_consumers());
            }
            let place = match request.start {
                Start::Oldest => 0,
                Start::Now => state.last,
            };
            let consumer = Consumer {
                place,
                ..Consumer::default()
            };
            state.consumers.insert(name.clone(), consumer);
        }
        let Some(consumer) = state.consumers.get_mut(name) else {
            return Ok(None);
        };
        let is_anothers = consumer
            .held
            .is_some_and(|(holder, _)| holder != request.holder);
        if is_anothers && consumer.held.is_some_and(|(_, until)| until > now) {
            return Ok(None);
        }
        consumer.held = Some((request.holder, now + request.lease));
        consumer.claim += 1;
        let number = consumer.claim;
        let left = consumer.in_hand.take().filter(|_| is_anothers);
        if let Some(place) = left {
            let tried = consumer.parked.get(&place).map_or(0, |parked| parked.tries) + 1;
            let error = "the process ended, or lost its lease, while it handled the event";
            let failure = match tried < request.most_tries {
                true => Failure::retry(error, request.pause),
                false => Failure::set_aside(error),
            };
            state.fail(name, place, &failure, now);
        }
        Ok(Some(Claim::new(name.clone(), number, request.lease)))
    }

    async fn next_page(&self, claim: &Claim, at_most: usize) -> Result<EventPage, OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.held(claim, now)?;
        let State {
            events, consumers, ..
        } = &mut *state;
        let Some(consumer) = consumers.get_mut(&claim.consumer) else {
            return Ok(EventPage::default());
        };
        while let Some((place, event)) = events.range(consumer.place + 1..).next()
            && consumer.waits(event.tenant)
        {
            consumer
                .parked
                .insert(*place, ParkedEvent::new(event.clone()));
            consumer.place = *place;
        }
        let mut due: Vec<_> = consumer
            .parked
            .values()
            .filter(|parked| parked.due_at.is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|parked| (parked.due_at, parked.event.place));
        let parked = due
            .into_iter()
            .flat_map(|first| consumer.lane(first.event.tenant))
            .take(at_most)
            .map(|parked| parked.event.clone().at_try(parked.tries + 1))
            .collect();
        let new = events
            .range(consumer.place + 1..)
            .map(|(_, event)| event)
            .take(at_most)
            .take_while(|event| !consumer.waits(event.tenant))
            .cloned()
            .collect();
        let page = EventPage::new(parked, new);
        consumer.in_hand = page
            .parked
            .first()
            .or(page.new.first())
            .map(|event| event.place);
        Ok(page)
    }

    async fn renew(&self, claim: &Claim) -> Result<(), OutboxError> {
        self.state().held(claim, self.clock.now()).map(drop)
    }

    async fn note_success(
        &self,
        claim: &Claim,
        place: u64,
        next: Option<u64>,
    ) -> Result<(), OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        let consumer = state.held(claim, now)?;
        if let Some(parked) = consumer.parked.remove(&place) {
            consumer.mend_lane(parked.event.tenant, now);
        }
        consumer.place = consumer.place.max(place);
        consumer.in_hand = next;
        Ok(())
    }

    async fn park(
        &self,
        claim: &Claim,
        place: u64,
        failure: &Failure,
        next: Option<u64>,
    ) -> Result<(), OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.held(claim, now)?.in_hand = next;
        state.fail(&claim.consumer, place, failure, now);
        Ok(())
    }

    async fn release(&self, claim: &Claim) -> Result<(), OutboxError> {
        if let Ok(consumer) = self.state().held(claim, self.clock.now()) {
            consumer.held = None;
            consumer.in_hand = None;
        }
        Ok(())
    }

    async fn parked(
        &self,
        consumer: &ConsumerName,
        after: u64,
        at_most: usize,
    ) -> Result<Vec<ParkedEvent>, OutboxError> {
        let state = self.state();
        let Some(consumer) = state.consumers.get(consumer) else {
            return Ok(Vec::new());
        };
        let of_next_try = |parked: &ParkedEvent| {
            let mut parked = parked.clone();
            parked.event.try_number = parked.tries + 1;
            parked
        };
        let behind = consumer.parked.range(after.saturating_add(1)..);
        Ok(behind
            .take(at_most.min(1000))
            .map(|(_, parked)| of_next_try(parked))
            .collect())
    }

    async fn retry(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
        place: u64,
    ) -> Result<(), OutboxError> {
        self.intervene(
            by,
            "outbox.retry",
            consumer,
            place,
            |consumer, mut parked, now| {
                parked.tries = 0;
                parked.due_at = Some(now);
                parked.set_aside_at = None;
                consumer.parked.insert(place, parked);
            },
        )
    }

    async fn drop_parked(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
        place: u64,
    ) -> Result<(), OutboxError> {
        self.intervene(by, "outbox.drop", consumer, place, |_, _, _| ())
    }

    async fn remove_consumer(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
    ) -> Result<(), OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.consumers.remove(consumer).is_none() {
            let message = format!("there is no consumer `{consumer}`");
            return Err(OutboxError::new(OutboxErrorKind::NotFound, message));
        }
        let entry = entry(by, "outbox.remove-consumer", consumer, now);
        state.trail.push(entry);
        Ok(())
    }

    async fn lag(&self) -> Result<Vec<ConsumerLag>, OutboxError> {
        let state = self.state();
        let lag = |(name, consumer): (&ConsumerName, &Consumer)| {
            let mut lag = ConsumerLag::new(name.clone(), consumer.place);
            lag.waiting = state.last.saturating_sub(consumer.place);
            let mut behind = state.events.range(consumer.place + 1..);
            lag.oldest_waiting = behind.next().map(|(_, event)| event.created_at);
            for parked in consumer.parked.values() {
                match parked.set_aside_at {
                    None => lag.parked += 1,
                    Some(_) => lag.set_aside += 1,
                }
            }
            lag.held_until = consumer.held.map(|(_, until)| until);
            lag
        };
        Ok(state.consumers.iter().map(lag).collect())
    }

    async fn prune(&self, age: Duration, at_most: usize) -> Result<u64, OutboxError> {
        let now = self.clock.now();
        let mut state = self.state();
        let passed = state
            .consumers
            .values()
            .map(|consumer| consumer.place)
            .min();
        let is_parked = |place| {
            let mut consumers = state.consumers.values();
            consumers.any(|consumer| consumer.parked.contains_key(place))
        };
        let gone: Vec<u64> = state
            .events
            .range(..=passed.unwrap_or(u64::MAX))
            .filter(|(place, _)| !is_parked(place))
            .take(at_most)
            .filter(|(_, event)| event.created_at <= now - age)
            .map(|(place, _)| *place)
            .collect();
        for place in &gone {
            state.events.remove(place);
        }
        Ok(gone.len() as u64)
    }
}

impl fmt::Debug for MemoryOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutbox")
            .field("events", &self.state().events.len())
            .finish_non_exhaustive()
    }
}
