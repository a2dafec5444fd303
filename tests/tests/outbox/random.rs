//! Random schedules of writers that commit late, overlap and roll back, and of consumers that fail, crash and
//! are taken over; and a model of what must come.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenancy_core::{
    EventId, TenantContext, TenantId, async_trait,
    outbox::{
        Claim, ClaimRequest, Event, EventHandler, Failure, HandlerError, NewEvent, Outbox as _,
        OutboxConsumer,
    },
};
use tenancy_sqlx::{PgOutbox, TenantPool, TenantPoolOptions, TenantTx};
use tenancy_tests::{
    Random, long,
    notes::{Notes, on_every_server},
    seed,
};
use uuid::Uuid;

use crate::about;

/// When an event was written and when its transaction committed, in steps; and whose it is.
struct Written {
    tenant: TenantId,
    transaction: usize,
    at: usize,
    committed: Option<usize>,
}

struct Open {
    number: usize,
    tx: TenantTx,
    events: Vec<EventId>,
}

/// One consumer, that handles one event at a step.
struct Consumer {
    request: ClaimRequest,
    claim: Option<Claim>,
    /// What is left of its page.
    left: Vec<Event>,
    failed: HashSet<TenantId>,
    /// What was handled, each time.
    handled: Vec<EventId>,
}

struct Schedule<'n> {
    random: Random,
    pool: TenantPool,
    outbox: PgOutbox,
    contexts: [TenantContext; 2],
    open: Vec<Open>,
    written: HashMap<EventId, Written>,
    consumers: Vec<Consumer>,
    step: usize,
    transactions: usize,
    _notes: &'n Notes,
}

impl<'n> Schedule<'n> {
    async fn new(notes: &'n Notes, seed: u64) -> anyhow::Result<Self> {
        let consumer = |number: usize| {
            let mut request = ClaimRequest::new(format!("reader-{number}").parse()?);
            // Whoever asks takes over.
            request.lease = Duration::ZERO;
            request.pause = Duration::ZERO;
            request.most_tries = 1_000_000;
            anyhow::Ok(Consumer {
                request,
                claim: None,
                left: Vec::new(),
                failed: HashSet::new(),
                handled: Vec::new(),
            })
        };
        Ok(Self {
            random: Random::new(seed),
            pool: notes
                .pool(TenantPoolOptions::new().max_connections(20))
                .await?,
            outbox: PgOutbox::new(&notes.system),
            contexts: [notes.context(&notes.acme), notes.context(&notes.globex)],
            open: Vec::new(),
            written: HashMap::new(),
            consumers: (0..3).map(consumer).collect::<Result<_, _>>()?,
            step: 0,
            transactions: 0,
            _notes: notes,
        })
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let begins = self.open.is_empty() || (self.open.len() < 8 && self.random.below(3) == 0);
        if begins {
            let context = self.random.one_of(&self.contexts).context("two")?;
            let tx = self.pool.begin(context).await?;
            let number = self.transactions;
            self.transactions += 1;
            self.open.push(Open {
                number,
                tx,
                events: Vec::new(),
            });
        }
        let at = usize::try_from(self.random.below(self.open.len() as u64))?;
        match self.random.below(8) {
            0 => self.end(at, false).await,
            1 | 2 => self.end(at, true).await,
            3 => {
                // Written in a savepoint and undone.
                let undone = about("note.undone", 0)?;
                let open = self.open.get_mut(at).context("open")?;
                let mut inner = open.tx.savepoint().await?;
                inner.emit(&undone).await?;
                inner.rollback().await?;
                Ok(())
            }
            drawn => {
                let event = about("note.created", self.step as u64)?;
                let open = self.open.get_mut(at).context("open")?;
                if drawn == 4 {
                    let mut inner = open.tx.savepoint().await?;
                    inner.emit(&event).await?;
                    inner.release().await?;
                } else {
                    open.tx.emit(&event).await?;
                }
                open.events.push(event.id());
                let written = Written {
                    tenant: open.tx.context().tenant_id(),
                    transaction: open.number,
                    at: self.step,
                    committed: None,
                };
                self.written.insert(event.id(), written);
                Ok(())
            }
        }
    }

    async fn end(&mut self, at: usize, commits: bool) -> anyhow::Result<()> {
        let open = self.open.swap_remove(at);
        if !commits {
            return Ok(open.tx.rollback().await?);
        }
        open.tx.commit().await?;
        for id in open.events {
            let written = self.written.get_mut(&id).context("written")?;
            written.committed = Some(self.step);
        }
        Ok(())
    }

