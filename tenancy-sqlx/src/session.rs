//! Beginning a tenant's transaction: one round trip that begins it and names the tenant, on a
//! connection that can't come back to the pool half begun.

mod strict;
mod switch;

use std::{
    fmt::Write as _,
    ops::{Deref, DerefMut},
};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _,
    postgres::PgTransactionManager,
};
use sqlx_core::transaction::TransactionManager as _;
use tenancy_core::{ProjectId, TenantContext, TenantId};
use tokio::time::{Instant, timeout_at};

use crate::{
    Error,
    connections::{Connections, Lane, Lent, RESET_SESSION},
    error::{is_closed_session, is_dead_connection, is_failed_transaction},
    options::{Isolation, Timeouts, TxOptions},
};

pub(crate) use switch::{Switched, last_row};

/// What a transaction is begun for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) tenant: TenantId,
    pub(crate) project: Option<ProjectId>,
}

/// What begins a transaction, and whom the session names in it.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    sql: String,
    names: Option<Scope>,
}

impl Scope {
    /// The batch that is sent instead of a plain `BEGIN`; with a context, in strict mode for it.
    ///
    /// # Security
    /// The text is put together from typed ids, numbers and hexadecimal digits only: a UUID in its
    /// hyphenated form needs no quoting. `set_config(…, true)` lasts until the end of the transaction, and is what
    /// transaction poolers and `pg_stat_statements` bear well.
    pub(crate) fn begin_batch(
        self,
        strict: Option<&TenantContext>,
        options: &TxOptions,
        timeouts: &Timeouts,
    ) -> Batch {
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
        self.push_settings(&mut sql, true);
        let limits = Timeouts {
            statement: options.statement_timeout.or(timeouts.statement),
            ..*timeouts
        };
        limits.push_settings(&mut sql);
        if let Some(context) = strict {
            strict::push_checks(&mut sql, context);
        }
        Batch {
            sql,
            names: Some(self),
        }
    }

    /// Appends the statement that names the tenant, until the transaction ends or for as long as the
    /// session lasts; more settings may follow it.
    fn push_settings(self, sql: &mut String, is_local: bool) {
        let _ = write!(
            sql,
            "SELECT set_config('tenancy.tenant_id', '{}', {is_local})",
            self.tenant
        );
        let _ = match self.project {
            Some(project) => {
                write!(
                    sql,
                    ", set_config('tenancy.project_id', '{project}', {is_local})"
                )
            }
            None => write!(sql, ", set_config('tenancy.project_id', '', {is_local})"),
        };
    }

    /// The statement that names the tenant again, after a savepoint's work may have changed it.
    pub(crate) fn settings_sql(self) -> String {
        let mut sql = String::with_capacity(160);
        self.push_settings(&mut sql, true);
        sql
    }
}

/// The batch that begins a transaction of no tenant, with limits.
pub(crate) fn nobodys_batch(begin: &str, limits: &Timeouts) -> Batch {
    let mut sql = format!("{begin}; SELECT set_config('tenancy.tenant_id', '', true)");
    limits.push_settings(&mut sql);
    Batch { sql, names: None }
}

/// The batch that begins a transaction to look at the session as it is, with limits.
pub(crate) fn limited_batch(limits: &Timeouts) -> Batch {
    let mut sql = "BEGIN READ ONLY; SELECT NULL".to_owned();
    limits.push_settings(&mut sql);
    Batch { sql, names: None }
}

/// A connection inside a transaction: goes back to its pool, which rolls back what is not committed.
pub(crate) struct Open {
    lent: Lent,
    /// Whether the pool sends statements of its own when the connection comes back, to which it can
    /// add a rollback.
    tidied: bool,
}

impl Open {
    /// Commits a transaction all of whose statements are known to have succeeded.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        PgTransactionManager::commit(&mut self.lent).await
    }

    /// Commits, and fails if a statement has failed: PostgreSQL itself answers the COMMIT of a failed
    /// transaction with a rollback, which sqlx takes for success.
    ///
    /// The first statement of the batch fails then, in the same round trip. The new transaction is
    /// for sqlx, whose count of open transactions goes down only by a statement that ends one.
    pub(crate) async fn commit_checked(mut self) -> Result<(), sqlx::Error> {
        self.lent.execute("SELECT; COMMIT AND CHAIN").await?;
        self.give_back();
        Ok(())
    }

    /// Rolls back, and looks whether a statement has failed: see [`Self::forget_statements`].
    pub(crate) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        if PgTransactionManager::get_transaction_depth(&self.lent) == 1 {
            match self.lent.execute("SELECT; ROLLBACK AND CHAIN").await {
                Ok(_) => {
                    self.give_back();
                    return Ok(());
                }
                Err(error) if is_failed_transaction(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.end().await?;
        self.forget_statements().await
    }

    /// Gives back a transaction of which nothing is to stay, and whose statements have succeeded:
    /// the rollback goes out with the pool's own round trip.
    pub(crate) fn give_back(mut self) {
        if !self.tidied {
            PgTransactionManager::start_rollback(&mut self.lent);
        }
    }

    /// Rolls back, forgets the statements that were prepared, and begins anew on the same
    /// connection.
    pub(crate) async fn begin_again(
        mut self,
        before_begin: &str,
        batch: Batch,
    ) -> Result<Self, sqlx::Error> {
        self.end().await?;
        self.forget_statements().await?;
        let mut beginning = Beginning(Some(self.lent));
        if let Some(lent) = &mut beginning.0 {
            let ahead = lent.ahead(batch.names, false).unwrap_or_default();
            let batch = AssertSqlSafe(format!("{ahead}{before_begin}{}", batch.sql));
            PgTransactionManager::begin(lent, Some(batch.into_sql_str())).await?;
        }
        match beginning.0.take() {
            Some(lent) => Ok(Self {
                lent,
                tidied: self.tidied,
            }),
            None => Err(sqlx::Error::BeginFailed),
        }
    }

    async fn end(&mut self) -> Result<(), sqlx::Error> {
        while PgTransactionManager::get_transaction_depth(&self.lent) > 0 {
            PgTransactionManager::rollback(&mut self.lent).await?;
        }
        Ok(())
    }

    /// A statement that no longer fits its table would fail for every later borrower.
    async fn forget_statements(&mut self) -> Result<(), sqlx::Error> {
        self.lent.clear_cached_statements().await
    }
}

impl Deref for Open {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.lent
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.lent
    }
}

