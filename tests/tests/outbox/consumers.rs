//! Consumers that crash, stall and meet poisoned events.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tenancy_core::{
    Actor, EventId, UserId, async_trait,
    outbox::{
        Event, EventHandler, HandlerError, Intervention, NewEvent, Outbox as _, OutboxConsumer,
        OutboxErrorKind,
    },
};
use tenancy_sqlx::{PgOutbox, danger::SystemPool};
use tenancy_tests::notes::{Notes, PASSWORD, on_every_server};
use tokio::sync::{Notify, Semaphore};

use crate::about;

const NAME: &str = "mailer";

/// Where the process of its own finds the database.
const CHILD: &str = "TENANCY_OUTBOX_CHILD";

/// Notes what it is given, and fails what it was told to.
#[derive(Clone, Default)]
struct Mailer {
    seen: Arc<Mutex<Vec<(EventId, u32)>>>,
    poisoned: Arc<Mutex<HashSet<EventId>>>,
}

impl Mailer {
    fn seen(&self) -> Vec<(EventId, u32)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen)
    }

    fn is_poisoned(&self, id: EventId) -> bool {
        let poisoned = self.poisoned.lock().unwrap_or_else(PoisonError::into_inner);
        poisoned.contains(&id)
    }
}

#[async_trait]
impl EventHandler for Mailer {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let seen = (event.id, event.try_number);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        match self.is_poisoned(event.id) {
            true => Err(HandlerError::new("it is poisoned")),
            false => Ok(()),
        }
    }
}

fn consumer(
    system: &SystemPool,
    handler: impl EventHandler + 'static,
) -> anyhow::Result<OutboxConsumer> {
    Ok(
        OutboxConsumer::builder(NAME, PgOutbox::new(system), handler)
            .most_tries(3)
            .backoff(Duration::ZERO, Duration::ZERO)
            .lease(Duration::from_secs(86_400))
            .build()?,
    )
}

/// Two events of `acme`, and one of `globex`.
async fn emitted(notes: &Notes) -> anyhow::Result<[NewEvent; 3]> {
    let acme = |number| anyhow::Ok(about("note.created", number)?.of_tenant(notes.acme.id));
    let globex = about("note.created", 1)?.of_tenant(notes.globex.id);
    let events = [acme(1)?, acme(2)?, globex];
    PgOutbox::new(&notes.system).emit(&events).await?;
    anyhow::Ok(events)
}

/// What happens to the lease of a process that is not heard of for long.
async fn let_the_lease_end(notes: &Notes) -> anyhow::Result<()> {
    notes
        .as_admin("UPDATE tenancy.outbox_consumers SET held_until = now() - interval '1 second'")
        .await
}

/// Says that it has handled an event, and never comes to note it.
struct Victim;

#[async_trait]
impl EventHandler for Victim {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        println!("\nhandled {}", event.id);
        std::future::pending().await
    }
}

/// No test by itself: the process that the next one kills.
#[tokio::test]
async fn the_process_that_is_killed() -> anyhow::Result<()> {
    let Ok(url) = std::env::var(CHILD) else {
        return Ok(());
    };
    let system = SystemPool::connect(&url).await?;
    consumer(&system, Victim)?.run_until_idle().await?;
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_killed_before_it_notes_hands_the_event_over_again() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let events = emitted(notes).await?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "consumers::the_process_that_is_killed",
                "--nocapture",
            ])
            .env(
                CHILD,
                notes.database.url_as("tenancy_system", Some(PASSWORD)),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().context("its output")?;
        let handled = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.find_map(|line| line.strip_prefix("handled ").map(str::to_owned))
        });
        let handled = handled
            .await?
            .context("it ended before it handled anything")?;
        ensure!(handled == events[0].id().to_string());
        child.kill()?;
        child.wait()?;

        // Nobody gets in its way before the lease has ended.
        let mailer = Mailer::default();
        let next = consumer(&notes.system, mailer.clone())?;
        let waits = next.run_until_idle().await.unwrap_err();
        ensure!(waits.kind() == OutboxErrorKind::LeaseLost, "{waits}");
        let_the_lease_end(notes).await?;
        ensure!(next.run_until_idle().await? == 3);
        let [first, second, other] = events.map(|event| event.id());
        let seen = mailer.seen();
        ensure!(seen.contains(&(first, 2)), "{seen:?}");
        let own: Vec<_> = seen.into_iter().filter(|(id, _)| *id != other).collect();
        ensure!(own == [(first, 2), (second, 1)], "{own:?}");
        ensure!(next.run_until_idle().await? == 0);
        Ok(())
    })
    .await
}