    /// One step of a consumer. Returns whether there was anything to do.
    async fn consume(&mut self, number: usize, is_calm: bool) -> anyhow::Result<bool> {
        let fate = if is_calm { 9 } else { self.random.below(10) };
        let page_size = 1 + usize::try_from(self.random.below(5))?;
        let consumer = self.consumers.get_mut(number).context("a consumer")?;
        let claim = match &consumer.claim {
            Some(claim) => claim.clone(),
            None => {
                let claim = self.outbox.claim(&consumer.request).await?;
                let claim = claim.context("it can be taken over")?;
                consumer.claim = Some(claim.clone());
                claim
            }
        };
        if consumer.left.is_empty() {
            let page = self.outbox.next_page(&claim, page_size).await?;
            consumer.failed.clear();
            // Only the parked ones may be left out; new ones end the page.
            consumer.left = match page.parked.is_empty() {
                true => page.new,
                false => page.parked,
            };
            consumer.left.reverse();
        }
        let Some(event) = consumer.left.pop() else {
            return Ok(false);
        };
        let tenant = event.tenant.context("each has a tenant")?;
        if consumer.failed.contains(&tenant) {
            consumer.left.clear();
            return Ok(true);
        }
        let next = consumer.left.last().map(|next| next.place);
        match fate {
            // The handler fails.
            0 | 1 => {
                let failure = Failure::retry("by chance", Duration::ZERO);
                self.outbox
                    .park(&claim, event.place, &failure, next)
                    .await?;
                consumer.failed.insert(tenant);
            }
            // The process ends before the handler, or after it and before the note.
            2 | 3 => {
                if fate == 3 {
                    consumer.handled.push(event.id);
                }
                consumer.claim = None;
                consumer.left.clear();
                consumer.request.holder = Uuid::now_v7();
            }
            _ => {
                self.outbox.note_success(&claim, event.place, next).await?;
                consumer.handled.push(event.id);
            }
        }
        Ok(true)
    }

    async fn play(&mut self, steps: usize) -> anyhow::Result<()> {
        // The outbox knows all three before anything is removed.
        for number in 0..self.consumers.len() {
            self.consume(number, true).await?;
        }
        for _ in 0..steps {
            self.step += 1;
            match self.random.below(5) {
                0 | 1 => {
                    let number = usize::try_from(self.random.below(3))?;
                    self.consume(number, false).await?;
                }
                2 if self.random.below(20) == 0 => {
                    self.outbox.prune(Duration::ZERO, 10).await?;
                }
                _ => self.write().await?,
            }
        }
        while !self.open.is_empty() {
            self.step += 1;
            let commits = self.random.below(2) == 0;
            self.end(0, commits).await?;
        }
        for number in 0..self.consumers.len() {
            while self.consume(number, true).await? {}
        }
        Ok(())
    }

    /// What the model says.
    fn check(&self) -> anyhow::Result<()> {
        let committed: HashSet<EventId> = self
            .written
            .iter()
            .filter(|(_, written)| written.committed.is_some())
            .map(|(id, _)| *id)
            .collect();
        let mut orders = Vec::new();
        for consumer in &self.consumers {
            let mut firsts = Vec::new();
            let mut seen = HashSet::new();
            for id in &consumer.handled {
                ensure!(
                    committed.contains(id),
                    "an event of a rolled-back change was told"
                );
                if seen.insert(*id) {
                    firsts.push(*id);
                }
            }
            let missing = committed.difference(&seen).count();
            ensure!(
                missing == 0,
                "{missing} of {} events are missing",
                committed.len()
            );
            orders.push(self.in_order(&firsts)?);
        }
        // Every consumer sees the same order.
        let first = orders.first();
        ensure!(
            orders.iter().all(|order| Some(order) == first),
            "two orders"
        );
        Ok(())
    }

    /// The order of each tenant's events, which contradicts no transaction.
    fn in_order(&self, firsts: &[EventId]) -> anyhow::Result<HashMap<TenantId, Vec<EventId>>> {
        let mut lanes: HashMap<TenantId, Vec<EventId>> = HashMap::new();
        for id in firsts {
            let event = self.written.get(id).context("written")?;
            let lane = lanes.entry(event.tenant).or_default();
            for before in lane.iter() {
                let before = self.written.get(before).context("written")?;
                let same = event.transaction == before.transaction;
                let is_late = event
                    .committed
                    .is_some_and(|committed| committed < before.at);
                ensure!(
                    !(is_late || same && event.at < before.at),
                    "what was committed before another was written comes after it"
                );
            }
            lane.push(*id);
        }
        Ok(lanes)
    }
}

