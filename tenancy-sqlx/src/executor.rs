//! `&TenantDb` and `&TenantReader` as sqlx executors: one statement, in autocommit or in a
//! transaction.

use async_stream::try_stream;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt as _;
use sqlx::{
    Either, Error, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;

use crate::{
    TenantDb, TenantReader, TenantTx, TxOptions,
    alone::{Alone, Attempt},
    error::is_stale_plan,
    session::Access,
    statement::Statement,
    statement_log::{Attribution, Watched},
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
                    let of = self.attribution();
                    let mut watched = None;
                    let mut attempt = <$database>::FIRST;
                    while let Some(mut alone) =
                        Watched::ready(&mut watched, self.alone(attempt, is_plain).await)?
                    {
                        let watched = Watched::sent(&mut watched, of.as_ref(), &statement.sql);
                        let mut has_begun = false;
                        let outcome = {
                            let mut rows = (&mut *alone).fetch_many(statement.clone());
                            loop {
                                match rows.try_next().await {
                                    Ok(Some(row)) => {
                                        has_begun = true;
                                        watched.saw(&row);
                                        yield row;
                                    }
                                    Ok(None) => break Ok(()),
                                    Err(error) => break Err(error),
                                }
                            }
                        };
                        match outcome {
                            Ok(()) => {
                                watched.stop();
                                let settled = alone.settle().await;
                                watched.settled(&settled);
                                return settled?;
                            }
                            Err(error) if has_begun => {
                                watched.failed(&error);
                                Err(error)?
                            }
                            Err(error) => attempt = watched.unless(attempt.after(alone, error).await)?,
                        }
                    }
                    let mut tx = Watched::ready(&mut watched, self.begin_one().await)?;
                    let watched = Watched::sent(&mut watched, of.as_ref(), &statement.sql);
                    let mut stale = false;
                    {
                        let mut rows = tx.unlogged().fetch_many(statement.clone());
                        loop {
                            match rows.try_next().await {
                                Ok(Some(row)) => {
                                    watched.saw(&row);
                                    yield row;
                                }
                                Ok(None) => break,
                                Err(error) if is_stale_plan(&error) => {
                                    // The server says so before it runs the statement.
                                    stale = true;
                                    break;
                                }
                                Err(error) => {
                                    watched.failed(&error);
                                    Err(error)?
                                }
                            }
                        }
                    }
                    if stale {
                        tx = watched.unless(self.begin_one_again(tx).await)?;
                        watched.again();
                        let mut rows = tx.unlogged().fetch_many(statement);
                        while let Some(row) = watched.unless(rows.try_next().await)? {
                            watched.saw(&row);
                            yield row;
                        }
                    }
                    watched.stop();
                    let ended = self.end(tx, is_plain).await;
                    watched.unless(ended)?;
                    watched.done();
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
                    let of = self.attribution();
                    let mut watched = None;
                    let mut attempt = <$database>::FIRST;
                    while let Some(mut alone) =
                        Watched::ready(&mut watched, self.alone(attempt, is_plain).await)?
                    {
                        let watched = Watched::sent(&mut watched, of.as_ref(), &statement.sql);
                        match (&mut *alone).fetch_optional(statement.clone()).await {
                            Ok(row) => {
                                watched.saw_one(row.as_ref());
                                watched.stop();
                                let settled = alone.settle().await;
                                watched.settled(&settled);
                                settled?;
                                return Ok(row);
                            }
                            Err(error) => {
                                attempt = watched.unless(attempt.after(alone, error).await)?;
                            }
                        }
                    }
                    let mut tx = Watched::ready(&mut watched, self.begin_one().await)?;
                    let watched = Watched::sent(&mut watched, of.as_ref(), &statement.sql);
                    let row = match tx.unlogged().fetch_optional(statement.clone()).await {
                        Err(error) if is_stale_plan(&error) => {
                            tx = watched.unless(self.begin_one_again(tx).await)?;
                            watched.again();
                            watched.unless(tx.unlogged().fetch_optional(statement).await)?
                        }
                        fetched => watched.unless(fetched)?,
                    };
                    watched.saw_one(row.as_ref());
                    watched.stop();
                    let ended = self.end(tx, is_plain).await;
                    watched.unless(ended)?;
                    watched.done();
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
                    tx.unlogged().prepare_with(sql, parameters).await
                })
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
            where
                'c: 'e,
            {
                Box::pin(async move {
                    let mut tx = self.begin_reading().await?;
                    tx.unlogged().describe(sql).await
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

    fn attribution(&self) -> Option<Attribution> {
        self.pool().attribution(self.context())
    }

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

    fn attribution(&self) -> Option<Attribution> {
        self.db().attribution()
    }

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
