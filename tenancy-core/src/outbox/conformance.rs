//! The conformance suite of outboxes: what [`Outbox`] promises, checked against any implementation.
//!
//! ```
//! use tenancy_core::outbox::{MemoryOutbox, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let outbox = MemoryOutbox::new();
//! conformance::outbox(&outbox, async |events| outbox.emit_all(&events).unwrap()).await;
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a conformance suite fails by panicking, like any test"
)]

use std::time::Duration;

use uuid::Uuid;

use super::{
    Claim, ClaimRequest, ConsumerLag, ConsumerName, Event, Failure, Intervention, MAX_CONSUMERS,
    NewEvent, Outbox, OutboxErrorKind, Start,
};
use crate::{Actor, EventId, TenantId, UserId};

/// Runs the whole suite. The outbox may hold other events; the suite makes its own, and no other consumer may
/// be at work. `emit` writes events in one transaction.
pub async fn outbox<O: Outbox>(outbox: &O, emit: impl AsyncFn(Vec<NewEvent>)) {
    events_come_in_order_with_what_was_written(outbox, &emit).await;
    a_new_consumer_begins_where_it_is_told(outbox, &emit).await;
    positions_are_kept_for_each_consumer(outbox, &emit).await;
    one_process_has_the_lease(outbox).await;
    a_claim_that_was_taken_over_can_do_nothing(outbox, &emit).await;
    an_event_that_ends_its_process_is_tried_and_set_aside(outbox, &emit).await;
    a_failed_event_keeps_its_tenant_waiting_and_nobody_else(outbox, &emit).await;
    an_event_that_is_set_aside_keeps_nobody_waiting(outbox, &emit).await;
    an_operator_retries_and_drops_parked_events(outbox, &emit).await;
    events_of_no_tenant_are_a_lane(outbox, &emit).await;
    lag_says_how_far_behind_a_consumer_is(outbox, &emit).await;
    only_what_every_consumer_has_passed_is_pruned(outbox, &emit).await;
    consumers_are_bounded(outbox).await;
}

/// A consumer of the suite, at work from now on.
struct Consumer<'o, O> {
    outbox: &'o O,
    claim: Claim,
}

fn request() -> ClaimRequest {
    let name = format!("suite-{}", Uuid::now_v7().simple());
    let mut request = ClaimRequest::new(name.parse().unwrap());
    request.start = Start::Now;
    request.pause = Duration::ZERO;
    request.most_tries = 2;
    request
}

fn operator() -> Intervention {
    Intervention::new(Actor::User(UserId::new()), "the conformance suite").unwrap()
}

impl<'o, O: Outbox> Consumer<'o, O> {
    async fn new(outbox: &'o O) -> Self {
        Self::with(outbox, &request()).await
    }

    async fn with(outbox: &'o O, request: &ClaimRequest) -> Self {
        let claim = outbox.claim(request).await.unwrap();
        let claim = claim.expect("nobody else has the lease");
        Self { outbox, claim }
    }

    fn name(&self) -> &ConsumerName {
        &self.claim.consumer
    }

    /// The ids of a page: those to be tried again, and the new ones.
    async fn page(&self) -> (Vec<EventId>, Vec<EventId>) {
        let page = self.outbox.next_page(&self.claim, 100).await.unwrap();
        (ids(&page.parked), ids(&page.new))
    }

    /// The next event, and whether it was parked.
    async fn next(&self) -> Event {
        let page = self.outbox.next_page(&self.claim, 1).await.unwrap();
        let mut all = page.parked.into_iter().chain(page.new);
        all.next().expect("there is an event")
    }

    async fn succeed(&self, event: &Event) {
        let noted = self.outbox.note_success(&self.claim, event.place, None);
        noted.await.unwrap();
    }

    async fn fail(&self, event: &Event, failure: &Failure) {
        let parked = self.outbox.park(&self.claim, event.place, failure, None);
        parked.await.unwrap();
    }

    async fn lag(&self) -> ConsumerLag {
        let all = self.outbox.lag().await.unwrap();
        let own = all.into_iter().find(|lag| lag.consumer == *self.name());
        own.expect("the consumer is listed")
    }

    /// Handles all that is there.
    async fn drain(&self) -> Vec<Event> {
        let mut handled = Vec::new();
        loop {
            let page = self.outbox.next_page(&self.claim, 3).await.unwrap();
            if page.is_empty() {
                return handled;
            }
            for event in page.parked.into_iter().chain(page.new) {
                self.succeed(&event).await;
                handled.push(event);
            }
        }
    }

