//! How statements end: refused, failed, cancelled.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{SessionMode, TenantPoolOptions, statement_log::StatementOutcome};
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

use crate::world::Logged;

/// Without a sample: somebody tried to write another tenant's row.
#[tokio::test]
async fn what_the_database_refuses_is_told_of_always() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = Logged::start(notes, TenantPoolOptions::new(), |log| log).await?;
        let context = notes.context(&notes.acme);
        let db = logged.pool.tenant(&context)?;
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        let across = format!(
            "INSERT INTO notes (body, tenant_id) VALUES ('x', '{}')",
            notes.globex.id
        );
        assert_eq!(
            sqlstate(db.execute(AssertSqlSafe(across.clone())).await),
            "42501"
        );
        let mut tx = logged.pool.begin(&context).await?;
        assert_eq!(sqlstate(tx.execute(AssertSqlSafe(across)).await), "42501");
        drop(tx);
        db.fetch_all("SELECT body FROM notes").await?;
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);

        let records = logged.records().await;
        assert_eq!(records.len(), 2, "{records:#?}");
        for record in records {
            assert_eq!(record.outcome, StatementOutcome::Refused);
            assert_eq!(record.sql_state.as_deref(), Some("42501"));
            assert_eq!(record.tenant, Some(notes.acme.id));
            assert_eq!(
                &*record.shape,
                "insert into notes(body, tenant_id) values (…)"
            );
            assert!(record.is_flagged() && !record.sampled);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_fails_is_told_of_with_its_code() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = Logged::whole(notes).await?;
        let db = logged.pool.tenant(&notes.context(&notes.acme))?;
        for reading in [true, false] {
            let failed = sqlx::query("SELECT stars / 0 FROM notes");
            let failed = if reading {
                failed.fetch_one(&db.reader()).await
            } else {
                failed.fetch_one(&db).await
            };
            assert_eq!(sqlstate(failed), "22012");
        }
        // A commit that fails undoes its statement, whatever that said before.
        notes
            .as_admin(
                "ALTER TABLE notes ADD UNIQUE (tenant_id, stars) DEFERRABLE INITIALLY DEFERRED",
            )
            .await
            .unwrap_err();
        notes
            .as_admin(
                "UPDATE notes SET stars = n FROM (SELECT id, row_number() OVER () AS n FROM notes) AS r
                     WHERE r.id = notes.id;
                 ALTER TABLE notes ADD UNIQUE (tenant_id, stars) DEFERRABLE INITIALLY DEFERRED",
            )
            .await?;
        let twice = sqlx::query("UPDATE notes SET stars = 0").execute(&db).await;
        assert_eq!(sqlstate(twice), "23505");

        let records = logged.records().await;
        let told: Vec<_> = records
            .iter()
            .map(|record| (&*record.shape, record.outcome, record.sql_state.as_deref()))
            .collect();
        let divided = ("select stars / ? from notes", StatementOutcome::Failed, Some("22012"));
        let updated = ("update notes set stars = ?", StatementOutcome::Failed, Some("23505"));
        assert_eq!(told, [divided, divided, updated]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_told_of_as_cancelled_with_the_rows_it_took()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = Logged::whole(notes).await?;
        let context = notes.context(&notes.globex);
        let db = logged.pool.tenant(&context)?;
        let reader = db.reader();
        let mut rows = sqlx::query("SELECT body FROM notes").fetch(&reader);
        rows.try_next().await?;
        rows.try_next().await?;
        drop(rows);
        let mut tx = logged.pool.begin(&context).await?;
        let mut rows = sqlx::query("SELECT id FROM notes").fetch(&mut *tx);
        rows.try_next().await?;
        drop(rows);
        // One that nobody has polled has not run.
        drop(sqlx::query("SELECT stars FROM notes").fetch(&mut *tx));
        tx.commit().await?;

        let records = logged.records().await;
        let told: Vec<_> = records
            .iter()
            .map(|record| (&*record.shape, record.outcome, record.rows))
            .collect();
        assert_eq!(
            told,
            [
                ("select body from notes", StatementOutcome::Cancelled, 2),
                ("select id from notes", StatementOutcome::Cancelled, 1),
            ]
        );
        Ok(())
    })
    .await
}

/// Waits until the server runs a statement with a text.
async fn runs(notes: &Notes, text: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut admin = notes.database.admin().await?;
    loop {
        let running: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'tenancy_app' AND state = 'active'
                 AND query LIKE '%' || $1 || '%'",
        )
        .bind(text)
        .fetch_one(&mut admin)
        .await?;
        if running > 0 {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "`{text}` never runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_request_that_leaves_is_told_of_as_cancelled() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for mode in [SessionMode::Transaction, SessionMode::Switched] {
            let pool = TenantPoolOptions::new().sessions(mode);
            let logged = Logged::start(notes, pool, |log| log.sample_one_in(1)).await?;
            let db = logged.pool.tenant(&notes.context(&notes.acme))?;
            let request = tokio::spawn(async move {
                sqlx::query("SELECT pg_sleep(60)")
                    .fetch_one(&db.reader())
                    .await
            });
            runs(notes, "pg_sleep(60)").await?;
            request.abort();
            assert!(request.await.unwrap_err().is_cancelled());

            let records = logged.records().await;
            assert_eq!(records.len(), 1, "{records:#?}");
            assert_eq!(records[0].outcome, StatementOutcome::Cancelled);
            assert_eq!(&*records[0].shape, "select pg_sleep(?)");
            notes
                .as_admin(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE usename = 'tenancy_app' AND query LIKE 'SELECT pg_sleep%'",
                )
                .await?;
        }
        Ok(())
    })
    .await
}
