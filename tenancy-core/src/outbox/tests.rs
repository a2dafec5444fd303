//! The consumer over an outbox in memory, whose time stands still until it is moved.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

use super::{
    Event, EventHandler, HandlerError, MemoryOutbox, NewEvent, Outbox as _, OutboxConsumer,
    OutboxConsumerBuilder, OutboxErrorKind, conformance,
};
use crate::{EventId, ManualClock, TenantId};

/// What a handler does with an event.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Fails,
    FailsForGood,
    Panics,
    NeverEnds,
}

/// Notes what it sees, and does with some events what it was told.
#[derive(Clone, Default)]
struct Script {
    fates: Arc<Mutex<HashMap<EventId, Fate>>>,
    seen: Arc<Mutex<Vec<(EventId, u32)>>>,
    reached: Arc<Notify>,
}

impl Script {
    fn with(self, event: &NewEvent, fate: Fate) -> Self {
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        fates.insert(event.id(), fate);
        drop(fates);
        self
    }

    fn seen(&self) -> Vec<(EventId, u32)> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl EventHandler for Script {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        self.seen.lock().unwrap().push((event.id, event.try_number));
        self.reached.notify_one();
        let fate = self.fates.lock().unwrap().get(&event.id).copied();
        match fate {
            None => Ok(()),
            Some(Fate::Fails) => Err(std::io::Error::other("it fails").into()),
            Some(Fate::FailsForGood) => Err(HandlerError::permanent("it fails for good")),
            Some(Fate::Panics) => panic!("it panics"),
            Some(Fate::NeverEnds) => std::future::pending().await,
        }
    }
}

fn events(tenant: TenantId, number: usize) -> Vec<NewEvent> {
    let event = |_| NewEvent::new("note.created", ()).unwrap().of_tenant(tenant);
    (0..number).map(event).collect()
}

struct World {
    clock: Arc<ManualClock>,
    outbox: MemoryOutbox,
    one: Vec<NewEvent>,
    other: Vec<NewEvent>,
}

/// Two events of each of two tenants.
fn world() -> World {
    let clock = Arc::new(ManualClock::now_frozen());
    let outbox = MemoryOutbox::with_clock(clock.clone());
    let (one, other) = (events(TenantId::new(), 2), events(TenantId::new(), 2));
    outbox.emit_all(&one).unwrap();
    outbox.emit_all(&other).unwrap();
    World {
        clock,
        outbox,
        one,
        other,
    }
}

fn consumer(outbox: &MemoryOutbox, script: &Script) -> OutboxConsumer {
    OutboxConsumer::builder("mailer", outbox.clone(), script.clone())
        .most_tries(3)
        .build()
        .unwrap()
}

