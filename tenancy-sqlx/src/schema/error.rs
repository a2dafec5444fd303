//! Errors of the installation.

use std::fmt;

use sqlx::migrate::MigrateError;

use crate::error::{Told, said};

/// An installation that did not finish. Running it again goes on where it stopped.
///
/// `Debug` says the same as `Display`, for a `main` that returns it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The database did not answer, or refused.
    #[error("{step}: {}{}{}", Told(.source), advice(.source), hint(.source))]
    Database {
        /// What was being done.
        step: &'static str,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// A migration failed; it was rolled back.
    #[error("{whose} migrations: {}{}", told(.source), migration_hint(.source))]
    Migration {
        /// Whose migrations they are.
        whose: &'static str,
        /// What the driver says.
        source: MigrateError,
    },
    /// The connection leads to a pooler, such as PgBouncer.
    #[error(
        "the installation can't run through a pooler, which swaps sessions under it; give it the \
         database's own address"
    )]
    Pooler,
    /// The names of the roles can't be used.
    #[error("{0}")]
    DatabaseRoles(String),
    /// The files could not be written.
    #[error("the migrations could not be written: {0}")]
    Files(#[from] std::io::Error),
}

impl fmt::Debug for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl InstallError {
    pub(super) fn database(step: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { step, source }
    }
}

/// What the database advises, and what it means here.
fn migration_hint(error: &MigrateError) -> String {
    let failed = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        _ => return String::new(),
    };
    let advice = advice(failed);
    match said(failed).map(|said| said.code()) {
        Some("42501") => format!(
            "{advice} (the owner role migrates, and must own what is there, the table of migrations \
             among it: ALTER TABLE … OWNER TO tenancy_owner)"
        ),
        _ => advice,
    }
}

/// The hint of the database.
fn advice(error: &sqlx::Error) -> String {
    let hint = said(error).and_then(|said| said.hint());
    hint.map_or_else(String::new, |hint| format!(" (hint: {hint})"))
}

/// What the driver says, without the line of PostgreSQL's own source.
fn told(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(source) => {
            format!("while executing migrations: {}", Told(source))
        }
        MigrateError::ExecuteMigration(source, version) => {
            format!("while executing migration {version}: {}", Told(source))
        }
        other => other.to_string(),
    }
}

fn hint(error: &sqlx::Error) -> &'static str {
    match error
        .as_database_error()
        .and_then(|said| said.code())
        .as_deref()
    {
        Some("55P03") => {
            " (somebody holds a lock for long; `SELECT * FROM pg_stat_activity` shows transactions \
             that are open, end them and run the installation again)"
        }
        Some("42501") => {
            " (the login of the installation must be a superuser, or have CREATEROLE and own the \
             database; with roles that exist already, it must be a member of the owner role)"
        }
        _ => "",
    }
}