    async fn remove(self) {
        let by = operator();
        let removed = self.outbox.remove_consumer(&by, self.name()).await;
        removed.unwrap();
    }
}

fn ids(events: &[Event]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// Events of a tenant.
fn of(tenant: TenantId, number: usize) -> Vec<NewEvent> {
    let event = |number| {
        let payload = serde_json::json!({ "number": number, "text": "Ünïcode '\"; --" });
        let event = NewEvent::new("suite.happened", payload).unwrap();
        event.of_tenant(tenant)
    };
    (0..number).map(event).collect()
}

fn written(events: &[NewEvent]) -> Vec<EventId> {
    events.iter().map(NewEvent::id).collect()
}

const AT_ONCE: Duration = Duration::ZERO;

/// Each event comes as it was written, in the order of places, in pages.
pub async fn events_come_in_order_with_what_was_written<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let consumer = Consumer::new(outbox).await;
    let mut events = of(TenantId::new(), 7);
    let cause = Uuid::now_v7();
    events.push(
        NewEvent::new("suite.caused", ())
            .unwrap()
            .of_tenant(TenantId::new())
            .caused_by(cause),
    );
    events.push(NewEvent::new("suite.nobodys", [1, 2]).unwrap());
    emit(events.clone()).await;

    let handled = consumer.drain().await;
    assert_eq!(ids(&handled), written(&events));
    assert!(handled.windows(2).all(|two| two[0].place < two[1].place));
    for (event, new) in handled.iter().zip(&events) {
        assert_eq!(event.tenant, new.tenant());
        assert_eq!(event.kind, new.kind());
        assert_eq!(&event.payload, new.payload());
        assert_eq!(event.caused_by, new.cause());
        assert_eq!(event.try_number, 1);
    }
    assert_eq!(consumer.drain().await, []);
    consumer.remove().await;
}

/// A new consumer sees what is kept, or what comes.
pub async fn a_new_consumer_begins_where_it_is_told<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let before = of(TenantId::new(), 2);
    emit(before.clone()).await;
    let from_now = Consumer::new(outbox).await;
    let mut request = request();
    request.start = Start::Oldest;
    let from_oldest = Consumer::with(outbox, &request).await;
    let after = of(TenantId::new(), 2);
    emit(after.clone()).await;

    assert_eq!(ids(&from_now.drain().await), written(&after));
    let all = ids(&from_oldest.drain().await);
    assert!(all.ends_with(&written(&[before, after].concat())));
    from_now.remove().await;
    from_oldest.remove().await;
}

/// A consumer goes on where it has stopped, whatever others do.
pub async fn positions_are_kept_for_each_consumer<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let (wish, other) = (request(), Consumer::new(outbox).await);
    let consumer = Consumer::with(outbox, &wish).await;
    let events = of(TenantId::new(), 3);
    emit(events.clone()).await;
    let first = consumer.next().await;
    consumer.succeed(&first).await;
    outbox.release(&consumer.claim).await.unwrap();
    assert_eq!(ids(&other.drain().await), written(&events));

    let mut wish = wish;
    wish.holder = Uuid::now_v7();
    let again = Consumer::with(outbox, &wish).await;
    assert_eq!(ids(&again.drain().await), written(&events)[1..]);
    again.remove().await;
    other.remove().await;
}

/// While a process has the lease, no other gets it; the same one may ask again.
pub async fn one_process_has_the_lease<O: Outbox>(outbox: &O) {
    let mut wish = request();
    let first = Consumer::with(outbox, &wish).await;
    let mut others = wish.clone();
    others.holder = Uuid::now_v7();
    assert_eq!(outbox.claim(&others).await.unwrap(), None);
    let again = Consumer::with(outbox, &wish).await;
    assert!(again.claim.number > first.claim.number);
    assert_eq!(outbox.claim(&others).await.unwrap(), None);
    assert!(again.lag().await.held_until.is_some());

    // One that ends at once can be taken over.
    wish.lease = Duration::ZERO;
    let brief = Consumer::with(outbox, &wish).await;
    let other = Consumer::with(outbox, &others).await;
    assert!(other.claim.number > brief.claim.number);
    assert_eq!(outbox.claim(&wish).await.unwrap(), None);

    // One that was given back, too.
    outbox.release(&other.claim).await.unwrap();
    assert_eq!(other.lag().await.held_until, None);
    let back = Consumer::with(outbox, &wish).await;
    back.remove().await;
}

