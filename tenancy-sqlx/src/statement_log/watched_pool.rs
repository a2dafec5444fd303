//! A pool of the application's own, whose statements the log sees.

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Either, Error, Execute, Executor, PgPool, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;

use super::{Attribution, StatementLog, watched_many, watched_one};

/// A `PgPool` whose statements a [`StatementLog`] sees, as ones outside of a tenant's context; `&WatchedPool` is an sqlx
/// `Executor`.
///
/// What waits for a connection counts as a part of a statement's duration: sqlx takes it by itself.
///
/// ```no_run
/// use sqlx::PgPool;
/// use tenancy_sqlx::statement_log::StatementLog;
///
/// async fn rates(log: &StatementLog, pool: PgPool) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
///     // Rates are nobody's. A statement for `notes`, which tenants have, would be flagged.
///     let pool = log.watch(pool).await?;
///     Ok(sqlx::query_scalar("SELECT rate FROM rates").fetch_all(&pool).await?)
/// }
/// # let _ = rates;
/// ```
///
/// # Security
/// It names no tenant. Row security shows the service's login no rows of protected tables then; another login may see
/// all.
#[derive(Debug)]
pub struct WatchedPool {
    pool: PgPool,
    of: Attribution,
}

impl WatchedPool {
    pub(super) fn new(pool: PgPool, log: StatementLog) -> Self {
        Self {
            pool,
            of: Attribution::nobody(&log, None),
        }
    }

    /// The pool itself, for transactions and what else there is. Their statements are past the log.
    #[must_use]
    pub const fn unwatched(&self) -> &PgPool {
        &self.pool
    }
}

impl<'c> Executor<'c> for &'c WatchedPool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        watched_many(&self.of, query, |statement| self.pool.fetch_many(statement))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        watched_one(&self.of, query, |statement| {
            self.pool.fetch_optional(statement)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        self.pool.describe(sql)
    }
}
