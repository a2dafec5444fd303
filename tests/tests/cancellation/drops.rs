//! Every operation of a tenant's session, dropped at its first wait, at its second, and so on until
//! it completes; on a pool of one, so that each drop meets the next borrower.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::TryStreamExt as _;
use tenancy_sqlx::{
    BulkInsert, Error, RetryPolicy, SessionMode, TenantDb, TenantPoolOptions, TxOptions,
};
use tenancy_tests::{DelayProxy, notes::on_every_server};

use crate::{dropped_after, probe};

const INSERT: &str = "INSERT INTO notes (body) VALUES ('written') RETURNING id";
const INSERT_TWO: &str = "INSERT INTO notes (body) VALUES ('written'), ('written') RETURNING id";

/// Drops an operation of `acme`'s at every wait. Completed, it has written `rows` notes; dropped,
/// all of them or none.
async fn at_every_wait(
    rows: i64,
    operation: impl AsyncFn(&TenantDb) -> Result<(), Error>,
) -> anyhow::Result<()> {
    at_every_wait_with(in_mode(SessionMode::Transaction), rows, operation).await
}

fn in_mode(mode: SessionMode) -> TenantPoolOptions {
    TenantPoolOptions::new().max_connections(1).sessions(mode)
}

async fn at_every_wait_with(
    options: TenantPoolOptions,
    rows: i64,
    operation: impl AsyncFn(&TenantDb) -> Result<(), Error>,
) -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::from_millis(1))?;
        let pool = notes.pool_through(&proxy, options.clone()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;

        for waits in 0..500 {
            let before = notes.count("notes", &notes.acme).await?;
            let outcome = dropped_after(waits, operation(&db)).await;

            let place = || format!("dropped at wait {waits}");
            // Before anybody borrows the connection again, who would end what was left open.
            probe::nobody_in_a_transaction(notes, "tenancy_app")
                .await
                .with_context(place)?;
            let tenantless = probe::tenantless(notes, &pool).await.with_context(place)?;
            ensure!(tenantless == 0, "{}: {tenantless} rows", place());
            let written = notes.count("notes", &notes.acme).await? - before;
            match outcome {
                None => ensure!(
                    written == 0 || written == rows,
                    "{}: {written} rows",
                    place()
                ),
                Some(done) => {
                    done?;
                    ensure!(written == rows, "{written} rows were committed");
                    // At least BEGIN, a statement and what ends them, or there was nothing to test.
                    ensure!(waits >= 1, "it never waited");
                    return Ok(());
                }
            }
        }
        anyhow::bail!("it never completed")
    })
    .await
}

#[tokio::test]
async fn begin() -> anyhow::Result<()> {
    at_every_wait(0, async |db| db.begin().await.map(drop)).await
}

