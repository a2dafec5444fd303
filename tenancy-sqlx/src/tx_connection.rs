//! The connection of a transaction, as an sqlx executor whose statements the log sees.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
};

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Acquire, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;

use crate::{
    session::Open,
    statement_log::{Attribution, watched_many, watched_one},
};

/// The connection of a [`TenantTx`](crate::TenantTx), a [`Savepoint`](crate::Savepoint) or an
/// [`AcrossTenants`](crate::danger::AcrossTenants), to which they deref; `&mut TxConnection` is an sqlx `Executor`.
///
/// A function that runs statements in somebody's transaction takes one:
///
/// ```no_run
/// use tenancy_sqlx::{TenantTx, TxConnection};
///
/// async fn count(connection: &mut TxConnection) -> Result<i64, sqlx::Error> {
///     sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(connection).await
/// }
///
/// async fn notes(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
///     count(tx).await
/// }
/// # let _ = notes;
/// ```
///
/// It derefs to sqlx's own `PgConnection`, for what has to have one. Statements there are past the
/// [statement log](crate::statement_log#what-is-not-in-it), which says so.
pub struct TxConnection {
    open: Open,
    of: Option<Attribution>,
    /// Where it was last borrowed past the log.
    past: Option<&'static Location<'static>>,
}

impl TxConnection {
    pub(crate) const fn new(open: Open, of: Option<Attribution>) -> Self {
        Self {
            open,
            of,
            past: None,
        }
    }

    /// sqlx's own, for the library's statements, which the log leaves out.
    pub(crate) fn unlogged(&mut self) -> &mut PgConnection {
        &mut self.open
    }

    pub(crate) fn into_open(self) -> Open {
        self.open
    }

    /// Notes a place once for each time that another one was there before.
    fn note_past(&mut self, place: &'static Location<'static>) {
        let Some(of) = &self.of else { return };
        if self.past != Some(place) && !is_own(place) {
            self.past = Some(place);
            of.past(place);
        }
    }
}

/// Whether a place is in this crate: what the library does in a transaction, such as writing an event, borrows its
/// connection too.
fn is_own(place: &Location<'_>) -> bool {
    let folder = file!().strip_suffix("tx_connection.rs");
    folder.is_some_and(|folder| place.file().starts_with(folder))
}

impl<'c> Executor<'c> for &'c mut TxConnection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let connection: &mut PgConnection = &mut self.open;
        let Some(of) = &self.of else {
            return connection.fetch_many(query);
        };
        watched_many(of, query, |statement| connection.fetch_many(statement))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let connection: &mut PgConnection = &mut self.open;
        let Some(of) = &self.of else {
            return connection.fetch_optional(query);
        };
        watched_one(of, query, |statement| connection.fetch_optional(statement))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        self.unlogged().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        self.unlogged().describe(sql)
    }
}

/// For functions that take whatever gives a connection. Their statements are past the log.
impl<'c> Acquire<'c> for &'c mut TxConnection {
    type Database = Postgres;
    type Connection = &'c mut PgConnection;

    #[track_caller]
    fn acquire(self) -> BoxFuture<'c, Result<Self::Connection, Error>> {
        self.note_past(Location::caller());
        self.unlogged().acquire()
    }

    #[track_caller]
    fn begin(self) -> BoxFuture<'c, Result<Transaction<'c, Postgres>, Error>> {
        self.note_past(Location::caller());
        Acquire::begin(self.unlogged())
    }
}

impl Deref for TxConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.open
    }
}

impl DerefMut for TxConnection {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.note_past(Location::caller());
        &mut self.open
    }
}

impl fmt::Debug for TxConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxConnection").finish_non_exhaustive()
    }
}