#[tokio::test]
async fn memory_conforms() {
    let outbox = MemoryOutbox::new();
    conformance::outbox(&outbox, async |events| outbox.emit_all(&events).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_panics_or_never_ends_fails_its_event_alone() {
    for (fate, said) in [
        (Fate::Fails, "it fails"),
        (Fate::Panics, "the handler panicked"),
        (Fate::NeverEnds, "the handler took longer than 60s"),
    ] {
        let World {
            clock,
            outbox,
            one,
            other,
        } = world();
        let script = Script::default().with(&one[0], fate);
        let consumer = consumer(&outbox, &script);
        assert_eq!(consumer.run_until_idle().await.unwrap(), 2, "{fate:?}");
        let parked = outbox.parked(consumer.name(), 0, 10).await.unwrap();
        assert_eq!(parked[0].last_error.as_deref(), Some(said));
        assert_eq!(parked[1].event.id, one[1].id());

        // The pause doubles, and ends with the third try.
        for (pause, tries) in [(1, 2), (2, 3)] {
            assert_eq!(consumer.run_until_idle().await.unwrap(), 0);
            clock.advance(Duration::from_secs(pause));
            let handled = consumer.run_until_idle().await.unwrap();
            assert_eq!(handled, u64::from(tries == 3), "{fate:?}");
        }
        let parked = outbox.parked(consumer.name(), 0, 10).await.unwrap();
        assert_eq!((parked.len(), parked[0].tries), (1, 3));
        assert!(parked[0].set_aside_at.is_some());
        let expected = [
            (one[0].id(), 1),
            (other[0].id(), 1),
            (other[1].id(), 1),
            (one[0].id(), 2),
            (one[0].id(), 3),
            (one[1].id(), 1),
        ];
        assert_eq!(script.seen(), expected);
    }
}

#[tokio::test]
async fn an_error_for_good_sets_its_event_aside_at_once() {
    let world = world();
    let script = Script::default().with(&world.one[0], Fate::FailsForGood);
    let consumer = consumer(&world.outbox, &script);
    assert_eq!(consumer.run_until_idle().await.unwrap(), 3);
    let parked = world.outbox.parked(consumer.name(), 0, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert!(parked[0].set_aside_at.is_some());
    assert_eq!(parked[0].last_error.as_deref(), Some("it fails for good"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_event_in_hand_end_and_the_next_process_goes_on() {
    struct Slow(Script, Arc<Notify>);

    #[async_trait]
    impl EventHandler for Slow {
        async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
            self.0.handle(event).await?;
            self.1.notified().await;
            Ok(())
        }
    }

    let world = world();
    let (script, go) = (Script::default(), Arc::new(Notify::new()));
    let slow = Slow(script.clone(), go.clone());
    let first = OutboxConsumer::builder("mailer", world.outbox.clone(), slow)
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move { first.run(async { drop(stopped.await) }).await });
    script.reached.notified().await;
    drop(stop);
    go.notify_one();
    running.await.unwrap();
    assert_eq!(script.seen(), [(world.one[0].id(), 1)]);

    // The lease was given back: nobody waits for its end, and nothing counts as a try.
    let script = Script::default();
    let next = consumer(&world.outbox, &script);
    assert_eq!(next.run_until_idle().await.unwrap(), 3);
    assert_eq!(script.seen()[0], (world.one[1].id(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_waits_for_a_handler_keeps_its_lease() {
    let world = world();
    let script = Script::default().with(&world.one[0], Fate::NeverEnds);
    let slow = OutboxConsumer::builder("mailer", world.outbox.clone(), script.clone())
        .lease(Duration::from_secs(3))
        .handler_timeout(Duration::from_secs(86_400))
        .build()
        .unwrap();
    let running = tokio::spawn(async move { slow.run_until_idle().await });
    script.reached.notified().await;
    let other = consumer(&world.outbox, &Script::default());
    for _ in 0..100 {
        // Less than the lease by the store's clock; the sleep lets the other renew.
        world.clock.advance(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let refused = other.run_until_idle().await.unwrap_err();
        assert_eq!(refused.kind(), OutboxErrorKind::LeaseLost);
    }

    // The store's clock runs ahead: another process takes over, and this one ends in the middle of its handler.
    world.clock.advance(Duration::from_secs(4));
    let script = Script::default();
    let other = consumer(&world.outbox, &script);
    assert_eq!(other.run_until_idle().await.unwrap(), 2);
    let ended = running.await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), OutboxErrorKind::LeaseLost);
}

#[tokio::test(start_paused = true)]
async fn the_consumer_goes_on_by_itself_when_events_come_and_the_lease_is_lost() {
    let world = world();
    let handled = Arc::new(AtomicUsize::new(0));
    struct Count(Arc<AtomicUsize>, Arc<Notify>);
    #[async_trait]
    impl EventHandler for Count {
        async fn handle(&self, _: &Event) -> Result<(), HandlerError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1.notify_one();
            Ok(())
        }
    }
    let each = Arc::new(Notify::new());
    let count = Count(handled.clone(), each.clone());
    let running = OutboxConsumer::builder("mailer", world.outbox.clone(), count)
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    while handled.load(Ordering::SeqCst) < 4 {
        each.notified().await;
    }
    // Somebody else has the lease for a while, and handles what comes meanwhile.
    world.clock.advance(Duration::from_secs(60));
    let script = Script::default();
    let other = consumer(&world.outbox, &script);
    world.outbox.emit_all(&events(TenantId::new(), 1)).unwrap();
    assert_eq!(other.run_until_idle().await.unwrap(), 1);
    world.outbox.emit_all(&events(TenantId::new(), 1)).unwrap();
    while handled.load(Ordering::SeqCst) < 5 {
        each.notified().await;
    }
    drop(stop);
    running.await.unwrap();
    assert_eq!(handled.load(Ordering::SeqCst), 5);
}

#[test]
fn options_that_can_not_work_are_refused_by_name() {
    type Change = fn(OutboxConsumerBuilder) -> OutboxConsumerBuilder;
    let build = |name: &str, change: Change| {
        let builder = OutboxConsumer::builder(name, MemoryOutbox::new(), Script::default());
        let built: Result<OutboxConsumer, _> = change(builder).build();
        built
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(build("mailer", |builder| builder), "");
    assert!(build("The mailer", |builder| builder).contains("`The mailer` is no name"));
    for (change, option) in [
        ((|builder| builder.page_size(0)) as Change, "`page_size`"),
        (|builder| builder.page_size(1001), "`page_size`"),
        (|builder| builder.most_tries(0), "`most_tries`"),
        (
            |builder| builder.lease(Duration::from_millis(999)),
            "`lease`",
        ),
        (
            |builder| builder.backoff(Duration::from_secs(2), Duration::from_secs(1)),
            "`backoff`",
        ),
        (
            |builder| builder.handler_timeout(Duration::ZERO),
            "`handler_timeout`",
        ),
        (
            |builder| builder.poll_interval(Duration::ZERO),
            "`poll_interval`",
        ),
    ] {
        let refused = build("mailer", change);
        assert!(
            refused.contains("`mailer`") && refused.contains(option),
            "{refused}"
        );
    }
}
