//! `&TenantDb` and `&TenantReader` as sqlx executors: one statement, one transaction.

use async_stream::try_stream;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt as _;
use sqlx::{
    Either, Error, Execute, Executor, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;

use crate::{TenantDb, TenantReader, TenantTx, TxOptions, alone::Alone, error::is_stale_plan};

/// Implements [`Executor`] for a reference to something that begins a transaction and ends it.
///
/// `describe` is a hidden method of the trait which exists while sqlx-core's feature `offline` is
/// on; this crate switches it on, so that the implementation can't be broken from outside.
macro_rules! executor {
    ($database:ty, $alone:path, $begin:path, $again:path, $end:path) => {
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
                    let mut is_done = false;
                    if let Some(mut alone) = $alone(self, &statement).await? {
                        let runs_again = alone.runs_again();
                        let mut has_begun = false;
                        let mut rows = (&mut *alone).fetch_many(statement.clone());
                        loop {
                            match rows.try_next().await {
                                Ok(Some(row)) => {
                                    has_begun = true;
                                    yield row;
                                }
                                Ok(None) => {
                                    is_done = true;
                                    break;
                                }
                                Err(error) if !has_begun && runs_again.after(&error) => break,
                                Err(error) => Err(error)?,
                            }
                        }
                        drop(rows);
                        if is_done {
                            alone.settle();
                        } else {
                            alone.give_up().await?;
                        }
                    }
                    if is_done {
                        return;
                    }
                    let mut tx = $begin(self).await?;
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
                        tx = $again(self, tx).await?;
                        let mut rows = (&mut *tx).fetch_many(statement);
                        while let Some(row) = rows.try_next().await? {
                            yield row;
                        }
                    }
                    $end(tx).await?;
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
                    if let Some(mut alone) = $alone(self, &statement).await? {
                        match (&mut *alone).fetch_optional(statement.clone()).await {
                            Err(error) if alone.runs_again().after(&error) => {
                                alone.give_up().await?;
                            }
                            fetched => {
                                let row = fetched?;
                                alone.settle();
                                return Ok(row);
                            }
                        }
                    }
                    let mut tx = $begin(self).await?;
                    let row = match (&mut *tx).fetch_optional(statement.clone()).await {
                        Err(error) if is_stale_plan(&error) => {
                            tx = $again(self, tx).await?;
                            (&mut *tx).fetch_optional(statement).await?
                        }
                        fetched => fetched?,
                    };
                    $end(tx).await?;
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
                    let mut tx = $begin(self).await?;
                    (&mut *tx).prepare_with(sql, parameters).await
                })
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
            where
                'c: 'e,
            {
                Box::pin(async move {
                    let mut tx = $begin(self).await?;
                    (&mut *tx).describe(sql).await
                })
            }
        }
    };
}

executor!(TenantDb, never_alone, begin_write, write_again, commit);
executor!(TenantReader, read_alone, begin_read, read_again, give_back);

/// A statement that may write is committed when its caller has its answer, and not before.
async fn never_alone(_db: &TenantDb, _statement: &Statement) -> Result<Option<Alone>, Error> {
    Ok(None)
}

/// On a replica, or where a plain read runs without a transaction.
async fn read_alone(reader: &TenantReader, statement: &Statement) -> Result<Option<Alone>, Error> {
    let db = reader.db();
    if !reader.is_of_primary()
        && let Some(open) = db.pool().read_on_replica(db.context()).await?
    {
        return Ok(Some(Alone::Replica(open)));
    }
    let sql = statement.sql.as_str();
    let switched = db.pool().switched(db.context(), sql).await?;
    Ok(switched.map(Alone::Switched))
}

async fn begin_write(db: &TenantDb) -> Result<TenantTx, Error> {
    Ok(db.begin().await?)
}

async fn write_again(db: &TenantDb, tx: TenantTx) -> Result<TenantTx, Error> {
    Ok(db.pool().begin_again(tx, &TxOptions::new()).await?)
}

async fn commit(tx: TenantTx) -> Result<(), Error> {
    Ok(tx.commit_one().await?)
}

async fn begin_read(reader: &TenantReader) -> Result<TenantTx, Error> {
    Ok(reader.db().begin_with(reading()).await?)
}

async fn read_again(reader: &TenantReader, tx: TenantTx) -> Result<TenantTx, Error> {
    Ok(reader.db().pool().begin_again(tx, &reading()).await?)
}

/// Replicas have had their turn.
fn reading() -> TxOptions {
    TxOptions::new().read_only().primary()
}

/// Nothing was written: the rollback goes out with the pool's own round trip.
async fn give_back(tx: TenantTx) -> Result<(), Error> {
    tx.give_back();
    Ok(())
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
