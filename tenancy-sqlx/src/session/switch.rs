//! A session that names a tenant without a transaction: freed and named by one batch before each
//! statement, and freed again before it is used for anything else.

use std::ops::{Deref, DerefMut};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Either, Executor as _, PgConnection, Row as _, postgres::PgRow};

use super::{Batch, Scope, Start, started};
use crate::{
    Error,
    connections::{Connections, Lane, Lent, RESET_SESSION},
    options::Timeouts,
};

/// Frees a session that names a tenant, ahead of BEGIN and in the same message. A transaction of its
/// own, so that it holds whatever becomes of the one that follows.
pub(super) fn freed_before() -> String {
    format!("BEGIN READ WRITE; {RESET_SESSION}; COMMIT; ")
}

/// The batch that names a tenant in a session that was freed ahead of it, for reading.
///
/// # Security
/// As [`Scope::begin_batch`]. The answer says whether a transaction was open, in which the name would
/// not last and what came before would not end; and which process answers.
pub(super) fn batch(scope: Scope, limits: &Timeouts) -> Batch {
    let mut sql = String::with_capacity(512);
    scope.push_settings(&mut sql, false);
    limits.push(&mut sql, false);
    sql.push_str(
        ", pg_catalog.set_config('default_transaction_read_only', 'on', false), \
         pg_catalog.now() = pg_catalog.statement_timestamp() AS outside, \
         pg_catalog.pg_backend_pid() AS process",
    );
    Batch {
        sql,
        names: Some(scope),
    }
}

/// The last row that statements answer with, all of whose answers are read.
pub(crate) async fn last_row(
    connection: &mut PgConnection,
    sql: String,
) -> Result<Option<PgRow>, sqlx::Error> {
    let mut last = None;
    let mut answers = connection.fetch_many(AssertSqlSafe(sql));
    while let Some(answer) = answers.try_next().await? {
        if let Either::Right(row) = answer {
            last = Some(row);
        }
    }
    Ok(last)
}

/// Makes a connection's session name a tenant.
pub(super) async fn switch(lent: &mut Lent, batch: String) -> Result<(), sqlx::Error> {
    let Some(row) = last_row(lent, batch).await? else {
        return Err(sqlx::Error::Protocol("no answer to a switch".into()));
    };
    let outside: bool = row.try_get("outside")?;
    let process: i32 = row.try_get("process")?;
    if !outside {
        return Err(sqlx::Error::Protocol(
            "a transaction was open at a switch".into(),
        ));
    }
    if !lent.is_served_by(process) {
        return Err(sqlx::Error::Protocol(
            "another process of the server answers; a pooler stands between, which was not \
             noticed at the start"
                .into(),
        ));
    }
    Ok(())
}

/// A connection whose session names a tenant. Dropped before [`settle`](Self::settle), it is tidied
/// up as one that was in a transaction.
pub(crate) struct Switched {
    lent: Lent,
    scope: Scope,
}

impl Switched {
    /// Takes a connection, of the same tenant and project if one is idle, and names them in it.
    pub(crate) async fn take(
        pool: &Connections,
        scope: Scope,
        limits: &Timeouts,
    ) -> Result<Self, Error> {
        let start = Start::Switch(batch(scope, limits));
        let lane = Lane::Tenant(scope.tenant);
        let lent = started(pool, lane, Some(scope), &start).await?;
        Ok(Self { lent, scope })
    }

    /// Gives back a connection whose statement has succeeded, and whose answer has been read.
    pub(crate) fn settle(mut self) {
        self.lent.settle(self.scope);
    }
}

impl Deref for Switched {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.lent
    }
}

impl DerefMut for Switched {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.lent
    }
}