/// Waits for leave to go on.
#[derive(Clone)]
struct Stalling {
    reached: Arc<Notify>,
    leave: Arc<Semaphore>,
}

#[async_trait]
impl EventHandler for Stalling {
    async fn handle(&self, _: &Event) -> Result<(), HandlerError> {
        self.reached.notify_one();
        self.leave.acquire().await?.forget();
        Ok(())
    }
}

#[tokio::test]
async fn a_process_that_stalls_is_taken_over_and_notes_nothing_afterwards() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let events = emitted(notes).await?;
        let stalling = Stalling {
            reached: Arc::new(Notify::new()),
            leave: Arc::new(Semaphore::new(0)),
        };
        let stalled = consumer(&notes.system, stalling.clone())?;
        let stalled = tokio::spawn(async move { stalled.run_until_idle().await });
        stalling.reached.notified().await;
        let_the_lease_end(notes).await?;

        let mailer = Mailer::default();
        let next = consumer(&notes.system, mailer.clone())?;
        ensure!(next.run_until_idle().await? == 3);
        let more = about("note.created", 3)?.of_tenant(notes.acme.id);
        next.run_until_idle().await?;
        PgOutbox::new(&notes.system)
            .emit(std::slice::from_ref(&more))
            .await?;
        let before = place(notes).await?;
        stalling.leave.add_permits(10);
        let ended = stalled.await?.unwrap_err();
        ensure!(ended.kind() == OutboxErrorKind::LeaseLost, "{ended}");
        ensure!(place(notes).await? == before);
        ensure!(next.run_until_idle().await? == 1);
        let seen: Vec<_> = mailer.seen().into_iter().map(|(id, _)| id).collect();
        ensure!(seen.len() == 4 && seen.contains(&events[0].id()) && seen[3] == more.id());
        Ok(())
    })
    .await
}

async fn place(notes: &Notes) -> anyhow::Result<i64> {
    let mut admin = notes.database.admin().await?;
    let place = sqlx::query_scalar("SELECT place FROM tenancy.outbox_consumers WHERE name = $1");
    Ok(place.bind(NAME).fetch_one(&mut admin).await?)
}

#[tokio::test]
async fn a_poisoned_event_is_set_aside_and_an_operator_has_it_tried_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let outbox = PgOutbox::new(&notes.system);
        let [poisoned, behind, other] = emitted(notes).await?.map(|event| event.id());
        let mailer = Mailer::default();
        mailer.poisoned.lock().unwrap_or_else(PoisonError::into_inner).insert(poisoned);
        let consumer = consumer(&notes.system, mailer.clone())?;
        ensure!(consumer.run_until_idle().await? == 2);
        let seen = mailer.seen();
        let tries = [(poisoned, 1), (poisoned, 2), (poisoned, 3), (behind, 1)];
        let own: Vec<_> = seen.iter().copied().filter(|(id, _)| *id != other).collect();
        ensure!(own == tries, "{own:?}");
        // The other tenant's event did not wait for the last try.
        ensure!(seen.iter().position(|(id, _)| *id == other) < Some(4), "{seen:?}");
        let parked = outbox.parked(consumer.name(), 0, 10).await?;
        ensure!(parked.len() == 1 && parked[0].event.id == poisoned && parked[0].tries == 3);
        ensure!(parked[0].last_error.as_deref() == Some("it is poisoned"));
        ensure!(parked[0].set_aside_at.is_some());

        // The handler was mended.
        mailer.poisoned.lock().unwrap_or_else(PoisonError::into_inner).clear();
        ensure!(consumer.run_until_idle().await? == 0);
        let operator = UserId::new();
        let by = Intervention::new(Actor::User(operator), "ticket 4711")?;
        let place = parked[0].event.place;
        outbox.retry(&by, consumer.name(), place).await?;
        ensure!(consumer.run_until_idle().await? == 1);
        ensure!(mailer.seen() == [(poisoned, 1)]);

        // An intervention that finds nothing records nothing.
        ensure!(outbox.drop_parked(&by, consumer.name(), place).await.is_err());
        outbox.remove_consumer(&by, consumer.name()).await?;
        let mut admin = notes.database.admin().await?;
        let recorded: Vec<Recorded> =
            sqlx::query_as(
                "SELECT action, tenant_id, actor_id, reason, targets FROM tenancy.audit_entries ORDER BY id",
            )
            .fetch_all(&mut admin)
            .await?;
        let target = serde_json::json!({ "type": "consumer", "id": NAME });
        let event = serde_json::json!({ "type": "event", "id": poisoned });
        let (who, why) = (Some(operator.as_uuid()), "ticket 4711".to_owned());
        let acme = Some(notes.acme.id.as_uuid());
        let expected = [
            ("outbox.retry".to_owned(), acme, who, why.clone(), serde_json::json!([target, event])),
            ("outbox.remove-consumer".to_owned(), None, who, why, serde_json::json!([target])),
        ];
        ensure!(recorded == expected, "{recorded:?}");
        Ok(())
    })
    .await
}