#[tokio::test]
async fn begin_strict() -> anyhow::Result<()> {
    at_every_wait(0, async |db| {
        let strict = TxOptions::new().strict(true).read_only();
        db.begin_with(strict).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_closure() -> anyhow::Result<()> {
    at_every_wait(2, async |db| {
        db.with(async |tx| {
            sqlx::query(INSERT).execute(&mut **tx).await?;
            sqlx::query(INSERT).execute(&mut **tx).await?;
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_closure_that_is_retried() -> anyhow::Result<()> {
    at_every_wait(1, async |db| {
        let mut lost = false;
        db.with_retry(RetryPolicy::new(), async |tx| {
            sqlx::query(INSERT).execute(&mut **tx).await?;
            if !std::mem::replace(&mut lost, true) {
                let lose = "DO $$ BEGIN RAISE serialization_failure; END $$";
                sqlx::query(lose).execute(&mut **tx).await?;
            }
            Ok::<_, Error>(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_statement() -> anyhow::Result<()> {
    at_every_wait(2, async |db| {
        sqlx::query(INSERT_TWO).execute(db).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_statement_whose_rows_are_fetched() -> anyhow::Result<()> {
    at_every_wait(2, async |db| {
        sqlx::query(INSERT_TWO).fetch_all(db).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_statement_whose_first_row_is_fetched() -> anyhow::Result<()> {
    at_every_wait(1, async |db| {
        sqlx::query(INSERT).fetch_optional(db).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_reader() -> anyhow::Result<()> {
    at_every_wait(0, async |db| {
        sqlx::query("SELECT FROM notes")
            .fetch_all(&db.reader())
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_reader_without_a_transaction() -> anyhow::Result<()> {
    at_every_wait_with(in_mode(SessionMode::Switched), 0, async |db| {
        let read = sqlx::query("SELECT FROM notes WHERE stars >= $1").bind(0);
        read.fetch_all(&db.reader()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_reader_without_a_transaction_whose_first_row_is_fetched() -> anyhow::Result<()> {
    at_every_wait_with(in_mode(SessionMode::Switched), 0, async |db| {
        let read = sqlx::query("SELECT FROM notes");
        read.fetch_optional(&db.reader()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_without_a_transaction_part_way() -> anyhow::Result<()> {
    at_every_wait_with(in_mode(SessionMode::Switched), 0, async |db| {
        let many = "SELECT repeat('x', 1000) FROM notes, generate_series(1, 2000)";
        let reader = db.reader();
        let mut rows = sqlx::query(many).fetch(&reader);
        rows.try_next().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_after_a_read_without_one() -> anyhow::Result<()> {
    at_every_wait_with(in_mode(SessionMode::Switched), 2, async |db| {
        sqlx::query("SELECT FROM notes")
            .fetch_all(&db.reader())
            .await?;
        sqlx::query(INSERT_TWO).execute(db).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn reads_in_a_session_that_goes_on_naming_its_tenant() -> anyhow::Result<()> {
    at_every_wait_with(in_mode(SessionMode::Pinned), 0, async |db| {
        for _ in 0..2 {
            let read = sqlx::query("SELECT FROM notes WHERE stars >= $1").bind(0);
            read.fetch_all(&db.reader()).await?;
        }
        let reader = db.reader();
        let many = "SELECT repeat('x', 1000) FROM notes, generate_series(1, 2000)";
        let mut rows = sqlx::query(many).fetch(&reader);
        rows.try_next().await?;
        Ok(())
    })
    .await
}

/// Dropped, it may have been committed.
#[tokio::test]
async fn a_write_in_autocommit() -> anyhow::Result<()> {
    for mode in [SessionMode::Switched, SessionMode::Pinned] {
        let options = in_mode(mode).autocommit_writes(true);
        at_every_wait_with(options, 2, async |db| {
            sqlx::query("SELECT FROM notes").fetch_all(db).await?;
            sqlx::query(INSERT_TWO).execute(db).await?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_to_its_end() -> anyhow::Result<()> {
    at_every_wait(2, async |db| {
        let mut rows = sqlx::query(INSERT_TWO).fetch(db);
        while rows.try_next().await?.is_some() {}
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_part_way() -> anyhow::Result<()> {
    at_every_wait(0, async |db| {
        let many = "INSERT INTO notes (body) SELECT repeat('x', 1000)
            FROM generate_series(1, 2000) RETURNING body";
        let mut rows = sqlx::query(many).fetch(db);
        rows.try_next().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_commit() -> anyhow::Result<()> {
    at_every_wait(2, async |db| {
        let mut tx = db.begin().await?;
        sqlx::query(INSERT).execute(&mut *tx).await?;
        sqlx::query(INSERT).execute(&mut *tx).await?;
        tx.commit().await
    })
    .await
}

#[tokio::test]
async fn a_rollback() -> anyhow::Result<()> {
    at_every_wait(0, async |db| {
        let mut tx = db.begin().await?;
        sqlx::query(INSERT).execute(&mut *tx).await?;
        tx.rollback().await
    })
    .await
}

#[tokio::test]
async fn a_savepoint_that_is_released() -> anyhow::Result<()> {
    at_every_wait(2, async |db| {
        let mut tx = db.begin().await?;
        sqlx::query(INSERT).execute(&mut *tx).await?;
        let mut savepoint = tx.savepoint().await?;
        sqlx::query(INSERT).execute(&mut *savepoint).await?;
        savepoint.release().await?;
        tx.commit().await
    })
    .await
}

#[tokio::test]
async fn a_savepoint_that_is_rolled_back() -> anyhow::Result<()> {
    at_every_wait(1, async |db| {
        let mut tx = db.begin().await?;
        sqlx::query(INSERT).execute(&mut *tx).await?;
        let mut savepoint = tx.savepoint().await?;
        sqlx::query(INSERT).execute(&mut *savepoint).await?;
        savepoint.rollback().await?;
        tx.commit().await
    })
    .await
}

/// Here only the savepoint is cancelled, and its transaction goes on.
#[tokio::test]
async fn a_savepoint_inside_a_transaction_that_goes_on() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::from_micros(200))?;
        let options = TenantPoolOptions::new().max_connections(1);
        let pool = notes.pool_through(&proxy, options).await?;

        for waits in 0..500 {
            let before = notes.count("notes", &notes.acme).await?;
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            sqlx::query(INSERT).execute(&mut *tx).await?;
            let inner = dropped_after(waits, async {
                let mut savepoint = tx.savepoint().await?;
                sqlx::query(INSERT).execute(&mut *savepoint).await?;
                savepoint.release().await
            });
            let completed = inner.await.transpose()?.is_some();
            let committed = tx.commit().await;

            let written = notes.count("notes", &notes.acme).await? - before;
            let expected = match (&committed, completed) {
                (Ok(()), true) => 2,
                (Ok(()), false) => 1,
                (Err(_), _) => 0,
            };
            ensure!(
                written == expected,
                "dropped at wait {waits}: {written} rows, {committed:?}"
            );
            ensure!(probe::tenantless(notes, &pool).await? == 0);
            if completed {
                return Ok(());
            }
        }
        anyhow::bail!("it never completed")
    })
    .await
}

#[tokio::test]
async fn a_bulk_insert() -> anyhow::Result<()> {
    at_every_wait(300, async |db| {
        let mut tx = db.begin().await?;
        BulkInsert::into_table("notes")
            .column("body", vec!["written".to_owned(); 300])
            .execute(&mut tx)
            .await?;
        tx.commit().await
    })
    .await
}
