//! What a session keeps beyond a transaction, and who meets it.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_sqlx::TenantPool;

use crate::notes::Notes;

/// Statements that leave something behind, and what counts it for a session.
pub const RESIDUE: [(&str, &str); 7] = [
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

/// What `acme`'s transaction in one pool leaves for `globex` in another, or in the same, outside of
/// its transaction: how much of it, and whether both ran in one session of the server.
///
/// # Errors
/// What the database says.
pub async fn left_behind(
    notes: &Notes,
    [former, next]: [&TenantPool; 2],
    leave: &str,
    count: &str,
) -> anyhow::Result<(i64, bool)> {
    let mut tx = former.begin(&notes.context(&notes.acme)).await?;
    let before = backend(&mut tx).await?;
    tx.execute(AssertSqlSafe(leave.to_owned())).await?;
    tx.commit().await?;

    let mut next = next.begin(&notes.context(&notes.globex)).await?;
    let after = backend(&mut next).await?;
    next.execute("COMMIT").await?;
    let left = sqlx::query_scalar(AssertSqlSafe(count.to_owned()))
        .fetch_one(&mut *next)
        .await?;
    Ok((left, before == after))
}

/// The server's process behind a connection.
///
/// # Errors
/// What the database says.
pub async fn backend(connection: &mut PgConnection) -> anyhow::Result<i32> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await?)
}
