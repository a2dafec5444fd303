//! Asking what stands between, at start.
//!
//! A connection is opened with a setting of our own. The server has it in the session; a pooler
//! refuses it or drops it, because it gives its sessions to others too.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use super::{Detour, Reset, Route, Through, reset};
use crate::StartError;

/// The setting; PostgreSQL takes any with a dot in its name.
const SETTING: &str = "tenancy.probe";

pub(super) async fn route(options: PgConnectOptions, limit: Duration) -> Result<Route, StartError> {
    match refuse_pooler(&options, limit).await {
        Ok(()) => Ok(Route {
            options,
            through: Through::Direct,
        }),
        Err(Detour::Pooler) => behind_pooler(options, limit).await,
        Err(Detour::Unreachable(error)) => Err(StartError::unreachable(error)),
    }
}

pub(super) async fn refuse_pooler(
    options: &PgConnectOptions,
    limit: Duration,
) -> Result<(), Detour> {
    let mark = Uuid::now_v7().simple().to_string();
    let marked = options.clone().options([(SETTING, &mark)]);
    let refused = match connect(marked, limit).await {
        Ok(pool) => {
            let found = has_mark(&pool, &mark).await;
            pool.close().await;
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
        Ok((pool, _)) => {
            pool.close().await;
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
    let (pool, options) = connect_plainly(&options, limit)
        .await
        .map_err(StartError::unreachable)?;
    let keeps = match pool.acquire().await {
        Ok(mut connection) => keeps_statements(&mut connection).await,
        Err(error) => Err(StartError::unreachable(error)),
    };
    pool.close().await;
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
) -> Result<(PgPool, PgConnectOptions), sqlx::Error> {
    match connect(options.clone(), limit).await {
        Err(error) if is_about_options(&error) => {
            let options = options.clone().extra_float_digits(None);
            Ok((connect(options.clone(), limit).await?, options))
        }
        pool => Ok((pool?, options.clone())),
    }
}

/// A pool of one, because it waits for a server that is about to start.
async fn connect(options: PgConnectOptions, limit: Duration) -> Result<PgPool, sqlx::Error> {
    let settings = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(limit);
    settings.connect_with(options).await
}

/// In the simple protocol: what is prepared may be another client's behind a pooler.
async fn has_mark(pool: &PgPool, mark: &str) -> Result<bool, sqlx::Error> {
    let ask = format!("SELECT current_setting('{SETTING}', true)");
    let row = pool.fetch_one(sqlx::raw_sql(AssertSqlSafe(ask))).await?;
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
