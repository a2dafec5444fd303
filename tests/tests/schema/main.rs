//! The schema `tenancy`: installing it, protecting tables with it, and the check at start of who
//! logs in.

mod cases;
mod concurrently;
mod earlier;
mod emit;
mod findings;
mod help;
mod install;
mod keys;
mod logins;
mod owners;
mod passwords;
mod paths;
mod privileges;
mod protect;
mod random;
mod start;
mod unprotect;
mod upgrade;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_tests::notes::Notes;

/// Runs statements as the role that owns tables, as a migration does.
async fn as_owner(notes: &Notes, sql: &str) -> Result<(), sqlx::Error> {
    let mut owner = notes.database.admin().await.map_err(sqlx::Error::decode)?;
    owner.execute("SET ROLE tenancy_owner").await?;
    owner.execute(AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
}

/// What a query with one text says, asked by the administrator.
async fn told(notes: &Notes, sql: &str) -> anyhow::Result<Option<String>> {
    Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut notes.database.admin().await?)
        .await?)
}

/// Message, detail and hint of what the database refused.
fn refusal(outcome: Result<(), sqlx::Error>) -> String {
    let Err(sqlx::Error::Database(said)) = outcome else {
        return format!("{outcome:?}");
    };
    let hint = said
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .and_then(|said| said.hint())
        .unwrap_or_default();
    format!("{} / {hint}", said.message())
}
