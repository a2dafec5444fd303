//! A transaction by hand that is held open, until somebody waits for it.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_tests::notes::Notes;

/// Only so that a test that fails does not hang.
pub(crate) const FAIL_SAFE: Duration = Duration::from_secs(30);

/// A transaction by hand that is left open, and its process.
pub(crate) async fn open(notes: &Notes, sql: String) -> anyhow::Result<(PgConnection, i32)> {
    let mut admin = notes.database.admin().await?;
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut admin)
        .await?;
    admin
        .execute(AssertSqlSafe(format!("BEGIN; {sql}")))
        .await?;
    Ok((admin, pid))
}

/// Waits until somebody waits for this process.
pub(crate) async fn waited_for(notes: &Notes, pid: i32) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity AS a WHERE $1 = ANY (pg_blocking_pids(a.pid)))";
    let waiting = async {
        while !sqlx::query_scalar(sql)
            .bind(pid)
            .fetch_one(&mut admin)
            .await?
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(FAIL_SAFE, waiting).await?
}
