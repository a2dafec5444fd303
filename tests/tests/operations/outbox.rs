//! A restore into a younger server, whose transaction ids are lower: consumers see again what they had seen
//! since the dump, and skip nothing.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use tenancy_core::{
    TenantId, async_trait,
    outbox::{Event, EventHandler, HandlerError, NewEvent, OutboxConsumer},
};
use tenancy_sqlx::{PgOutbox, danger::SystemPool};
use tenancy_tests::notes::PASSWORD;

use crate::{aged, bare, programs, run};

#[derive(Clone, Default)]
struct Mailer(Arc<Mutex<Vec<u64>>>);

#[async_trait]
impl EventHandler for Mailer {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let number = event
            .payload
            .get("number")
            .and_then(|number| number.as_u64());
        let number = number.ok_or_else(|| HandlerError::permanent("it has no number"))?;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(number);
        Ok(())
    }
}

/// The outbox at a place, and the numbers that a consumer is given there.
struct Outbox {
    outbox: PgOutbox,
    consumer: OutboxConsumer,
    mailer: Mailer,
}

impl Outbox {
    async fn over(options: PgConnectOptions) -> anyhow::Result<Self> {
        let options = options.username("tenancy_system").password(PASSWORD);
        let outbox = PgOutbox::new(&SystemPool::connect_with(options).await?);
        let mailer = Mailer::default();
        let consumer = OutboxConsumer::builder("mailer", outbox.clone(), mailer.clone());
        Ok(Self {
            consumer: consumer.build()?,
            outbox,
            mailer,
        })
    }

    async fn emit(&self, tenant: TenantId, number: u64) -> anyhow::Result<()> {
        let payload = serde_json::json!({ "number": number });
        let event = NewEvent::new("note.created", payload)?.of_tenant(tenant);
        Ok(self.outbox.emit(&[event]).await?)
    }

    async fn handled(&self) -> anyhow::Result<Vec<u64>> {
        self.consumer.run_until_idle().await?;
        let mut seen = self.mailer.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *seen))
    }
}

#[tokio::test]
async fn consumers_go_on_after_a_restore_and_skip_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("notes.dump");
    let Some(notes) = aged("").await? else {
        return Ok(());
    };
    let original = notes.database.admin_options();
    let before = Outbox::over(original.clone()).await?;
    for number in 1..=2 {
        before.emit(notes.acme.id, number).await?;
    }
    assert_eq!(before.handled().await?, [1, 2]);
    // One that has no place in the order yet is in the dump, too.
    before.emit(notes.acme.id, 3).await?;
    programs::dump(&original, &file).await?;
    before.emit(notes.acme.id, 4).await?;
    assert_eq!(before.handled().await?, [3, 4]);

    for server in bare().await? {
        let admin = server.admin_options();
        let target = admin.clone().database(notes.database.name());
        programs::copy_roles(&original, &admin).await?;
        run(
            &admin,
            &format!("CREATE DATABASE {}", notes.database.name()),
        )
        .await?;
        programs::restore(&target, &file, &[]).await?;

        // Before anybody has run the installer.
        let after = Outbox::over(target).await.context("the restored outbox")?;
        after.emit(notes.acme.id, 5).await?;
        assert_eq!(
            after.handled().await?,
            [3, 5],
            "the fourth is lost with its rows"
        );
        after.emit(notes.acme.id, 6).await?;
        assert_eq!(after.handled().await?, [6]);
    }
    Ok(())
}

/// An older copy of the events' table in the place of the one in use: no place is given a second time.
#[tokio::test]
async fn events_that_were_put_back_into_a_table_in_use_keep_no_new_one_from_coming()
-> anyhow::Result<()> {
    let Some(notes) = aged("").await? else {
        return Ok(());
    };
    let outbox = Outbox::over(notes.database.admin_options()).await?;
    for number in 1..=3 {
        outbox.emit(notes.acme.id, number).await?;
    }
    assert_eq!(outbox.handled().await?, [1, 2, 3]);
    notes
        .as_admin("DELETE FROM tenancy.outbox_events; UPDATE tenancy.outbox_head SET place = 0")
        .await?;
    outbox.emit(notes.acme.id, 4).await?;
    assert_eq!(outbox.handled().await?, [4]);
    Ok(())
}
