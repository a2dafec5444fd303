//! The directory, the feed and the audit trail.

use tenancy_core::{
    AuditEntry, AuditSink as _, Clock as _, Outcome, SystemClock, UserId, conformance,
};
use tenancy_sqlx::{
    PgAuditSink, PgDirectory,
    danger::{SystemPool, across_tenants},
};
use tenancy_tests::notes::PASSWORD;

use crate::through_every_kind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_conforms() -> anyhow::Result<()> {
    through_every_kind(2, async |through| {
        let system = through
            .notes
            .database
            .options_as("tenancy_system", Some(PASSWORD));
        let system = SystemPool::connect_with(through.bouncer.reroute(system)).await?;
        let directory = PgDirectory::connect_with(through.app_options(), 4)
            .await?
            .with_system(&system);
        conformance::directory(&directory).await;
        conformance::keys(&directory).await;
        directory.close().await;
        system.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn audit_entries_are_stored_and_operators_see_every_tenant() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let notes = through.notes;
        let system = notes.database.options_as("tenancy_system", Some(PASSWORD));
        let system = SystemPool::connect_with(through.bouncer.reroute(system)).await?;
        let sink = PgAuditSink::new(&system);
        for n in 0..5 {
            let entry = AuditEntry::new(SystemClock.now(), format!("test.{n}"), Outcome::Allowed);
            sink.record_durably(entry).await?;
        }
        let count = "SELECT count(*) FROM tenancy.audit_entries WHERE action LIKE 'test.%'";
        let stored: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut notes.database.admin().await?)
            .await?;
        assert_eq!(stored, 5);

        let mut all = across_tenants(&notes.tenancy, &system, UserId::new(), "a test").await?;
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
            .fetch_one(&mut *all)
            .await?;
        assert_eq!(seen, 8);
        Ok(())
    })
    .await
}
