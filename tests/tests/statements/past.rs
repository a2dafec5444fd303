//! Connections that are borrowed as sqlx's own: the log does not see their statements, and says so.

use sqlx::{Connection as _, PgConnection};
use tenancy_core::{UserId, outbox::NewEvent};
use tenancy_sqlx::{PgAuditSink, danger, statement_log::StatementOutcome};
use tenancy_tests::notes::{self, on_every_server};

use crate::world::Logged;

async fn count(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(connection)
        .await
}

#[tokio::test]
async fn a_borrowed_connection_is_told_of_with_its_place() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = Logged::whole(notes).await?;
        let context = notes.context(&notes.acme);
        let mut tx = logged.pool.begin(&context).await?;
        for _ in 0..3 {
            // One place, once.
            assert_eq!(count(&mut tx).await?, 3);
        }
        tx.emit(&NewEvent::new("note.created", serde_json::json!({}))?)
            .await?;
        let mut nested = tx.begin().await?;
        assert_eq!(count(&mut nested).await?, 3);
        nested.rollback().await?;
        tx.rollback().await?;

        let records = logged.records().await;
        assert_eq!(records.len(), 2, "{records:#?}");
        assert_eq!(logged.log.stats().past, 2);
        for record in &records {
            assert_eq!(record.outcome, StatementOutcome::Unseen);
            assert_eq!((record.tenant, &*record.shape), (Some(notes.acme.id), "…"));
            let place = record.place.unwrap();
            assert!(place.file().ends_with("past.rs"), "{place}");
            assert!(!record.outside);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn across_tenants_it_is_flagged_because_it_may_touch_anything() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged =
            Logged::start(notes, tenancy_sqlx::TenantPoolOptions::new(), |log| log).await?;
        let system = notes.system.clone().with_statement_log(&logged.log).await?;
        let tenancy = notes::builder(notes.directory.clone())?
            .audit(PgAuditSink::new(&notes.system))
            .build()?;
        let mut all = danger::across_tenants(&tenancy, &system, UserId::new(), "a look").await?;
        assert_eq!(count(&mut all).await?, 8);
        let records = logged.records().await;
        assert_eq!(records.len(), 1);
        assert!(records[0].outside && records[0].outcome == StatementOutcome::Unseen);
        Ok(())
    })
    .await
}
