//! Beginning a tenant's transaction: one round trip that begins it and names the tenant, on a
//! connection that can't come back to the pool half begun.

mod autocommit;
mod strict;

use std::{
    fmt::Write as _,
    ops::{Deref, DerefMut},
};

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor as _, PgConnection, SqlSafeStr as _,
    postgres::{PgRow, PgTransactionManager},
};
use sqlx_core::transaction::TransactionManager as _;
use tenancy_core::{ProjectId, TenantContext, TenantId};
use tokio::time::{Instant, timeout_at};

use crate::{
    Error,
    connections::{Connections, Lane, Lent, Wear},
    error::{is_closed_session, is_dead_connection, is_failed_transaction},
    options::{Isolation, Timeouts, TxOptions},
};

pub(crate) use autocommit::{Autocommit, Naming};

/// What a transaction is begun for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) tenant: TenantId,
    pub(crate) project: Option<ProjectId>,
}

/// What a session allows in the transactions that statements in autocommit make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// What a session names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) scope: Scope,
    pub(crate) access: Access,
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

impl Batch {
    /// The same, followed by statements.
    ///
    /// # Security
    /// Only for what is put together from typed ids, numbers and hexadecimal digits.
    pub(crate) fn and(mut self, statements: &str) -> Self {
        self.sql.push_str("; ");
        self.sql.push_str(statements);
        self
    }

