//! What is looked at after each cancellation.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::{Executor as _, types::Uuid};
use tenancy_sqlx::TenantPool;
use tenancy_tests::notes::Notes;

/// Lends the pool's connection to `globex`, makes sure that it sees its own notes, ends the
/// transaction behind the library's back, and counts what the connection shows without a tenant.
pub(crate) async fn tenantless(notes: &Notes, pool: &TenantPool) -> anyhow::Result<i64> {
    let mut tx = pool.begin(&notes.context(&notes.globex)).await?;
    let seen: Vec<Uuid> = sqlx::query_scalar("SELECT tenant_id FROM notes")
        .fetch_all(&mut *tx)
        .await?;
    ensure!(
        seen == [notes.globex.id.as_uuid(); 5],
        "the next borrower saw {seen:?}"
    );
    tx.execute("COMMIT").await?;
    let (tenant, project, rows): (String, String, i64) = sqlx::query_as(
        "SELECT current_setting('tenancy.tenant_id', true),
            current_setting('tenancy.project_id', true), (SELECT count(*) FROM notes)",
    )
    .fetch_one(&mut *tx)
    .await?;
    ensure!(
        tenant.is_empty() && project.is_empty(),
        "the session kept `{tenant}` and `{project}`"
    );
    Ok(rows)
}

/// Waits until no session of this login is inside a transaction.
pub(crate) async fn nobody_in_a_transaction(notes: &Notes, login: &str) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let inside: Vec<String> = sqlx::query_scalar(
            "SELECT state || ': ' || query FROM pg_stat_activity
             WHERE datname = current_database() AND usename = $1 AND state LIKE 'idle in %'",
        )
        .bind(login)
        .fetch_all(&mut admin)
        .await?;
        if inside.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "still there: {inside:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
