//! Asking what stands between, at start.
//!
//! A connection is opened with a setting of our own. The server has it in the session; a pooler
//! refuses it or drops it, because it gives its sessions to others too.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _,
    postgres::PgConnectOptions,
};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::{Detour, Reset, Route, Through, reset};
use crate::{StartError, error::is_passing_at_connect};

/// The setting; PostgreSQL takes any with a dot in its name.
const SETTING: &str = "tenancy.probe";

/// The pause after the first attempt that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

pub(super) async fn route(options: PgConnectOptions, limit: Duration) -> Result<Route, StartError> {
    match refuse_pooler(&options, limit).await {
        Ok(()) => Ok(Route {
            options,
            through: Through::Direct,
        }),
        Err(Detour::Pooler) => behind_pooler(options, limit).await,
        Err(Detour::Unreachable(error)) => Err(StartError::not_reached(&options, error)),
    }
}

pub(super) async fn refuse_pooler(
    options: &PgConnectOptions,
    limit: Duration,
) -> Result<(), Detour> {
    let mark = Uuid::now_v7().simple().to_string();
    let marked = options.clone().options([(SETTING, &mark)]);
    let refused = match connect(marked, limit).await {
        Ok(mut connection) => {
            let found = has_mark(&mut connection, &mark).await;
            let _ = connection.close().await;
            return match found {
                Ok(true) => Ok(()),
                Ok(false) => Err(Detour::Pooler),
                Err(error) => Err(Detour::Unreachable(error)),
            };
        }
        Err(error) if is_about_options(&error) => error,
        Err(error) => return Err(Detour::Unreachable(error)),
    };
    // Refused with the setting and taken without it, by what is no server of PostgreSQL.
    match connect_plainly(options, limit).await {
        Ok((connection, _)) => {
            let _ = connection.close().await;
            Err(Detour::Pooler)
        }
        Err(_) if is_protocol_violation(&refused) => Err(Detour::Pooler),
        Err(error) => Err(Detour::Unreachable(error)),
    }
}

async fn behind_pooler(options: PgConnectOptions, limit: Duration) -> Result<Route, StartError> {
    if options.get_options().is_some() {
        return Err(StartError::pooler(
            "the pooler in front of the database does not pass on the `options` of the connection \
             URL (or of PGOPTIONS); set them for the login instead: ALTER ROLE … SET …",
            None,
        ));
    }
    let (mut connection, options) = connect_plainly(&options, limit)
        .await
        .map_err(|error| StartError::not_reached(&options, error))?;
    let keeps = keeps_statements(&mut connection).await;
    let _ = connection.close().await;
    let through = Through::Pooler {
        keeps_statements: keeps?,
    };
    Ok(Route { options, through })
}

/// Connects without a setting of ours. Some poolers also refuse one of sqlx's, which concerns
/// floating-point numbers as text and which sqlx itself has no need of.
async fn connect_plainly(
    options: &PgConnectOptions,
    limit: Duration,
) -> Result<(PgConnection, PgConnectOptions), sqlx::Error> {
    match connect(options.clone(), limit).await {
        Err(error) if is_about_options(&error) => {
            let options = options.clone().extra_float_digits(None);
            Ok((connect(options.clone(), limit).await?, options))
        }
        connected => Ok((connected?, options.clone())),
    }
}

/// Waits for a server that is about to start, and fails with what was said last.
async fn connect(options: PgConnectOptions, limit: Duration) -> Result<PgConnection, sqlx::Error> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    let mut last = sqlx::Error::PoolTimedOut;
    loop {
        match timeout_at(deadline, PgConnection::connect_with(&options)).await {
            Ok(Err(error)) if is_passing_at_connect(&error) => last = error,
            Ok(connected) => return connected,
            Err(_) => return Err(last),
        }
        let next = Instant::now() + pause;
        if next >= deadline {
            return Err(last);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// In the simple protocol: what is prepared may be another client's behind a pooler.
async fn has_mark(connection: &mut PgConnection, mark: &str) -> Result<bool, sqlx::Error> {
    let ask = format!("SELECT current_setting('{SETTING}', true)");
    let row = connection
        .fetch_one(sqlx::raw_sql(AssertSqlSafe(ask)))
        .await?;
    let found: Option<String> = row.try_get(0)?;
    Ok(found.as_deref() == Some(mark))
}

/// Whether another set of options may be taken: not where the login, its password or the database
/// is what is wrong, nor where there is no connection to spare.
fn is_about_options(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|said| said.code());
    code.is_some_and(|code| {
        !["28", "3D", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class))
    })
}

/// What PgBouncer says of settings that it does not know; a server never does.
fn is_protocol_violation(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|said| said.code());
    code.as_deref() == Some("08P01")
}

/// Whether a connection leads to a pooler that shows: one that renames prepared statements.
pub(crate) async fn shows_pooler(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let names = match names_of_a_statement(connection).await {
        Err(error) if is_of_another_client(&error) => return Ok(true),
        names => names?,
    };
    connection.clear_cached_statements().await?;
    Ok(are_renamed(&names))
}

/// Whether prepared statements are kept from one session to the next.
///
/// sqlx's own names are met in session mode too, which is treated alike because it can't be told
/// apart.
async fn keeps_statements(connection: &mut PgConnection) -> Result<bool, StartError> {
    let transactions = Through::Pooler {
        keeps_statements: true,
    };
    let ahead = reset::before_begin(transactions, Reset::BehindPooler, None);
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(format!("{ahead}BEGIN"))))
        .await
        .map_err(no_transactions)?;
    let keeps = match names_of_a_statement(connection).await {
        Ok(names) => are_renamed(&names),
        Err(error) if is_of_another_client(&error) => false,
        Err(error) => return Err(StartError::unreachable(error)),
    };
    if !keeps {
        // The session's next client may give the same name.
        let _ = connection.clear_cached_statements().await;
    }
    connection
        .execute("ROLLBACK")
        .await
        .map_err(StartError::unreachable)?;
    Ok(keeps)
}

/// The names that a statement, prepared by sqlx, has in the server.
async fn names_of_a_statement(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let mark = Uuid::now_v7().simple();
    let ask = format!(
        "SELECT name::text FROM pg_catalog.pg_prepared_statements \
         WHERE position('{mark}' IN statement) > 0"
    );
    sqlx::query_scalar(AssertSqlSafe(ask))
        .fetch_all(connection)
        .await
}

/// A pooler that keeps statements gives them names of its own, such as `PGBOUNCER_1`.
fn are_renamed(names: &[String]) -> bool {
    !names.is_empty() && !names.iter().any(|name| name.starts_with("sqlx_"))
}

/// SQLSTATEs of a name that is taken, and of one that is not there.
fn is_of_another_client(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|said| said.code());
    matches!(code.as_deref(), Some("42P05" | "26000"))
}

fn no_transactions(error: sqlx::Error) -> StartError {
    if !is_protocol_violation(&error) {
        return StartError::unreachable(error);
    }
    StartError::pooler(
        "the pooler in front of the database allows no transactions, and a tenant is named in one; \
         set its `pool_mode` to `transaction` (or `session`)",
        Some(error),
    )
}