    /// The same, followed by statements and a commit: a whole transaction.
    pub(crate) fn whole(self, statements: &str) -> Self {
        self.and(statements).and("COMMIT")
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

    /// The same where they were plain, so that the connection need not be tidied up.
    pub(crate) async fn commit_plain(mut self) -> Result<(), sqlx::Error> {
        PgTransactionManager::commit(&mut self.lent).await?;
        self.lent.settle(Wear::Written, None);
        Ok(())
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

    /// The same, and asks a question right after the commit. `None` where the commit is known and the
    /// answer is not. Where all statements were plain, the connection need not be tidied up.
    pub(crate) async fn commit_asking(
        mut self,
        question: &'static str,
        are_plain: bool,
    ) -> Result<Option<PgRow>, sqlx::Error> {
        let chain = if are_plain { "" } else { " AND CHAIN" };
        let batch = format!("SELECT; COMMIT{chain}; {question}");
        let mut ended = 0;
        let mut last = None;
        {
            let mut answers = self.lent.fetch_many(AssertSqlSafe(batch));
            loop {
                match answers.try_next().await {
                    Ok(Some(Either::Left(_))) => ended += 1,
                    Ok(Some(Either::Right(row))) => last = Some(row),
                    Ok(None) => break,
                    Err(_) if ended >= 2 => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
        }
        if are_plain {
            self.lent.settle(Wear::Written, None);
        } else {
            self.give_back();
        }
        Ok(last)
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
            let ahead = lent.ahead(batch.names).unwrap_or_default();
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
    begin_for(pool, Lane::HOUSE, batch).await
}

/// The same, on behalf of somebody.
pub(crate) async fn begin_for(pool: &Connections, lane: Lane, batch: Batch) -> Result<Open, Error> {
    let (lent, _) = started(pool, lane, None, &Start::Begin(batch)).await?;
    Ok(Open {
        lent,
        tidied: pool.resets_session(),
    })
}

/// The same, and asks a question ahead of BEGIN: what the transaction sees is no older than the answer.
/// For pools behind which there is no pooler.
pub(crate) async fn begin_asked(
    pool: &Connections,
    lane: Lane,
    question: &'static str,
    batch: Batch,
) -> Result<(Open, PgRow), Error> {
    let start = Start::Asked { question, batch };
    let (lent, answers) = started(pool, lane, None, &start).await?;
    let open = Open {
        lent,
        tidied: pool.resets_session(),
    };
    let answer = answers.into_iter().next();
    let absent = || sqlx::Error::Protocol("the server has not answered the question".to_owned());
    Ok((open, answer.ok_or_else(absent)?))
}

/// Sends a [whole](Batch::whole) transaction in one message, and returns the rows of all its statements.
/// They must leave nothing in the session: the connection is not tidied up after them.
///
/// A caller who leaves, or whose patience ends, leaves the connection to a task until the server has answered.
/// Else the server would go on with a session that counts for nobody, and whoever is impatient could have it
/// open as many as it takes. A server that is slow is not out of reach: only one that says nothing for
/// [much longer](SILENCE) is.
pub(crate) async fn run(pool: &Connections, batch: Batch) -> Result<Vec<PgRow>, Error> {
    let deadline = Instant::now() + pool.patience();
    for _ in 0..=pool.most() {
        let lent = pool.acquire(Lane::HOUSE, None, deadline).await?;
        let exchange = tokio::spawn(exchange(pool.clone(), lent, batch.clone()));
        let answer = match timeout_at(deadline, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_ended)) => return Err(sqlx::Error::WorkerCrashed.into()),
            Err(_) => return Err(sqlx::Error::PoolTimedOut.into()),
        };
        match answer {
            Err(error) if is_dead_connection(&error) || is_closed_session(&error) => {
                tracing::debug!(%error, "a pooled connection was dead; taking another");
            }
            answer => return Ok(answer?),
        }
    }
    Err(sqlx::Error::PoolTimedOut.into())
}

/// How much longer than a caller's patience a server may say nothing.
const SILENCE: u32 = 4;

async fn exchange(pool: Connections, lent: Lent, batch: Batch) -> Result<Vec<PgRow>, sqlx::Error> {
    let mut beginning = Beginning(Some(lent));
    let Some(lent) = &mut beginning.0 else {
        return Err(sqlx::Error::WorkerCrashed);
    };
    let asked = Instant::now();
    let start = Start::Whole(batch);
    let limit = asked + pool.patience() * SILENCE;
    let answer = match timeout_at(limit, start_on(&pool, lent, &start)).await {
        Ok(answer) => answer,
        Err(_) => {
            pool.unanswered(asked);
            return Err(sqlx::Error::PoolTimedOut);
        }
    };
    match &answer {
        Ok(_) => {
            pool.answered();
            lent.settle(Wear::None, None);
            drop(beginning.0.take());
        }
        Err(error) if is_dead_connection(error) || is_closed_session(error) => {}
        Err(_) => {
            pool.answered();
            let rolled_back = timeout_at(limit, roll_back(lent)).await;
            if matches!(rolled_back, Ok(Ok(()))) {
                drop(beginning.0.take());
            }
        }
    }
    answer
}

/// How the use of a connection begins.
enum Start<'s> {
    /// With a transaction that this batch begins.
    Begin(Batch),
    /// With a question, and then a transaction.
    Asked {
        question: &'static str,
        batch: Batch,
    },
    /// With a transaction that is all there is.
    Whole(Batch),
    /// With a session that names a tenant.
    Name(Naming<'s>),
}

/// Takes a connection and starts on it, as [`begin`] says.
async fn started(
    pool: &Connections,
    lane: Lane,
    wanted: Option<Named>,
    start: &Start<'_>,
) -> Result<(Lent, Vec<PgRow>), Error> {
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
            Ok(answer) => match beginning.0.take() {
                Some(lent) => {
                    pool.answered();
                    return Ok((lent, answer));
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
        let ended = timeout_at(deadline, end_after(&error, start, lent)).await;
        if matches!(ended, Ok(Ok(()))) {
            drop(beginning.0.take());
        }
        return Err(error.into());
    }
}

async fn start_on(
    pool: &Connections,
    lent: &mut Lent,
    start: &Start<'_>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    lent.open_session().await?;
    match start {
        Start::Begin(batch) => {
            let batch = whole(pool, lent, batch);
            begin_on(pool, lent, batch).await?;
        }
        Start::Asked { question, batch } => {
            let batch = whole(pool, lent, batch);
            return ask_on(pool, lent, question, batch).await;
        }
        Start::Whole(batch) => {
            let batch = whole(pool, lent, batch);
            let rows = lent.fetch_all(AssertSqlSafe(batch)).await?;
            lent.note_freed();
            return Ok(rows);
        }
        Start::Name(naming) => naming.name(lent).await?,
    }
    Ok(Vec::new())
}

/// The message that begins a transaction on a connection.
fn whole(pool: &Connections, lent: &mut Lent, batch: &Batch) -> String {
    let frees = lent.wear().reset().filter(|_| pool.resets_session());
    let ahead = lent.ahead(batch.names).unwrap_or_else(|| match frees {
        // A transaction of its own: it holds whatever becomes of the one that follows.
        Some(reset) => format!("BEGIN; {reset}; COMMIT; "),
        None => String::new(),
    });
    format!("{ahead}{}{}", pool.before_begin(), batch.sql)
}

/// The question is a transaction of its own, so that its answer is older than the snapshot of the one
/// that follows, at any level of isolation. One message, but for a connection's first.
async fn ask_on(
    pool: &Connections,
    lent: &mut Lent,
    question: &'static str,
    batch: String,
) -> Result<Vec<PgRow>, sqlx::Error> {
    if PgTransactionManager::get_transaction_depth(lent) == 0 {
        let answer = lent.fetch_all(question).await?;
        begin_on(pool, lent, batch).await?;
        return Ok(answer);
    }
    let batch = format!("BEGIN READ ONLY; {question}; COMMIT; {batch}");
    lent.fetch_all(AssertSqlSafe(batch)).await
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
        PgTransactionManager::begin(lent, Some(batch)).await?;
    } else {
        lent.execute(batch).await?;
    }
    lent.note_freed();
    Ok(())
}

/// Ends whatever is open after a start that has failed.
///
/// A batch that names a session begins no transaction, and the server warns of a ROLLBACK outside of one. So
/// it is asked first: where a transaction was open all the same, it has failed, and answers nothing.
async fn end_after(
    error: &sqlx::Error,
    start: &Start<'_>,
    lent: &mut Lent,
) -> Result<(), sqlx::Error> {
    let said = matches!(start, Start::Name(_)) && error.as_database_error().is_some();
    if said && lent.execute("SELECT").await.is_ok() {
        return Ok(());
    }
    roll_back(lent).await
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