/// A process that lost its lease moves nothing, and hears of it.
pub async fn a_claim_that_was_taken_over_can_do_nothing<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let mut wish = request();
    wish.lease = Duration::ZERO;
    let stalled = Consumer::with(outbox, &wish).await;
    let events = of(TenantId::new(), 2);
    emit(events.clone()).await;
    let mut others = wish.clone();
    others.holder = Uuid::now_v7();
    let other = Consumer::with(outbox, &others).await;
    let in_hand = other.next().await;

    let claim = &stalled.claim;
    let failure = Failure::retry("too late", AT_ONCE);
    let place = in_hand.place;
    let refused = [
        outbox.next_page(claim, 1).await.unwrap_err(),
        outbox.renew(claim).await.unwrap_err(),
        outbox.note_success(claim, place, None).await.unwrap_err(),
        outbox.park(claim, place, &failure, None).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), OutboxErrorKind::LeaseLost, "{error}");
        assert!(error.to_string().contains(wish.consumer.as_str()));
    }
    outbox.release(claim).await.unwrap();
    outbox.renew(&other.claim).await.unwrap();
    assert_eq!(ids(&other.drain().await), written(&events));
    other.remove().await;
}

/// A process that ends in the middle of an event has tried it; after the last try it is set aside.
pub async fn an_event_that_ends_its_process_is_tried_and_set_aside<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let mut wish = request();
    wish.lease = Duration::ZERO;
    let mut consumer = Consumer::with(outbox, &wish).await;
    let (deadly, others) = (of(TenantId::new(), 2), of(TenantId::new(), 1));
    emit([deadly.clone(), others.clone()].concat()).await;
    for tried in 0..wish.most_tries {
        let event = consumer.next().await;
        assert_eq!(event.id, deadly[0].id());
        assert_eq!(event.try_number, tried + 1);
        // Here the process ends, and another one takes over.
        wish.holder = Uuid::now_v7();
        consumer = Consumer::with(outbox, &wish).await;
        let parked = outbox.parked(consumer.name(), 0, 10).await.unwrap();
        assert_eq!(parked[0].tries, tried + 1);
        let error = parked[0].last_error.as_deref().unwrap_or_default();
        assert!(error.contains("the process ended"), "{error}");
    }
    let set_aside = outbox.parked(consumer.name(), 0, 10).await.unwrap();
    assert!(set_aside[0].set_aside_at.is_some());
    let left = ids(&consumer.drain().await);
    assert_eq!(left, [deadly[1].id(), others[0].id()]);

    // A process that had noted what it did, and had begun nothing else, has tried nothing.
    wish.holder = Uuid::now_v7();
    let after = Consumer::with(outbox, &wish).await;
    assert_eq!(outbox.parked(after.name(), 0, 10).await.unwrap().len(), 1);
    after.remove().await;
}

/// A tenant's later events wait behind a failed one, in their order; other tenants' do not.
pub async fn a_failed_event_keeps_its_tenant_waiting_and_nobody_else<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let consumer = Consumer::new(outbox).await;
    let (one, other) = (of(TenantId::new(), 3), of(TenantId::new(), 2));
    let mixed = [&one[0], &other[0], &one[1], &other[1]].map(Clone::clone);
    emit(mixed.to_vec()).await;
    let first = consumer.next().await;
    let later = Duration::from_secs(3600);
    consumer
        .fail(&first, &Failure::retry("not now", later))
        .await;

    // The page ends where the failed tenant's next event is, which is parked before the next page.
    let (parked, new) = consumer.page().await;
    assert_eq!((parked, new), (vec![], vec![other[0].id()]));
    let handled = consumer.drain().await;
    assert_eq!(ids(&handled), written(&other));
    emit(vec![one[2].clone()]).await;
    assert_eq!(consumer.drain().await, []);

    let waiting = outbox.parked(consumer.name(), 0, 10).await.unwrap();
    let place = waiting[0].event.place;
    let as_ids: Vec<_> = waiting.iter().map(|parked| parked.event.id).collect();
    assert_eq!(as_ids, written(&one));
    let tries: Vec<_> = waiting.iter().map(|parked| parked.tries).collect();
    assert_eq!(tries, [1, 0, 0]);
    assert!(waiting[0].due_at.is_some() && waiting[1].due_at.is_none());
    assert_eq!(waiting[0].last_error.as_deref(), Some("not now"));
    let further = outbox.parked(consumer.name(), place, 1).await.unwrap();
    assert_eq!(further[0].event.id, one[1].id());

    // Once it is due, it comes with those behind it, and then the tenant is free.
    outbox
        .retry(&operator(), consumer.name(), place)
        .await
        .unwrap();
    let (parked, new) = consumer.page().await;
    assert_eq!((parked, new), (written(&one), vec![]));
    assert_eq!(ids(&consumer.drain().await), written(&one));
    let free = of(one[0].tenant().unwrap(), 1);
    emit(free.clone()).await;
    let (parked, new) = consumer.page().await;
    assert_eq!((parked, new), (vec![], written(&free)));
    consumer.remove().await;
}