#[tokio::test]
async fn whatever_writers_and_consumers_do_each_committed_event_comes_in_order()
-> anyhow::Result<()> {
    let (rounds, steps) = if long() { (10, 4_000) } else { (1, 600) };
    let seed = seed()?;
    for round in 0..rounds {
        on_every_server(async |notes| {
            let mut schedule = Schedule::new(notes, seed.wrapping_add(round)).await?;
            schedule.play(steps).await?;
            schedule
                .check()
                .with_context(|| format!("TENANCY_SEED={}", seed.wrapping_add(round)))
        })
        .await?;
    }
    Ok(())
}

/// Notes what it sees, and fails some of it the first time.
#[derive(Clone, Default)]
struct Witness {
    seen: Arc<Mutex<Vec<(EventId, TenantId, u64)>>>,
}

#[async_trait]
impl EventHandler for Witness {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let tenant = event
            .tenant
            .ok_or_else(|| HandlerError::permanent("no tenant"))?;
        if event.place.is_multiple_of(7) && event.try_number == 1 {
            return Err(HandlerError::new("the first time"));
        }
        let seen = (event.id, tenant, event.place);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        Ok(())
    }
}

/// Writers at the same time, each in transactions of its own, while two consumers read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_consumers_at_the_same_time_lose_nothing() -> anyhow::Result<()> {
    let transactions = if long() { 600 } else { 60 };
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(12))
            .await?;
        let outbox = PgOutbox::new(&notes.system);
        let mut readers = Vec::new();
        for name in ["one", "two"] {
            let witness = Witness::default();
            let consumer = OutboxConsumer::builder(name, outbox.clone(), witness.clone())
                .page_size(7)
                .backoff(Duration::ZERO, Duration::ZERO)
                .poll_interval(Duration::from_millis(1))
                .build()?;
            let stop = Arc::new(tokio::sync::Notify::new());
            let stopped = stop.clone();
            let running = tokio::spawn({
                let consumer = consumer.clone();
                async move { consumer.run(stopped.notified()).await }
            });
            readers.push((consumer, witness, running, stop));
        }
        let writers = (0..6_u64).map(|number| {
            let pool = pool.clone();
            let tenant = if number % 2 == 0 {
                &notes.acme
            } else {
                &notes.globex
            };
            let context = notes.context(tenant);
            tokio::spawn(async move {
                let mut random = Random::new(number);
                let mut committed: Vec<Vec<NewEvent>> = Vec::new();
                for _ in 0..transactions {
                    let mut tx = pool.begin(&context).await?;
                    let mut events = Vec::new();
                    for _ in 0..=random.below(3) {
                        let event = about("note.created", number)?;
                        tx.emit(&event).await?;
                        events.push(event);
                    }
                    match random.below(4) {
                        0 => tx.rollback().await?,
                        _ => {
                            tx.commit().await?;
                            committed.push(events);
                        }
                    }
                }
                anyhow::Ok(committed)
            })
        });
        let mut all = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            all.push(writer.await??);
        }
        for (consumer, witness, running, stop) in readers {
            // It stops in the middle, and what is left is handled by another run.
            stop.notify_one();
            running.await?;
            consumer.run_until_idle().await?;
            let seen =
                std::mem::take(&mut *witness.seen.lock().unwrap_or_else(PoisonError::into_inner));
            let at: HashMap<EventId, usize> = seen
                .iter()
                .enumerate()
                .map(|(at, (id, ..))| (*id, at))
                .collect();
            let committed = all.iter().flatten().flatten().count();
            ensure!(
                at.len() == committed && seen.len() == committed,
                "{} of {committed}: {:?}",
                seen.len(),
                outbox.lag().await?
            );
            // Each writer's events are in the order in which it wrote them, and each tenant's in that of places.
            for events in &all {
                let order: Vec<_> = events
                    .iter()
                    .flatten()
                    .map(|event| at.get(&event.id()))
                    .collect();
                ensure!(order.is_sorted(), "a writer's events are out of order");
            }
            for tenant in [notes.acme.id, notes.globex.id] {
                let places = seen
                    .iter()
                    .filter(|(_, of, _)| *of == tenant)
                    .map(|(.., place)| place);
                ensure!(places.is_sorted(), "a tenant's events are out of order");
            }
        }
        Ok(())
    })
    .await
}
