//! Savepoints: undone, kept, forgotten.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tenancy_core::TenantRecord;
use tenancy_sqlx::{ErrorKind, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

const INSERT: &str = "INSERT INTO notes (body) VALUES ('inner')";

async fn visible(connection: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(connection)
        .await?)
}

fn become_tenant(tenant: &TenantRecord) -> AssertSqlSafe<String> {
    let id = tenant.id;
    AssertSqlSafe(format!(
        "SELECT set_config('tenancy.tenant_id', '{id}', true)"
    ))
}

async fn begin(notes: &Notes) -> anyhow::Result<tenancy_sqlx::TenantTx> {
    let pool = notes.pool(TenantPoolOptions::new()).await?;
    Ok(pool.begin(&notes.context(&notes.acme)).await?)
}

#[tokio::test]
async fn a_rollback_undoes_the_work_and_nothing_before_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut tx = begin(notes).await?;
        tx.execute(INSERT).await?;
        let mut savepoint = tx.savepoint().await?;
        savepoint.execute("DELETE FROM notes").await?;
        assert_eq!(sqlstate(savepoint.execute("SELECT 1 / 0").await), "22012");
        savepoint.rollback().await?;

        assert_eq!(visible(&mut tx).await?, 4);
        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dropped_savepoint_is_rolled_back() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut tx = begin(notes).await?;
        let mut savepoint = tx.savepoint().await?;
        savepoint.execute("DELETE FROM notes").await?;
        savepoint.execute(become_tenant(&notes.globex)).await?;
        drop(savepoint);

        assert_eq!(visible(&mut tx).await?, 3);
        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_released_savepoint_keeps_the_work_and_names_the_tenant_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut tx = begin(notes).await?;
        let mut savepoint = tx.savepoint().await?;
        savepoint.execute(INSERT).await?;
        savepoint.execute(become_tenant(&notes.globex)).await?;
        // What the setting says is what counts: SQL of the application may do this. Where sessions are
        // sealed, it may name nobody else.
        let others = if notes.seal.is_some() { 0 } else { 5 };
        assert_eq!(visible(&mut savepoint).await?, others);
        savepoint.release().await?;

        assert_eq!(visible(&mut tx).await?, 4);
        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_forgotten_savepoint_is_not_committed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut tx = begin(notes).await?;
        tx.execute(INSERT).await?;
        std::mem::forget(tx.savepoint().await?);

        assert_eq!(
            tx.commit().await.unwrap_err().kind(),
            ErrorKind::SavepointOpen
        );
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_savepoint_with_an_inner_one_left_open_is_not_released() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut tx = begin(notes).await?;
        let mut savepoint = tx.savepoint().await?;
        std::mem::forget(savepoint.begin().await?);
        savepoint.execute(INSERT).await?;

        let refused = savepoint.release().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SavepointOpen);
        assert_eq!(visible(&mut tx).await?, 3);
        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn transactions_of_sqlx_nest_in_a_tenants() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut tx = begin(notes).await?;
        let mut inner = tx.begin().await?;
        inner.execute(INSERT).await?;
        inner.commit().await?;
        let mut inner = tx.begin().await?;
        inner.execute(INSERT).await?;
        inner.rollback().await?;

        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);
        Ok(())
    })
    .await
}
