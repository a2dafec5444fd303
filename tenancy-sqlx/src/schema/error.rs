//! Errors of the installation.

/// An installation that did not finish. Running it again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The database did not answer, or refused.
    #[error("{step}: {source}{}", hint(.source))]
    Database {
        /// What was being done.
        step: &'static str,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// A migration failed; it was rolled back.
    #[error("{whose} migrations: {source}")]
    Migration {
        /// Whose migrations they are.
        whose: &'static str,
        /// What the driver says.
        source: sqlx::migrate::MigrateError,
    },
    /// The names of the roles can't be used.
    #[error("{0}")]
    Roles(String),
    /// The files could not be written.
    #[error("the migrations could not be written: {0}")]
    Files(#[from] std::io::Error),
}

impl InstallError {
    pub(super) fn database(step: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { step, source }
    }
}

fn hint(error: &sqlx::Error) -> &'static str {
    match error
        .as_database_error()
        .and_then(|said| said.code())
        .as_deref()
    {
        Some("42501") => {
            " (the login of the installation must be a superuser, or have CREATEROLE and own the \
             database; with roles that exist already, it must be a member of the owner role)"
        }
        _ => "",
    }
}
