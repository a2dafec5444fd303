//! The administrator's connection, which one adoption at a time has.

use std::time::Duration;

use clap::Args;
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};
use tokio::time::{Instant, sleep};

use crate::{
    arguments, connect,
    failure::{Failure, refused},
};

/// The lock that a run of an adoption holds, one in a database.
const LOCK: i64 = 7_236_830_212_054_017_390;

/// How long another run is waited for: the session of one that was killed takes a moment to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database, and who changes it.
#[derive(Debug, Args)]
pub(super) struct Adopter {
    #[command(flatten)]
    administrator: arguments::Administrator,
    /// How long a lock is waited for before it is tried again later, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) lock_timeout: u32,
}

impl Adopter {
    /// Connects.
    ///
    /// # Errors
    /// A [`Failure`] that names the variable, or says why there is no connection; never with the URL.
    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        let mut connection = connect::as_administrator(&self.administrator).await?;
        // The server ends a statement whose client was killed, and notices of `IF EXISTS` are of no use.
        let settings = "SET application_name = 'tenancy adopt'; SET client_connection_check_interval = '500ms'; SET client_min_messages = warning;
            SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = 0";
        raw_sql(settings)
            .execute(&mut connection)
            .await
            .map_err(told)?;
        Ok(connection)
    }

    /// Connects, and sees to it that nobody else changes the adoption meanwhile.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and that another run is under way, with the process of its session.
    pub(super) async fn connect_alone(&self) -> Result<PgConnection, Failure> {
        let mut connection = self.connect().await?;
        let until = Instant::now() + PATIENCE;
        loop {
            let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(LOCK)
                .fetch_one(&mut connection)
                .await
                .map_err(told)?;
            if taken {
                return Ok(connection);
            }
            if Instant::now() > until {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        let holder: Option<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND (classid::bigint << 32 | objid::bigint) = $1",
        )
        .bind(LOCK)
        .fetch_optional(&mut connection)
        .await
        .map_err(told)?;
        let holder = holder.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        Err(Failure::Told(format!(
            "another run of an adoption is under way in this database: its session is the server's process {holder}; \
             wait for it, or end it: SELECT pg_terminate_backend({holder})"
        )))
    }
}

/// Whether an adoption is under way.
///
/// # Errors
/// What the database says.
pub(super) async fn is_under_way(connection: &mut PgConnection) -> Result<bool, Failure> {
    sqlx::query_scalar("SELECT to_regclass('tenancy_adopt.adoption') IS NOT NULL")
        .fetch_one(connection)
        .await
        .map_err(told)
}

/// Runs SQL of this program's own.
///
/// # Errors
/// What the database says.
pub(super) async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// What the database says of an error, with its hint.
pub(super) fn told(error: sqlx::Error) -> Failure {
    match refused(&error) {
        Some(text) => Failure::Told(text),
        None => Failure::Told(format!("the database: {error}")),
    }
}
