//! The lock that keeps other migrators away: sqlx's own, so that `sqlx migrate run` waits too.

use std::time::Duration;

use sqlx::PgConnection;

use super::InstallError;

/// Takes the lock, asking for it again and again.
///
/// sqlx waits for it inside a statement, and so with a snapshot. CREATE INDEX CONCURRENTLY, in the
/// migration of whoever holds the lock, waits for all snapshots to go, and the two would wait for
/// each other. Whoever asks and sleeps holds none.
pub(super) async fn take(connection: &mut PgConnection) -> Result<i64, InstallError> {
    let step = "waiting for other migrations to end";
    let database: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(InstallError::database(step))?;
    let id = id(&database);
    let mut pause = Duration::from_millis(20);
    loop {
        let taken = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(id);
        if taken
            .fetch_one(&mut *connection)
            .await
            .map_err(InstallError::database(step))?
        {
            return Ok(id);
        }
        tracing::debug!("another process migrates this database; waiting");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

pub(super) async fn release(connection: &mut PgConnection, id: i64) -> Result<(), InstallError> {
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(id)
        .execute(connection)
        .await
        .map_err(InstallError::database("letting other migrations go on"))?;
    Ok(())
}

/// The number that sqlx makes of a database's name.
fn id(database: &str) -> i64 {
    0x3d32_ad9e * i64::from(crc32fast::hash(database.as_bytes()))
}