/// An event that is set aside stays visible, and its tenant goes on.
pub async fn an_event_that_is_set_aside_keeps_nobody_waiting<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let consumer = Consumer::new(outbox).await;
    let events = of(TenantId::new(), 3);
    emit(events.clone()).await;
    let first = consumer.next().await;
    consumer
        .fail(&first, &Failure::retry("once", AT_ONCE))
        .await;
    let again = consumer.next().await;
    assert_eq!((again.id, again.try_number), (first.id, 2));
    consumer.fail(&again, &Failure::set_aside("twice")).await;
    assert_eq!(ids(&consumer.drain().await), written(&events)[1..]);
    let parked = outbox.parked(consumer.name(), 0, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].event.id, parked[0].tries), (first.id, 2));
    assert!(parked[0].set_aside_at.is_some() && parked[0].due_at.is_none());
    assert_eq!(parked[0].last_error.as_deref(), Some("twice"));

    // One that is set aside at the first try, too.
    let permanent = of(events[0].tenant().unwrap(), 2);
    emit(permanent.clone()).await;
    let event = consumer.next().await;
    consumer.fail(&event, &Failure::set_aside("never")).await;
    assert_eq!(ids(&consumer.drain().await), [permanent[1].id()]);
    consumer.remove().await;
}

/// What an operator has tried again comes first and with new tries; what one drops does not come again.
pub async fn an_operator_retries_and_drops_parked_events<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let consumer = Consumer::new(outbox).await;
    let events = of(TenantId::new(), 4);
    emit(events.clone()).await;
    let (first, by) = (consumer.next().await, operator());
    consumer.fail(&first, &Failure::set_aside("a")).await;
    let second = consumer.next().await;
    let later = Duration::from_secs(3600);
    consumer.fail(&second, &Failure::retry("b", later)).await;
    assert_eq!(consumer.drain().await, []);

    // The first one comes back in front of the second, and both before those behind.
    outbox
        .retry(&by, consumer.name(), first.place)
        .await
        .unwrap();
    let again = consumer.next().await;
    assert_eq!((again.id, again.try_number), (first.id, 1));
    consumer.fail(&again, &Failure::set_aside("a")).await;
    // The second one was to wait; in front of it, nothing does any more.
    outbox
        .drop_parked(&by, consumer.name(), second.place)
        .await
        .unwrap();
    assert_eq!(ids(&consumer.drain().await), written(&events)[2..]);
    outbox
        .drop_parked(&by, consumer.name(), first.place)
        .await
        .unwrap();
    assert_eq!(outbox.parked(consumer.name(), 0, 10).await.unwrap(), []);
    assert_eq!(consumer.drain().await, []);

    // One that was removed while it was being handled is not parked again.
    emit(of(TenantId::new(), 1)).await;
    let gone = consumer.next().await;
    consumer.fail(&gone, &Failure::retry("c", AT_ONCE)).await;
    consumer.next().await;
    outbox
        .drop_parked(&by, consumer.name(), gone.place)
        .await
        .unwrap();
    consumer.fail(&gone, &Failure::retry("c", AT_ONCE)).await;
    assert_eq!(outbox.parked(consumer.name(), 0, 10).await.unwrap(), []);

    for place in [first.place, u64::MAX] {
        for refused in [
            outbox.retry(&by, consumer.name(), place).await,
            outbox.drop_parked(&by, consumer.name(), place).await,
        ] {
            assert_eq!(refused.unwrap_err().kind(), OutboxErrorKind::NotFound);
        }
    }
    let name = consumer.name().clone();
    consumer.remove().await;
    let refused = outbox.remove_consumer(&by, &name).await.unwrap_err();
    assert_eq!(refused.kind(), OutboxErrorKind::NotFound);
}

