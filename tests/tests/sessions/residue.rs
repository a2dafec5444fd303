//! What a session keeps beyond a transaction is gone for the next borrower.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server};

/// Statements that leave something behind, and what counts it for this session.
const RESIDUE: [(&str, &str); 7] = [
    (
        "CREATE TEMP TABLE mine AS SELECT * FROM notes",
        "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname = 'mine'",
    ),
    (
        "DECLARE mine CURSOR WITH HOLD FOR SELECT body FROM notes",
        "SELECT count(*) FROM pg_cursors WHERE name = 'mine'",
    ),
    (
        "SELECT set_config('tenancy.tenant_id', current_setting('tenancy.tenant_id'), false)",
        "SELECT count(*) FROM notes",
    ),
    (
        "SELECT set_config('app.of_mine', 'secret', false)",
        "SELECT count(*) FROM (SELECT current_setting('app.of_mine', true) AS s) AS t WHERE s <> ''",
    ),
    (
        "SET SESSION search_path = pg_temp",
        "SELECT (current_setting('search_path') = 'pg_temp')::int::bigint",
    ),
    (
        "SELECT pg_advisory_lock(4711)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    ),
    (
        "LISTEN mine",
        "SELECT count(*) FROM pg_listening_channels() WHERE pg_listening_channels = 'mine'",
    ),
];

/// What `acme`'s transaction leaves for `globex`, outside of its transaction: how much of it, and
/// on which server process each ran.
async fn left_behind(
    notes: &Notes,
    pool: &TenantPool,
    leave: &str,
    count: &str,
) -> anyhow::Result<(i64, bool)> {
    let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
    let before = backend(&mut tx).await?;
    tx.execute(AssertSqlSafe(leave.to_owned())).await?;
    tx.commit().await?;

    let mut next = pool.begin(&notes.context(&notes.globex)).await?;
    let after = backend(&mut next).await?;
    next.execute("COMMIT").await?;
    let left = sqlx::query_scalar(AssertSqlSafe(count.to_owned()))
        .fetch_one(&mut *next)
        .await?;
    Ok((left, before == after))
}

async fn backend(connection: &mut PgConnection) -> anyhow::Result<i32> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await?)
}

#[tokio::test]
async fn nothing_is_left_for_the_next_borrower() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for (leave, count) in RESIDUE {
            let careless = TenantPoolOptions::new()
                .max_connections(1)
                .reset_session(false);
            let pool = notes.pool(careless).await?;
            let (left, same) = left_behind(notes, &pool, leave, count).await?;
            assert!(left > 0 && same, "{leave} leaves nothing to be tidied up");
            pool.close().await;

            let pool = notes
                .pool(TenantPoolOptions::new().max_connections(1))
                .await?;
            let (left, same) = left_behind(notes, &pool, leave, count).await?;
            assert_eq!((left, same), (0, true), "{leave}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_role_that_was_taken_on_is_taken_off() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let role = format!("{}_clerk", notes.database.name());
        let make = format!("CREATE ROLE {role}; GRANT {role} TO tenancy_app");
        notes.as_admin(&make).await?;
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;

        let set_role = format!("SET SESSION ROLE {role}");
        let count = "SELECT (current_user <> 'tenancy_app')::int::bigint";
        let left = left_behind(notes, &pool, &set_role, count).await;
        pool.close().await;
        notes.as_admin(&format!("DROP ROLE {role}")).await?;

        assert_eq!(left?, (0, true));
        Ok(())
    })
    .await
}
