//! SQL and host code that leave the scope of a transaction: it fails closed, and is noticed by who
//! asks for it.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{ErrorKind, SessionMode, TenantPoolOptions};
use tenancy_tests::notes::{on_every_server, sqlstate};

fn checked() -> TenantPoolOptions {
    TenantPoolOptions::new().check_tenant_at_commit(true)
}

#[tokio::test]
async fn after_a_stray_commit_there_are_no_rows() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for stray in ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "COMMIT; BEGIN"] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
            tx.execute(stray).await?;

            assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 0, "{stray}");
            let write = tx.execute("INSERT INTO notes (body) VALUES ('x')").await;
            assert_eq!(sqlstate(write), "42501", "{stray}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_check_at_commit_finds_a_lost_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(checked()).await?;
        let other = format!(
            "SELECT set_config('tenancy.tenant_id', '{}', true)",
            notes.globex.id
        );
        for stray in ["COMMIT", "COMMIT AND CHAIN", "RESET ALL", other.as_str()] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            tx.execute(AssertSqlSafe(stray.to_owned())).await?;
            tx.execute("CREATE TEMP TABLE IF NOT EXISTS mine (id int)")
                .await?;

            let lost = tx.commit().await.unwrap_err();
            assert_eq!(lost.kind(), ErrorKind::TenantLost, "{stray}");
        }

        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.execute("DELETE FROM notes").await?;
        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_check_at_commit_finds_swapped_connections() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(checked()).await?;
        let mut one = pool.begin(&notes.context(&notes.acme)).await?;
        let mut other = pool.begin(&notes.context(&notes.globex)).await?;
        std::mem::swap(&mut *one, &mut *other);
        one.execute("DELETE FROM notes").await?;

        for tx in [one, other] {
            assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::TenantLost);
        }
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

/// PostgreSQL answers the COMMIT of a failed transaction with a rollback and no error.
#[tokio::test]
async fn the_check_at_commit_finds_a_statement_whose_error_was_ignored() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(checked()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.execute("INSERT INTO notes (body) VALUES ('x')").await?;
        let _ignored = tx.execute("SELECT 1 / 0").await;

        assert_eq!(sqlstate(tx.commit().await), "25P02");
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

/// Each transaction in a debug build, and one of 1,024 in a release build.
#[tokio::test]
async fn a_transaction_that_is_looked_at_proves_its_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let other = format!(
            "SELECT set_config('tenancy.tenant_id', '{}', true)",
            notes.globex.id
        );
        let other = || AssertSqlSafe(other.clone());
        let context = notes.context(&notes.acme);
        let options = || TenantPoolOptions::new().sessions(SessionMode::Transaction);

        let pool = notes.pool(options().check_session_every(1)).await?;
        let mut tx = pool.begin(&context).await?;
        tx.execute("DELETE FROM notes").await?;
        tx.execute(other()).await?;
        assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::TenantLost);
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        let db = pool.tenant(&context)?;
        for lost in [
            db.execute(other()).await,
            db.reader().execute(other()).await,
        ] {
            let lost = tenancy_sqlx::Error::from(lost.unwrap_err());
            assert_eq!(lost.kind(), ErrorKind::TenantLost);
        }

        let pool = notes.pool(options().check_session_every(3)).await?;
        let mut outcomes = Vec::new();
        for _ in 0..6 {
            let mut tx = pool.begin(&context).await?;
            tx.execute(other()).await?;
            outcomes.push(tx.commit().await.is_err());
        }
        assert_eq!(outcomes, [true, false, false, true, false, false]);
        Ok(())
    })
    .await
}