/// Events of no tenant wait for each other, and for no tenant.
pub async fn events_of_no_tenant_are_a_lane<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let consumer = Consumer::new(outbox).await;
    let nobodys = || NewEvent::new("suite.nobodys", ()).unwrap();
    let (first, second) = (nobodys(), nobodys());
    let tenants = of(TenantId::new(), 1);
    emit(vec![first, second.clone(), tenants[0].clone()]).await;
    let failed = consumer.next().await;
    assert_eq!(failed.tenant, None);
    let later = Duration::from_secs(3600);
    consumer.fail(&failed, &Failure::retry("x", later)).await;
    assert_eq!(ids(&consumer.drain().await), written(&tenants));
    let by = operator();
    outbox
        .drop_parked(&by, consumer.name(), failed.place)
        .await
        .unwrap();
    assert_eq!(ids(&consumer.drain().await), [second.id()]);
    consumer.remove().await;
}

/// The lag counts what waits, what is parked and what is set aside.
pub async fn lag_says_how_far_behind_a_consumer_is<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let consumer = Consumer::new(outbox).await;
    let before = consumer.lag().await;
    assert_eq!((before.waiting, before.oldest_waiting), (0, None));
    assert_eq!((before.parked, before.set_aside), (0, 0));
    let (one, other) = (of(TenantId::new(), 2), of(TenantId::new(), 2));
    emit([one, other].concat()).await;
    let lag = consumer.lag().await;
    assert_eq!(lag.waiting, 4);
    let first = consumer.next().await;
    assert_eq!(lag.oldest_waiting, Some(first.created_at));
    let later = Duration::from_secs(3600);
    consumer.fail(&first, &Failure::retry("x", later)).await;
    let third = consumer.next().await;
    consumer.fail(&third, &Failure::set_aside("x")).await;
    let lag = consumer.lag().await;
    assert_eq!((lag.waiting, lag.parked, lag.set_aside), (1, 2, 1));
    assert!(lag.place > before.place);
    consumer.remove().await;
}

/// An event goes once it is old, every consumer has passed it, and none has parked it.
pub async fn only_what_every_consumer_has_passed_is_pruned<O: Outbox>(
    outbox: &O,
    emit: &impl AsyncFn(Vec<NewEvent>),
) {
    let (one, other) = (Consumer::new(outbox).await, Consumer::new(outbox).await);
    let events = of(TenantId::new(), 4);
    emit(events.clone()).await;
    let prune = async || {
        let mut removed = 0;
        loop {
            match outbox.prune(Duration::ZERO, 2).await.unwrap() {
                0 => return removed,
                more => removed += more,
            }
        }
    };
    // What is there from before.
    prune().await;
    assert_eq!(one.drain().await.len(), 4);
    assert_eq!(
        prune().await,
        0,
        "one consumer has passed them, and one has not"
    );
    let first = other.next().await;
    other.fail(&first, &Failure::set_aside("x")).await;
    assert_eq!(other.drain().await.len(), 3);
    let day = Duration::from_secs(86_400);
    assert_eq!(outbox.prune(day, 100).await.unwrap(), 0, "they are young");
    assert_eq!(prune().await, 3, "one is parked");
    let parked = outbox.parked(other.name(), 0, 10).await.unwrap();
    assert_eq!(parked[0].event.id, events[0].id());
    let by = operator();
    outbox
        .drop_parked(&by, other.name(), first.place)
        .await
        .unwrap();
    assert_eq!(prune().await, 1);

    // Places go on where they were.
    let more = of(TenantId::new(), 1);
    emit(more.clone()).await;
    assert_eq!(ids(&one.drain().await), written(&more));
    one.remove().await;
    other.remove().await;
}

/// There are no more consumers than the limit, and removing one makes room.
pub async fn consumers_are_bounded<O: Outbox>(outbox: &O) {
    let mut made = Vec::new();
    let refused = loop {
        match outbox.claim(&request()).await {
            Ok(claim) => made.push(claim.expect("it is new").consumer),
            Err(error) => break error,
        }
        assert!(made.len() <= MAX_CONSUMERS, "there is no limit");
    };
    assert_eq!(refused.kind(), OutboxErrorKind::TooManyConsumers);
    assert!(refused.to_string().contains(&MAX_CONSUMERS.to_string()));
    outbox.remove_consumer(&operator(), &made[0]).await.unwrap();
    made[0] = outbox.claim(&request()).await.unwrap().unwrap().consumer;
    for name in &made {
        outbox.remove_consumer(&operator(), name).await.unwrap();
    }
}
