//! Reading across tenants: by operators, with a reason that is recorded first.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::{AuditSink, NoAudit, Tenancy, TracingAuditSink, UserId};
use tenancy_sqlx::{
    PgAuditSink, StartErrorKind,
    danger::{self, AcrossError, SystemPool},
};
use tenancy_tests::notes::{self, Notes, on_every_server, sqlstate};

fn engine(notes: &Notes, sink: Arc<dyn AuditSink>) -> anyhow::Result<Tenancy> {
    Ok(notes::builder(notes.directory.clone())?
        .shared_audit(sink)
        .build()?)
}

#[tokio::test]
async fn the_reason_is_on_record_before_the_first_row_is_read() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes, Arc::new(PgAuditSink::new(&notes.system)))?;
        let operator = UserId::new();
        let mut all =
            danger::across_tenants(&tenancy, &notes.system, operator, "ticket 4711").await?;

        let (actor, action, reason, tenantless): (String, String, String, bool) = sqlx::query_as(
            "SELECT actor, action, reason, tenant_id IS NULL FROM tenancy.audit_log",
        )
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        assert!(actor.contains(&operator.to_string()), "{actor}");
        assert_eq!(
            (action.as_str(), reason.as_str(), tenantless),
            ("danger.across-tenants", "ticket 4711", true)
        );

        assert_eq!(all.fetch_all("SELECT FROM notes").await?.len(), 8);
        all.execute("UPDATE notes SET stars = 1").await?;
        all.commit().await?;
        let starred: i64 = sqlx::query_scalar("SELECT count(*) FROM notes WHERE stars = 1")
            .fetch_one(&mut notes.database.admin().await?)
            .await?;
        assert_eq!(starred, 8);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn dropped_without_a_commit_it_changes_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes, Arc::new(PgAuditSink::new(&notes.system)))?;
        let mut all =
            danger::across_tenants(&tenancy, &notes.system, UserId::new(), "a look").await?;
        all.execute("DELETE FROM notes").await?;
        drop(all);
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_reason_or_a_durable_trail_nothing_is_read() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let durable = engine(notes, Arc::new(PgAuditSink::new(&notes.system)))?;
        for blank in ["", " \t\n"] {
            let refused =
                danger::across_tenants(&durable, &notes.system, UserId::new(), blank).await;
            assert!(matches!(refused, Err(AcrossError::NoReason)));
        }
        for sink in [
            Arc::new(NoAudit) as Arc<dyn AuditSink>,
            Arc::new(TracingAuditSink),
        ] {
            let tenancy = engine(notes, sink)?;
            let refused =
                danger::across_tenants(&tenancy, &notes.system, UserId::new(), "why not").await;
            assert!(matches!(refused, Err(AcrossError::Audit(_))), "{refused:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_services_login_can_not_do_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let impostor = SystemPool::connect_with(notes.app_options()).await;
        let kind = impostor.err().map(|error| error.kind());
        assert_eq!(kind, Some(StartErrorKind::WrongLogin));

        // Even on a connection of its own, row security shows nothing.
        let mut nothing = notes.app().await?;
        assert_eq!(nothing.fetch_all("SELECT FROM notes").await?.len(), 0);
        let taken = nothing.execute("SET ROLE tenancy_system").await;
        assert_eq!(sqlstate(taken), "42501");
        Ok(())
    })
    .await
}

/// The policies of the system role are its own: it owns nothing and bypasses nothing.
#[tokio::test]
async fn the_system_login_is_no_superuser() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes, Arc::new(PgAuditSink::new(&notes.system)))?;
        for attempt in [
            "TRUNCATE notes",
            "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
            "SET LOCAL ROLE tenancy_owner",
            "CREATE TABLE mine (id int)",
        ] {
            let mut all =
                danger::across_tenants(&tenancy, &notes.system, UserId::new(), "test").await?;
            let refused = all.execute(AssertSqlSafe(attempt)).await;
            assert_eq!(sqlstate(refused), "42501", "{attempt}");
        }
        Ok(())
    })
    .await
}
