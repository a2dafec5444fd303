//! A release alters a table while the service goes on: the statements that its connections keep
//! prepared no longer fit, and none of them fails twice.

use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tenancy_core::RefusalKind;
use tenancy_sqlx::{Error, ErrorKind, RetryPolicy, TenantDb, TenantPool, TenantPoolOptions};
use tenancy_tests::notes::{Notes, at_rest, on_every_server};

const ALL: &str = "SELECT * FROM notes ORDER BY body";

/// Runs a path three times after each of three releases, on a pool of one whose statement is
/// prepared, and returns how often it failed after each.
async fn failures(
    notes: &Notes,
    pool: &TenantPool,
    path: impl AsyncFn(&TenantDb) -> Result<usize, Error>,
) -> anyhow::Result<Vec<usize>> {
    let db = pool.tenant(&notes.context(&notes.acme))?;
    let mut failures = Vec::new();
    let mut columns = path(&db).await?;
    for _ in 0..3 {
        at_rest(pool, 1).await?;
        let name = uuid::Uuid::now_v7().simple();
        let release = format!("ALTER TABLE notes ADD COLUMN c{name} int");
        notes.as_admin(&release).await?;
        columns += 1;
        let mut failed = 0;
        for _ in 0..3 {
            match path(&db).await {
                Ok(seen) => anyhow::ensure!(seen == columns, "{seen} of {columns} columns"),
                Err(error) => {
                    anyhow::ensure!(error.kind() == ErrorKind::StalePlan, "{error}");
                    anyhow::ensure!(error.refusal().kind() == RefusalKind::Unavailable);
                    failed += 1;
                }
            }
            at_rest(pool, 1).await?;
        }
        failures.push(failed);
    }
    Ok(failures)
}

