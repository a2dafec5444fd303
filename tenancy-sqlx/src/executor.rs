//! `&TenantDb` and `&TenantReader` as sqlx executors: one statement, one transaction.

use async_stream::try_stream;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt as _;
use sqlx::{
    Either, Error, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;

use crate::{TenantDb, TenantReader, TenantTx};

/// Implements [`Executor`] for a reference to something that begins a transaction and ends it.
///
/// `describe` is a hidden method of the trait which exists while sqlx-core's feature `offline` is
/// on; this crate switches it on, so that the implementation can't be broken from outside.
macro_rules! executor {
    ($database:ty, $begin:path, $end:path) => {
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
                Box::pin(try_stream! {
                    let mut tx = $begin(self).await?;
                    {
                        let mut rows = (&mut *tx).fetch_many(query);
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
                Box::pin(async move {
                    let mut tx = $begin(self).await?;
                    let row = (&mut *tx).fetch_optional(query).await?;
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

executor!(TenantDb, begin_write, commit);
executor!(TenantReader, begin_read, give_back);

async fn begin_write(db: &TenantDb) -> Result<TenantTx, Error> {
    Ok(db.begin().await?)
}

async fn commit(tx: TenantTx) -> Result<(), Error> {
    Ok(tx.commit().await?)
}

async fn begin_read(reader: &TenantReader) -> Result<TenantTx, Error> {
    Ok(reader.db().read().await?)
}

/// Nothing was written: the rollback goes out with the pool's own round trip.
async fn give_back(tx: TenantTx) -> Result<(), Error> {
    drop(tx);
    Ok(())
}
