//! What fails on the way leaves the next transaction as it should be.

use std::time::Duration;

use sqlx::Executor as _;
use tenancy_core::TenantContext;
use tenancy_sqlx::{ErrorKind, TenantPool, TenantPoolOptions};
use tenancy_tests::residue::backend;

use crate::{Through, through_every_kind};

async fn a_pool(through: &Through<'_>) -> anyhow::Result<(TenantPool, TenantContext)> {
    let options = TenantPoolOptions::new().max_connections(2);
    let pool = through.pool(options).await?;
    Ok((pool, through.notes.context(&through.notes.globex)))
}

async fn sees_five(pool: &TenantPool, globex: &TenantContext) -> anyhow::Result<()> {
    let db = pool.tenant(globex)?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&db)
        .await?;
    anyhow::ensure!(count == 5, "globex sees {count}");
    Ok(())
}

#[tokio::test]
async fn a_statement_that_fails_undoes_its_transaction_and_no_other() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let (pool, globex) = a_pool(through).await?;
        let acme = through.notes.context(&through.notes.acme);
        for _ in 0..3 {
            let mut tx = pool.begin(&acme).await?;
            tx.execute("DELETE FROM notes").await?;
            let failed = sqlx::query("SELECT 1 / $1").bind(0).execute(&mut *tx).await;
            assert!(failed.is_err());
            drop(tx);
            sees_five(&pool, &globex).await?;

            let mut tx = pool.begin(&acme).await?;
            let mut part = tx.savepoint().await?;
            part.execute("DELETE FROM notes").await?;
            assert!(
                sqlx::query("SELECT nothing")
                    .execute(&mut *part)
                    .await
                    .is_err()
            );
            part.rollback().await?;
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                .fetch_one(&mut *tx)
                .await?;
            assert_eq!(count, 3);
            tx.commit().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_begin_that_is_refused_leaves_a_good_connection() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let notes = through.notes;
        let pool = through
            .pool(TenantPoolOptions::new().max_connections(1).strict(true))
            .await?;
        let stale = notes.context(&notes.acme);
        notes
            .as_admin("UPDATE tenancy.tenants SET name = 'Acme' WHERE slug = 'acme'")
            .await?;
        let refused = pool.begin(&stale).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TenantChanged);
        sees_five(&pool, &notes.context(&notes.globex)).await
    })
    .await
}

#[tokio::test]
async fn a_begin_that_is_cancelled_leaves_nobody_in_a_transaction() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let (pool, globex) = a_pool(through).await?;
        let acme = through.notes.context(&through.notes.acme);
        let held = pool.begin(&acme).await?;
        // The one session is taken, so that this waits in PgBouncer.
        let waited = tokio::time::timeout(Duration::from_millis(50), pool.begin(&acme)).await;
        assert!(waited.is_err());
        held.commit().await?;
        for _ in 0..3 {
            sees_five(&pool, &globex).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_replaced() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let (pool, globex) = a_pool(through).await?;
        let mut tx = pool.begin(&globex).await?;
        let pid = backend(&mut tx).await?;
        through
            .notes
            .as_admin(&format!("SELECT pg_terminate_backend({pid}, 5000)"))
            .await?;
        assert!(tx.execute("SELECT 1").await.is_err());
        drop(tx);
        sees_five(&pool, &globex).await
    })
    .await
}