/// As [`failures`], with and without the reset of sessions.
async fn fails_at_most(
    most: usize,
    path: impl AsyncFn(&TenantDb) -> Result<usize, Error>,
) -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for &reset in notes.resets() {
            let options = TenantPoolOptions::new()
                .max_connections(1)
                .reset_session(reset);
            let pool = notes.pool(options).await?;
            let failures = failures(notes, &pool, &path).await?;
            anyhow::ensure!(
                failures.iter().all(|failed| *failed <= most),
                "reset {reset}: {failures:?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_statement_of_its_own_never_fails() -> anyhow::Result<()> {
    fails_at_most(0, async |db| {
        Ok(sqlx::query(ALL).fetch_one(db).await?.len())
    })
    .await
}

#[tokio::test]
async fn a_statement_of_its_own_with_arguments_never_fails() -> anyhow::Result<()> {
    fails_at_most(0, async |db| {
        let query = sqlx::query("SELECT * FROM notes WHERE stars = $1 ORDER BY body").bind(0);
        let rows = query.fetch_all(db).await?;
        assert_eq!(rows.len(), 3);
        Ok(rows[0].len())
    })
    .await
}

#[tokio::test]
async fn a_write_that_returns_its_row_never_fails_and_is_done_once() -> anyhow::Result<()> {
    fails_at_most(0, async |db| {
        let before: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
            .fetch_one(db)
            .await?;
        let write = "INSERT INTO notes (body) VALUES ('once') RETURNING *";
        let row = sqlx::query(write).fetch_one(db).await?;
        let after: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
            .fetch_one(db)
            .await?;
        assert_eq!(after, before + 1);
        Ok(row.len())
    })
    .await
}

#[tokio::test]
async fn a_reader_never_fails() -> anyhow::Result<()> {
    fails_at_most(0, async |db| {
        let rows = sqlx::query(ALL).fetch_all(&db.reader()).await?;
        let row = sqlx::query(ALL).fetch_one(&db.reader()).await?;
        assert_eq!((rows.len(), rows[0].len()), (3, row.len()));
        Ok(row.len())
    })
    .await
}

#[tokio::test]
async fn a_transaction_fails_once() -> anyhow::Result<()> {
    fails_at_most(1, async |db| {
        let mut tx = db.begin().await?;
        let row = sqlx::query(ALL).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(row.len())
    })
    .await
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_fails_once() -> anyhow::Result<()> {
    fails_at_most(1, async |db| {
        let mut tx = db.read().await?;
        let row = sqlx::query(ALL).fetch_one(&mut *tx).await;
        tx.rollback().await?;
        Ok(row?.len())
    })
    .await
}

#[tokio::test]
async fn a_transaction_whose_commit_is_tried_all_the_same_fails_once() -> anyhow::Result<()> {
    fails_at_most(1, async |db| {
        let mut tx = db.begin().await?;
        let row = sqlx::query(ALL).fetch_one(&mut *tx).await;
        let committed = tx.commit().await;
        assert_eq!(committed.is_ok(), row.is_ok());
        Ok(row?.len())
    })
    .await
}

#[tokio::test]
async fn a_savepoint_that_is_left_open_fails_once() -> anyhow::Result<()> {
    fails_at_most(1, async |db| {
        let mut tx = db.begin().await?;
        let mut savepoint = sqlx::Connection::begin(&mut **tx).await?;
        let row = sqlx::query(ALL).fetch_one(&mut *savepoint).await;
        std::mem::forget(savepoint);
        Ok(row?.len())
    })
    .await
}

#[tokio::test]
async fn a_closure_fails_once() -> anyhow::Result<()> {
    fails_at_most(1, async |db| {
        db.with(async |tx| Ok(sqlx::query(ALL).fetch_one(&mut **tx).await?.len()))
            .await
    })
    .await
}

#[tokio::test]
async fn a_closure_that_is_retried_never_fails() -> anyhow::Result<()> {
    fails_at_most(0, async |db| {
        db.with_retry(RetryPolicy::new(), async |tx| {
            Ok::<_, Error>(sqlx::query(ALL).fetch_one(&mut **tx).await?.len())
        })
        .await
    })
    .await
}

/// The statements of each connection are stale, and there are more of them than tries.
#[tokio::test]
async fn a_closure_is_retried_on_the_connection_that_has_forgotten() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(
                TenantPoolOptions::new()
                    .max_connections(8)
                    .max_connections_per_tenant(8),
            )
            .await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let mut open = Vec::new();
        for _ in 0..8 {
            let mut tx = db.begin().await?;
            sqlx::query(ALL).fetch_one(&mut *tx).await?;
            open.push(tx);
        }
        drop(open);
        at_rest(&pool, 8).await?;
        notes
            .as_admin("ALTER TABLE notes ADD COLUMN more int")
            .await?;

        let mut tries = 0;
        db.with_retry(RetryPolicy::new().tries(2), async |tx| {
            tries += 1;
            sqlx::query(ALL).fetch_one(&mut **tx).await?;
            Ok::<_, Error>(())
        })
        .await?;
        assert_eq!(tries, 2);
        Ok(())
    })
    .await
}

/// What is forgotten is prepared again: a transaction that has not failed keeps its statements.
#[tokio::test]
async fn a_transaction_that_was_only_dropped_keeps_its_statements() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let prepared = async || {
            at_rest(&pool, 1).await?;
            let count = "SELECT count(*) FROM pg_prepared_statements WHERE statement = $1";
            let count = sqlx::query_scalar::<_, i64>(count).bind(ALL);
            anyhow::Ok(count.fetch_one(&db.reader()).await?)
        };
        let mut tx = db.begin().await?;
        sqlx::query(ALL).fetch_one(&mut *tx).await?;
        drop(tx);
        assert_eq!(prepared().await?, 1);

        let mut tx = db.begin().await?;
        let failed = tx.execute(AssertSqlSafe("SELECT 1 / 0".to_owned())).await;
        assert!(failed.is_err());
        drop(tx);
        assert_eq!(prepared().await?, 0);
        Ok(())
    })
    .await
}
