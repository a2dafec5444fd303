//! A statement that was taken apart, so that it can be run again and looked at.

use sqlx::{
    Error, Execute, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgStatement},
};

/// A statement that can be run again.
///
/// After a table was altered, a connection that has prepared `SELECT * FROM` it refuses to run that
/// once more. Nothing has been read or written then, so that it is prepared anew and runs in a new
/// transaction, unseen by the caller.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) sql: SqlStr,
    prepared: Option<PgStatement>,
    arguments: Option<PgArguments>,
    persistent: bool,
}

impl Statement {
    /// # Errors
    /// An argument can't be encoded.
    pub(crate) fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, Error> {
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