/// Takes a connection from the pool and begins a transaction with a batch.
///
/// Has begun, or failed, within the pool's acquire timeout: a network that swallows packets would
/// otherwise keep the caller waiting for as long as TCP tries.
///
/// The pool does not ping before it hands a connection out, so that a dead one shows here: BEGIN
/// is safe to repeat. After a restart every idle connection is dead, hence one try for each.
pub(crate) async fn begin(pool: &Connections, batch: Batch) -> Result<Open, Error> {
    begin_for(pool, Lane::House, batch).await
}

/// The same, on behalf of somebody.
pub(crate) async fn begin_for(pool: &Connections, lane: Lane, batch: Batch) -> Result<Open, Error> {
    let lent = started(pool, lane, None, &Start::Begin(batch)).await?;
    Ok(Open {
        lent,
        tidied: pool.resets_session(),
    })
}

/// How the use of a connection begins.
enum Start {
    /// With a transaction that this batch begins.
    Begin(Batch),
    /// With a session in which this batch names a tenant.
    Switch(Batch),
}

/// Takes a connection and starts on it, as [`begin`] says.
async fn started(
    pool: &Connections,
    lane: Lane,
    wanted: Option<Scope>,
    start: &Start,
) -> Result<Lent, Error> {
    let deadline = Instant::now() + pool.patience();
    let mut tries = pool.most().saturating_add(1);
    loop {
        tries = tries.saturating_sub(1);
        let mut beginning = Beginning(Some(pool.acquire(lane, wanted, deadline).await?));
        let Some(lent) = &mut beginning.0 else {
            continue;
        };
        let asked = Instant::now();
        let Ok(begun) = timeout_at(deadline, start_on(pool, lent, start)).await else {
            pool.unanswered(asked);
            return Err(sqlx::Error::PoolTimedOut.into());
        };
        let error = match begun {
            Ok(()) => match beginning.0.take() {
                Some(lent) => {
                    pool.answered();
                    return Ok(lent);
                }
                None => continue,
            },
            Err(error) => error,
        };
        if is_dead_connection(&error) || is_closed_session(&error) {
            if tries == 0 {
                return Err(error.into());
            }
            tracing::debug!(%error, "a pooled connection was dead; taking another");
            continue;
        }
        pool.answered();
        // The server may have begun the transaction and then refused the rest of the batch. A
        // rolled-back connection is as good as new, and cheaper than another.
        if matches!(timeout_at(deadline, roll_back(lent)).await, Ok(Ok(()))) {
            drop(beginning.0.take());
        }
        return Err(error.into());
    }
}

async fn start_on(pool: &Connections, lent: &mut Lent, start: &Start) -> Result<(), sqlx::Error> {
    lent.open_session().await?;
    let frees = lent.names_a_tenant();
    match start {
        Start::Begin(batch) => {
            let ahead = lent.ahead(batch.names, frees);
            let ahead = ahead.unwrap_or_else(|| match frees {
                true => switch::freed_before(),
                false => String::new(),
            });
            let batch = format!("{ahead}{}{}", pool.before_begin(), batch.sql);
            begin_on(pool, lent, batch).await
        }
        Start::Switch(batch) => {
            let ahead = lent.ahead(batch.names, true);
            let ahead = ahead.unwrap_or_else(|| format!("{RESET_SESSION}; "));
            switch::switch(lent, format!("{ahead}{}", batch.sql)).await
        }
    }
}

/// sqlx counts a transaction as open that the pool itself has rolled back; a batch is then sent as
/// it is.
async fn begin_on(pool: &Connections, lent: &mut Lent, batch: String) -> Result<(), sqlx::Error> {
    let batch = AssertSqlSafe(batch).into_sql_str();
    if pool.through().forgets_statements() && lent.cached_statements_size() > 0 {
        // Not tidied up when it came back.
        lent.clear_cached_statements().await?;
    }
    if PgTransactionManager::get_transaction_depth(lent) == 0 {
        return PgTransactionManager::begin(lent, Some(batch)).await;
    }
    lent.execute(batch).await.map(drop)
}

async fn roll_back(lent: &mut Lent) -> Result<(), sqlx::Error> {
    if PgTransactionManager::get_transaction_depth(lent) == 0 {
        return lent.execute("ROLLBACK").await.map(drop);
    }
    PgTransactionManager::rollback(lent).await
}

/// A connection on which a transaction is being begun.
///
/// sqlx does not count a transaction whose BEGIN was cancelled, or failed half-way. Such a connection
/// looks as if it were outside of one, and its next borrower could be inside another tenant's: a
/// defect of sqlx's own pool, up to 0.9.0. So the connection is closed when this is dropped before
/// the outcome is known.
struct Beginning(Option<Lent>);

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(lent) = &mut self.0 {
            lent.close_on_drop();
        }
    }
}
