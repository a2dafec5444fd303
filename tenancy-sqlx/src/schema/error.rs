//! Errors of the installation.

use std::fmt;

use sqlx::{migrate::MigrateError, postgres::PgDatabaseError};

use crate::error::{Told, said, was_refused_by};

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
    /// The migrations have run, and the schema did not pass the check; see
    /// [`Installer::strict`](super::Installer::strict).
    #[error(transparent)]
    Check(#[from] super::CheckError),
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
    pub(crate) fn database(step: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
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
    if was_refused_by(failed, "42501", "ExecWithCheckOptions") {
        return format!(
            "{advice} (no tenant is set while migrations run, so name it in the statement: \
             `INSERT INTO … (tenant_id, …)`)"
        );
    }
    let said = said(failed);
    match said.map(|said| (said.code(), said.message())) {
        Some(("42501", message)) => {
            let hint = said.and_then(PgDatabaseError::hint);
            format!("{advice} ({})", not_allowed(message, hint))
        }
        Some(("42830", _)) => format!(
            "{advice} (the key of a protected table begins with the tenant. In one migration, make all tables first, \
             then call `tenancy.protect_all('one', 'other')`. In a later one, say `FOREIGN KEY (tenant_id, …) \
             REFERENCES … (tenant_id, …)`)"
        ),
        Some(("42P10", message)) if message.contains("ON CONFLICT") => format!(
            "{advice} (a unique key of a protected table begins with the tenant: `ON CONFLICT (tenant_id, …)`)"
        ),
        _ => advice,
    }
}

/// What to do about something that the owner role may not do, which runs the migrations.
fn not_allowed(message: &str, hint: Option<&str>) -> String {
    let quoted = |prefix: &str| message.strip_prefix(prefix).map(sql_name);
    if let Some(extension) = quoted("permission denied to create extension ") {
        let trusted = hint.is_some_and(|hint| hint.contains("on current database"));
        let itself = "or let the owner role make schemas and trusted extensions, by `Installer::owner_may_create(true)`";
        return format!(
            "make it as an administrator before the installation: CREATE EXTENSION IF NOT EXISTS {extension}{}",
            if trusted {
                format!("; {itself}")
            } else {
                String::new()
            }
        );
    }
    if let Some(database) = quoted("permission denied for database ") {
        return format!(
            "the owner role may make no schema; let it, by `Installer::owner_may_create(true)`, or as the \
             database's owner: GRANT CREATE ON DATABASE {database} TO tenancy_owner; or make the schema as an \
             administrator: CREATE SCHEMA … AUTHORIZATION tenancy_owner"
        );
    }
    if let Some(schema) = quoted("permission denied for schema ") {
        return format!(
            "the owner role may not use the schema, or make anything in it; as the schema's owner or a \
             superuser: GRANT USAGE, CREATE ON SCHEMA {schema} TO tenancy_owner"
        );
    }
    "the owner role migrates, and must own what is there, the table of migrations among it: ALTER TABLE … \
     OWNER TO tenancy_owner"
        .to_owned()
}

/// A name from a message, where it may stand in quotes, as SQL has it.
fn sql_name(told: &str) -> String {
    let name = told
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let name = name.unwrap_or(told);
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain {
        name.to_owned()
    } else {
        crate::bulk::quoted(name)
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
