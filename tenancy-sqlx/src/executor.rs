//! `&TenantDb` and `&TenantReader` as sqlx executors: one statement, in autocommit or in a
//! transaction.

use async_stream::try_stream;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt as _;
use sqlx::{
    Either, Error, Execute, Executor, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;

use crate::{
    TenantDb, TenantReader, TenantTx, TxOptions,
    alone::{Alone, Attempt},
    error::is_stale_plan,
    session::Access,
};

/// Implements [`Executor`] for a reference to something that begins a transaction and ends it.
///
/// `describe` is a hidden method of the trait which exists while sqlx-core's feature `offline` is
/// on; this crate switches it on, so that the implementation can't be broken from outside.
macro_rules! executor {
    ($database:ty) => {
        impl<'c> Executor<'c> for &'c $database {
            type Database = Postgres;

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let statement = Statement::of(query);
                Box::pin(try_stream! {
                    let statement = statement?;
                    let is_plain = self.is_plain(&statement);
                    let mut attempt = <$database>::FIRST;
                    while let Some(mut alone) = self.alone(attempt, is_plain).await? {
                        let mut has_begun = false;
                        let outcome = {
                            let mut rows = (&mut *alone).fetch_many(statement.clone());
                            loop {
                                match rows.try_next().await {
                                    Ok(Some(row)) => {
                                        has_begun = true;
                                        yield row;
                                    }
                                    Ok(None) => break Ok(()),
                                    Err(error) => break Err(error),
                                }
                            }
                        };
                        match outcome {
                            Ok(()) => {
                                alone.settle().await?;
                                return;
                            }
                            Err(error) if has_begun => Err(error)?,
                            Err(error) => attempt = attempt.after(alone, error).await?,
                        }
                    }
                    let mut tx = self.begin_one().await?;
                    let mut stale = false;
                    {
                        let mut rows = (&mut *tx).fetch_many(statement.clone());
                        loop {
                            match rows.try_next().await {
                                Ok(Some(row)) => yield row,
                                Ok(None) => break,
                                Err(error) if is_stale_plan(&error) => {
                                    // The server says so before it runs the statement.
                                    stale = true;
                                    break;
                                }
                                Err(error) => Err(error)?,
                            }
                        }
                    }
                    if stale {
                        tx = self.begin_one_again(tx).await?;
                        let mut rows = (&mut *tx).fetch_many(statement);
                        while let Some(row) = rows.try_next().await? {
                            yield row;
                        }
                    }
                    self.end(tx, is_plain).await?;
                })
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let statement = Statement::of(query);
                Box::pin(async move {
                    let statement = statement?;
                    let is_plain = self.is_plain(&statement);
                    let mut attempt = <$database>::FIRST;
                    while let Some(mut alone) = self.alone(attempt, is_plain).await? {
                        match (&mut *alone).fetch_optional(statement.clone()).await {
                            Ok(row) => {
                                alone.settle().await?;
                                return Ok(row);
                            }
                            Err(error) => attempt = attempt.after(alone, error).await?,
                        }
                    }
                    let mut tx = self.begin_one().await?;
                    let row = match (&mut *tx).fetch_optional(statement.clone()).await {
                        Err(error) if is_stale_plan(&error) => {
                            tx = self.begin_one_again(tx).await?;
                            (&mut *tx).fetch_optional(statement).await?
                        }
                        fetched => fetched?,
                    };
                    self.end(tx, is_plain).await?;
                    Ok(row)
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
                Box::pin(async move {
                    let mut tx = self.begin_reading().await?;
                    (&mut *tx).prepare_with(sql, parameters).await
                })
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
            where
                'c: 'e,
            {
                Box::pin(async move {
                    let mut tx = self.begin_reading().await?;
                    (&mut *tx).describe(sql).await
                })
            }
        }
    };
}

executor!(TenantDb);
executor!(TenantReader);

/// A statement that may write.
impl TenantDb {
    const FIRST: Attempt = Attempt::Autocommit;

    fn is_plain(&self, statement: &Statement) -> bool {
        self.pool().is_plain(statement.sql.as_str())
    }

    async fn alone(&self, attempt: Attempt, is_plain: bool) -> Result<Option<Alone>, Error> {
        self.in_autocommit(Access::Write, attempt, is_plain).await
    }

    async fn in_autocommit(
        &self,
        access: Access,
        attempt: Attempt,
        is_plain: bool,
    ) -> Result<Option<Alone>, Error> {
        if attempt == Attempt::Transaction || !is_plain {
            return Ok(None);
        }
        let trusts = attempt != Attempt::AutocommitAsked;
        let session = self.pool().autocommit(self.context(), access, trusts);
        Ok(session.await?.map(Alone::Autocommit))
    }

    async fn begin_one(&self) -> Result<TenantTx, Error> {
        Ok(self.begin().await?)
    }

    /// For what runs no statement.
    async fn begin_reading(&self) -> Result<TenantTx, Error> {
        let options = TxOptions::new().read_only().primary();
        Ok(self.begin_with(options).await?)
    }

    async fn begin_one_again(&self, tx: TenantTx) -> Result<TenantTx, Error> {
        Ok(self.pool().begin_again(tx, &TxOptions::new()).await?)
    }

    async fn end(&self, tx: TenantTx, was_plain: bool) -> Result<(), Error> {
        Ok(tx.commit_one(was_plain).await?)
    }
}

/// A statement that only reads.
impl TenantReader {
    const FIRST: Attempt = Attempt::Replica;

    fn is_plain(&self, statement: &Statement) -> bool {
        self.db().is_plain(statement)
    }

    async fn alone(&self, attempt: Attempt, is_plain: bool) -> Result<Option<Alone>, Error> {
        let db = self.db();
        if attempt == Attempt::Replica
            && !self.is_of_primary()
            && let Some(open) = db.pool().read_on_replica(db.context()).await?
        {
            return Ok(Some(Alone::Replica(open)));
        }
        db.in_autocommit(Access::Read, attempt, is_plain).await
    }

    /// Replicas have had their turn.
    fn options() -> TxOptions {
        TxOptions::new().read_only().primary()
    }

    async fn begin_one(&self) -> Result<TenantTx, Error> {
        Ok(self.db().begin_with(Self::options()).await?)
    }

    async fn begin_reading(&self) -> Result<TenantTx, Error> {
        self.begin_one().await
    }

    async fn begin_one_again(&self, tx: TenantTx) -> Result<TenantTx, Error> {
        let options = Self::options();
        Ok(self.db().pool().begin_again(tx, &options).await?)
    }

    async fn end(&self, tx: TenantTx, _was_plain: bool) -> Result<(), Error> {
        Ok(tx.end_reading().await?)
    }
}

/// A statement that can be run again.
///
/// After a table was altered, a connection that has prepared `SELECT * FROM` it refuses to run that
/// once more. Nothing has been read or written then, so that it is prepared anew and runs in a new
/// transaction, unseen by the caller.
#[derive(Clone)]
struct Statement {
    sql: SqlStr,
    prepared: Option<PgStatement>,
    arguments: Option<PgArguments>,
    persistent: bool,
}

impl Statement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, Error> {
        Ok(Self {
            arguments: query.take_arguments().map_err(Error::Encode)?,
            prepared: query.statement().cloned(),
            persistent: query.persistent(),
            sql: query.sql(),
        })
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