/// The clock of the server is set back by an hour after an event has failed.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_failed_event_waiting() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let [poisoned, ..] = emitted(notes).await?.map(|event| event.id());
        let mailer = Mailer::default();
        mailer
            .poisoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(poisoned);
        let consumer = OutboxConsumer::builder(NAME, PgOutbox::new(&notes.system), mailer.clone())
            .backoff(Duration::from_secs(60), Duration::from_secs(60))
            .build()?;
        ensure!(consumer.run_until_idle().await? == 1);
        mailer
            .poisoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        ensure!(consumer.run_until_idle().await? == 0, "it is not due yet");
        notes
            .as_admin(
                "UPDATE tenancy.outbox_parked SET due_at = due_at + interval '1 hour',
                     tried_at = tried_at + interval '1 hour'",
            )
            .await?;
        ensure!(consumer.run_until_idle().await? == 2);
        Ok(())
    })
    .await
}

/// Action, tenant, actor, reason and targets of an entry.
type Recorded = (
    String,
    Option<uuid::Uuid>,
    Option<uuid::Uuid>,
    String,
    serde_json::Value,
);

/// Many events of a tenant that waits are parked without being read one by one, and come in their order.
#[tokio::test]
async fn a_tenant_with_thousands_of_events_behind_a_failed_one_keeps_nobody_waiting()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let outbox = PgOutbox::new(&notes.system);
        let [poisoned, ..] = emitted(notes).await?.map(|event| event.id());
        let mailer = Mailer::default();
        mailer
            .poisoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(poisoned);
        let waits_long = OutboxConsumer::builder(NAME, outbox.clone(), mailer.clone())
            .backoff(Duration::from_secs(3600), Duration::from_secs(3600))
            .build()?;
        ensure!(waits_long.run_until_idle().await? == 1);
        mailer.seen();

        let one = |number| anyhow::Ok(about("note.created", number)?.of_tenant(notes.acme.id));
        let behind = (0..3_000).map(one).collect::<Result<Vec<_>, _>>()?;
        outbox.emit(&behind).await?;
        let last = about("note.created", 1)?.of_tenant(notes.globex.id);
        outbox.emit(std::slice::from_ref(&last)).await?;
        ensure!(waits_long.run_until_idle().await? == 1);
        ensure!(mailer.seen() == [(last.id(), 1)]);
        let lag = outbox.lag().await?;
        ensure!((lag[0].parked, lag[0].waiting) == (3_002, 0), "{lag:?}");

        mailer
            .poisoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let parked = outbox.parked(waits_long.name(), 0, 1).await?;
        let by = Intervention::new(Actor::System, "a test")?;
        outbox
            .retry(&by, waits_long.name(), parked[0].event.place)
            .await?;
        ensure!(waits_long.run_until_idle().await? == 3_002);
        let seen: Vec<_> = mailer.seen().into_iter().map(|(id, _)| id).collect();
        let expected: Vec<_> = behind.iter().map(NewEvent::id).collect();
        ensure!(seen[2..] == expected, "out of order");
        Ok(())
    })
    .await
}
