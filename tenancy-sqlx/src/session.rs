//! Beginning a tenant's transaction: one round trip that begins it and names the tenant, on a
//! connection that can't come back to the pool half begun.

mod strict;

use std::{
    fmt::Write as _,
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Postgres, SqlSafeStr as _, SqlStr,
    pool::PoolConnection, postgres::PgTransactionManager,
};
use sqlx_core::transaction::TransactionManager as _;
use tenancy_core::{ProjectId, TenantContext, TenantId};

use crate::{
    Error,
    connections::Connections,
    error::is_dead_connection,
    options::{Isolation, Timeouts, TxOptions},
};

/// What a transaction is begun for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) tenant: TenantId,
    pub(crate) project: Option<ProjectId>,
}

impl Scope {
    /// The batch that is sent instead of a plain `BEGIN`; with a context, in strict mode for it.
    ///
    /// # Security
    /// The text is put together from typed ids, numbers and hexadecimal digits only: a UUID in its
    /// hyphenated form needs no quoting. `set_config(…, true)` lasts until the end of the transaction, and is what
    /// transaction poolers and `pg_stat_statements` bear well.
    fn begin_batch(
        self,
        strict: Option<&TenantContext>,
        options: &TxOptions,
        timeouts: &Timeouts,
    ) -> String {
        let mut sql = String::with_capacity(384);
        sql.push_str("BEGIN");
        match options.isolation {
            Isolation::ReadCommitted => {}
            Isolation::RepeatableRead => sql.push_str(" ISOLATION LEVEL REPEATABLE READ"),
            Isolation::Serializable => sql.push_str(" ISOLATION LEVEL SERIALIZABLE"),
        }
        if options.read_only {
            sql.push_str(" READ ONLY");
        }
        sql.push_str("; ");
        self.push_settings(&mut sql);
        for (name, limit) in [
            (
                "statement_timeout",
                options.statement_timeout.or(timeouts.statement),
            ),
            ("lock_timeout", timeouts.lock),
            (
                "idle_in_transaction_session_timeout",
                timeouts.idle_in_transaction,
            ),
        ] {
            if let Some(limit) = limit {
                let _ = write!(sql, ", set_config('{name}', '{}', true)", millis(limit));
            }
        }
        if let Some(context) = strict {
            strict::push_checks(&mut sql, context);
        }
        sql
    }

    /// Appends the statement that names the tenant; more settings may follow it.
    fn push_settings(self, sql: &mut String) {
        let _ = write!(
            sql,
            "SELECT set_config('tenancy.tenant_id', '{}', true)",
            self.tenant
        );
        let _ = match self.project {
            Some(project) => write!(sql, ", set_config('tenancy.project_id', '{project}', true)"),
            None => write!(sql, ", set_config('tenancy.project_id', '', true)"),
        };
    }

    /// The statement that names the tenant again, after a savepoint's work may have changed it.
    pub(crate) fn settings_sql(self) -> String {
        let mut sql = String::with_capacity(160);
        self.push_settings(&mut sql);
        sql
    }
}

/// Whole milliseconds, at least one: zero would switch a limit off.
fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}

/// A connection inside a transaction: goes back to its pool with the rollback queued, which goes
/// out with the pool's own round trip, unless it was committed.
pub(crate) struct Open(PoolConnection<Postgres>);

impl Open {
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        PgTransactionManager::commit(&mut self.0).await
    }
}

impl Deref for Open {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        while PgTransactionManager::get_transaction_depth(&self.0) > 0 {
            PgTransactionManager::start_rollback(&mut self.0);
        }
    }
}

/// Takes a connection from the pool and begins a transaction for `scope` on it.
pub(crate) async fn begin(
    pool: &Connections,
    scope: Scope,
    strict: Option<&TenantContext>,
    options: &TxOptions,
    timeouts: &Timeouts,
) -> Result<Open, Error> {
    begin_batch(pool, scope.begin_batch(strict, options, timeouts)).await
}

/// As [`begin`], for a batch of the crate's own making.
///
/// Has begun, or failed, within the pool's acquire timeout: a network that swallows packets would
/// otherwise keep the caller waiting for as long as TCP tries.
pub(crate) async fn begin_batch(pool: &Connections, batch: String) -> Result<Open, Error> {
    let limit = pool.as_sqlx().options().get_acquire_timeout();
    match tokio::time::timeout(limit, begin_on_any(pool, batch)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    }
}

/// The pool does not ping before it hands a connection out, so that a dead one shows here: BEGIN
/// is safe to repeat. After a restart every idle connection is dead, hence one try for each.
async fn begin_on_any(pool: &Connections, batch: String) -> Result<Open, Error> {
    let batch = AssertSqlSafe(format!("{}{batch}", pool.before_begin())).into_sql_str();
    let mut tries = pool
        .as_sqlx()
        .options()
        .get_max_connections()
        .saturating_add(1);
    loop {
        tries = tries.saturating_sub(1);
        let mut beginning = Beginning(Some(pool.acquire().await?));
        let Some(connection) = &mut beginning.0 else {
            continue;
        };
        let error = match begin_on(pool, connection, batch.clone()).await {
            Ok(()) => match beginning.0.take() {
                Some(begun) => return Ok(Open(begun)),
                None => continue,
            },
            Err(error) => error,
        };
        if is_dead_connection(&error) {
            if tries == 0 {
                return Err(error.into());
            }
            tracing::debug!(%error, "a pooled connection was dead; taking another");
            continue;
        }
        // The server may have begun the transaction and then refused the rest of the batch. A
        // rolled-back connection is as good as new, and cheaper than another.
        if connection.execute("ROLLBACK").await.is_ok() {
            drop(beginning.0.take());
        }
        return Err(error.into());
    }
}

async fn begin_on(
    pool: &Connections,
    connection: &mut PgConnection,
    batch: SqlStr,
) -> Result<(), sqlx::Error> {
    if pool.through().forgets_statements() && connection.cached_statements_size() > 0 {
        // Not tidied up when it came back.
        connection.clear_cached_statements().await?;
    }
    PgTransactionManager::begin(connection, Some(batch)).await
}

/// A connection on which a transaction is being begun.
///
/// sqlx (up to 0.9.0) takes a connection whose BEGIN was cancelled, or failed half-way, back into
/// its pool, where the next borrower finds itself inside another tenant's transaction. So the
/// connection is closed when this is dropped before the outcome is known.
struct Beginning(Option<PoolConnection<Postgres>>);

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}
