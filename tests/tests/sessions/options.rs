//! Limits, access modes and isolation levels.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_sqlx::{Isolation, TenantPoolOptions, TxOptions};
use tenancy_tests::notes::{on_every_server, sqlstate};

async fn setting(connection: &mut PgConnection, name: &str) -> anyhow::Result<String> {
    let show = AssertSqlSafe(format!("SHOW {name}"));
    Ok(sqlx::query_scalar(show).fetch_one(connection).await?)
}

#[tokio::test]
async fn a_transaction_s_own_limit_ends_with_it_and_the_pool_s_hold_on() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .lock_timeout(Some(Duration::from_millis(1_500)))
            .idle_in_transaction_timeout(None);
        let pool = notes.pool(options).await?;
        let begin = TxOptions::new().statement_timeout(Duration::from_millis(700));
        let mut tx = pool.begin_with(&notes.context(&notes.acme), begin).await?;

        assert_eq!(setting(&mut tx, "statement_timeout").await?, "700ms");
        assert_eq!(setting(&mut tx, "lock_timeout").await?, "1500ms");
        let idle = "idle_in_transaction_session_timeout";
        assert_eq!(setting(&mut tx, idle).await?, "0");
        tx.execute("COMMIT").await?;
        assert_eq!(setting(&mut tx, "statement_timeout").await?, "30s");
        assert_eq!(setting(&mut tx, "lock_timeout").await?, "1500ms");

        let defaults = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = defaults.begin(&notes.context(&notes.acme)).await?;
        assert_eq!(setting(&mut tx, "statement_timeout").await?, "30s");
        assert_eq!(setting(&mut tx, "lock_timeout").await?, "10s");
        assert_eq!(setting(&mut tx, idle).await?, "1min");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cancelled() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let limit = Some(Duration::from_millis(50));
        let pool = notes
            .pool(TenantPoolOptions::new().statement_timeout(limit))
            .await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let slow = sqlx::query("SELECT pg_sleep(60)").execute(&db).await;
        assert_eq!(sqlstate(slow), "57014");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn waiting_for_a_lock_ends() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let limit = Some(Duration::from_millis(50));
        let pool = notes
            .pool(TenantPoolOptions::new().lock_timeout(limit))
            .await?;
        let context = notes.context(&notes.acme);
        let mut first = pool.begin(&context).await?;
        first.execute("UPDATE notes SET stars = 1").await?;

        let mut second = pool.begin(&context).await?;
        let waited = second.execute("UPDATE notes SET stars = 2").await;
        assert_eq!(sqlstate(waited), "55P03");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_that_does_nothing_ends_and_frees_its_connection() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let limit = Some(Duration::from_millis(50));
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .idle_in_transaction_timeout(limit);
        let pool = notes.pool(options).await?;
        let context = notes.context(&notes.acme);
        let mut tx = pool.begin(&context).await?;
        tx.execute("UPDATE notes SET stars = 1").await?;

        let mut admin = notes.database.admin().await?;
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let sessions: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND state = 'idle in transaction'",
            )
            .fetch_one(&mut admin)
            .await?;
            if sessions == 0 {
                break;
            }
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(tx.commit().await.is_err());
        let mut next = pool.begin(&context).await?;
        let changed: i64 = sqlx::query_scalar("SELECT count(*) FROM notes WHERE stars = 1")
            .fetch_one(&mut *next)
            .await?;
        assert_eq!(changed, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn reading_refuses_writes() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let write = "DELETE FROM notes";

        let refused = sqlx::query(write).execute(&db.reader()).await;
        assert_eq!(sqlstate(refused), "25006");
        let mut tx = db.read().await?;
        assert_eq!(sqlstate(tx.execute(write).await), "25006");
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_isolation_level_holds() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = notes.context(&notes.acme);
        for (level, name, sees) in [
            (Isolation::ReadCommitted, "read committed", 1),
            (Isolation::RepeatableRead, "repeatable read", 0),
            (Isolation::Serializable, "serializable", 0),
        ] {
            let options = TxOptions::new().isolation(level);
            let mut tx = pool.begin_with(&context, options).await?;
            assert_eq!(setting(&mut tx, "transaction_isolation").await?, name);

            let count = "SELECT count(*) FROM notes";
            let before: i64 = sqlx::query_scalar(count).fetch_one(&mut *tx).await?;
            notes.seed(&notes.acme, 1).await?;
            let after: i64 = sqlx::query_scalar(count).fetch_one(&mut *tx).await?;
            assert_eq!(after - before, sees, "{name}");
        }
        Ok(())
    })
    .await
}
