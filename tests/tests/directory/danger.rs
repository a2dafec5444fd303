//! Reading across tenants: by operators, with a reason that is recorded first.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::{AuditSink, NoAudit, Tenancy, TracingAuditSink, UserId};
use tenancy_sqlx::{
    PgAuditSink, StartErrorKind,
    danger::{self, AcrossError, SystemPool},
};
use tenancy_tests::notes::{self, Notes, PASSWORD, on_every_server, sqlstate};

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
            "SELECT actor_kind || ':' || actor_id, action, reason, tenant_id IS NULL
             FROM tenancy.audit_entries",
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

/// D24: a pool that was made with another login is refused at start.
#[tokio::test]
async fn only_the_system_login_can_do_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let name = notes.database.name();
        let (member, stranger) = (format!("{name}_operator"), format!("{name}_stranger"));
        notes
            .as_admin(&format!(
                "CREATE ROLE {member} LOGIN PASSWORD '{PASSWORD}' IN ROLE tenancy_system;
                 CREATE ROLE {stranger} LOGIN PASSWORD '{PASSWORD}' IN ROLE tenancy_app"
            ))
            .await?;
        let options = |login: &str| notes.database.options_as(login, Some(PASSWORD));
        let outcome = async {
            for (login, options) in [
                ("tenancy_app", notes.app_options()),
                (stranger.as_str(), options(&stranger)),
                ("superuser", notes.database.admin_options()),
            ] {
                let refused = SystemPool::connect_with(options).await.map(drop);
                let error = refused.expect_err(login);
                assert_eq!(error.kind(), StartErrorKind::WrongLogin, "{login}");
                let said = error.to_string();
                assert!(
                    said.contains("connect the system pool as `tenancy_system`"),
                    "{said}"
                );
                assert!(login == "superuser" || said.contains(login), "{said}");
            }
            let operators = SystemPool::connect_with(options(&member)).await?;
            let tenancy = engine(notes, Arc::new(PgAuditSink::new(&operators)))?;
            let mut all =
                danger::across_tenants(&tenancy, &operators, UserId::new(), "test").await?;
            assert_eq!(all.fetch_all("SELECT FROM notes").await?.len(), 8);
            drop(all);
            operators.close().await;
            anyhow::Ok(())
        }
        .await;
        notes
            .as_admin(&format!("DROP ROLE {member}; DROP ROLE {stranger}"))
            .await?;
        outcome
    })
    .await
}

/// D24: what an operator's statements change about the session does not reach the next borrower.
#[tokio::test]
async fn the_next_borrower_finds_the_system_login_as_it_was() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes, Arc::new(PgAuditSink::new(&notes.system)))?;
        let role = format!("{}_clerk", notes.database.name());
        notes
            .as_admin(&format!(
                "CREATE ROLE {role}; GRANT {role} TO tenancy_system"
            ))
            .await?;
        let left = async {
            // More often than the pool has connections, so that each is met again.
            for leave in ["", "SET ROLE", "SET search_path ="]
                .into_iter()
                .cycle()
                .take(24)
            {
                let mut all =
                    danger::across_tenants(&tenancy, &notes.system, UserId::new(), "test").await?;
                let (user, path): (String, String) =
                    sqlx::query_as("SELECT current_user::text, current_setting('search_path')")
                        .fetch_one(&mut *all)
                        .await?;
                assert_eq!(
                    (user.as_str(), path.contains(&role)),
                    ("tenancy_system", false)
                );
                if !leave.is_empty() {
                    let leave = format!("{leave} {role}");
                    all.execute(AssertSqlSafe(leave)).await?;
                }
                all.commit().await?;
            }
            anyhow::Ok(())
        }
        .await;
        notes.as_admin(&format!("DROP ROLE {role}")).await?;
        left
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
