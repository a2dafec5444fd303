//! What an error of the database means for whoever reads the log, and how to mend it.

use std::fmt;

use sqlx::postgres::PgDatabaseError;

use super::was_refused_by;

/// SQLSTATE of what somebody may not do.
const NOT_ALLOWED: &str = "42501";

/// SQLSTATE of `ON CONFLICT` where no unique constraint has exactly these columns.
const NO_SUCH_CONSTRAINT: &str = "42P10";

/// What the seal says of a key that it does not know, or that was retired.
pub(crate) const KEY_NOT_IN_USE: &str = "the seal's key is not in use";

/// What the seal says of a code that its key did not make.
pub(crate) const FORGED: &str = "the seal is forged";

/// The driver's text, without the line of PostgreSQL's own source that raised the error.
pub(crate) struct Told<'e>(pub(crate) &'e sqlx::Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            sqlx::Error::Database(said) => {
                write!(f, "error returned from database: {}", said.message())
            }
            other => other.fmt(f),
        }
    }
}

/// What the server has said, if it is PostgreSQL's.
pub(crate) fn said(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error
        .as_database_error()
        .and_then(|said| said.try_downcast_ref::<PgDatabaseError>())
}

/// How to mend what the server has said, where that is known.
pub(super) fn advice(error: &sqlx::Error) -> Option<String> {
    if was_refused_by(error, NOT_ALLOWED, "ExecWithCheckOptions") {
        let advice = "a row that was to be written names another tenant than the transaction's, or \
            none: leave the tenant's column out of the statement, and its default fills it; \
            outside of a tenant's transaction no row can be written";
        return Some(advice.to_owned());
    }
    let said = said(error)?;
    if said.code() == NOT_ALLOWED {
        match said.message() {
            KEY_NOT_IN_USE => {
                let advice = "the key of this pool was retired, or never added: restart the service with \
                    the `SealKey` that is in use, or add its own with `schema::add_seal_key` under a \
                    number that was not used before";
                return Some(advice.to_owned());
            }
            FORGED => {
                let advice = "the database has other bytes for the number of this pool's `SealKey`: \
                    give the service the bytes with which that number was added";
                return Some(advice.to_owned());
            }
            other => {
                if let Some(table) = other.strip_prefix("permission denied for table ") {
                    return Some(closed(table));
                }
            }
        }
    }
    if said.code() == NO_SUCH_CONSTRAINT && said.message().contains("ON CONFLICT") {
        let advice = "a unique constraint of a protected table begins with the tenant's column: write `ON CONFLICT \
            (tenant_id, …)`; the column's default fills it";
        return Some(advice.to_owned());
    }
    let hint = said.hint().filter(|_| is_ours(said))?;
    Some(format!("hint: {hint}"))
}

/// What opens a table of the application.
fn closed(table: &str) -> String {
    let literal = table.replace('\'', "''");
    format!(
        "a table of the application is closed to the service until its owner calls `SELECT \
         tenancy.protect('{literal}')`, or `SELECT tenancy.share('{literal}')` for one that every tenant \
         may read and none may write"
    )
}

/// Whether a function of this crate's schemas has raised it.
fn is_ours(said: &PgDatabaseError) -> bool {
    let raised = said.routine() == Some("exec_stmt_raise");
    let place = said.r#where().unwrap_or_default();
    raised && (place.contains(" tenancy.") || place.contains(" tenancy_seal."))
}
