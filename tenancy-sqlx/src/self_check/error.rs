//! The error of a pool that can't be used.

use std::fmt;

use sqlx::postgres::PgConnectOptions;

use crate::{
    connections::address,
    error::{Told, is_out_of_reach, said},
};

/// Why a pool can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The connection URL can't be read.
    BadUrl,
    /// The options of the pool contradict each other, or leave it no connection.
    BadOptions,
    /// The database did not answer, did not let the login in, or is not there; the text says which.
    Unreachable,
    /// The schema `tenancy` is not installed, or this login may not use it.
    NotInstalled,
    /// The schema `tenancy` is older than this version of the crate.
    SchemaTooOld,
    /// The login can get past row security.
    LoginBypasses,
    /// The login starts with settings that would name a tenant or a role, or switch row security or
    /// foreign keys off.
    BadDefaults,
    /// A table, view or function lets the login past row security.
    Unguarded,
    /// The login is made for another purpose, or may do more than its own.
    WrongLogin,
    /// The sessions of the database are sealed and the pool has no key that it takes, or the other way
    /// round.
    Seal,
    /// What was asked for can't be done through the pooler in front of the database, or not with its
    /// settings.
    Pooler,
    /// A replica belongs to another database, or the primary does not tell where its log is.
    WrongReplica,
}

/// A pool that can't be used, and what to do about it.
///
/// `Debug` says the same as `Display`, for a `main` that returns it.
///
/// ```no_run
/// use tenancy_core::Tenancy;
/// use tenancy_sqlx::{StartErrorKind, TenantPool};
///
/// async fn connect(url: &str, tenancy: &Tenancy) -> TenantPool {
///     match TenantPool::connect(url, tenancy).await {
///         Ok(pool) => pool,
///         Err(error) if error.kind() == StartErrorKind::NotInstalled => {
///             eprintln!("run the installer first: {error}");
///             std::process::exit(2)
///         }
///         // What is wrong, and the statement that mends it.
///         Err(error) => {
///             eprintln!("{error}");
///             std::process::exit(1)
///         }
///     }
/// }
/// ```
pub struct StartError {
    kind: StartErrorKind,
    message: String,
    source: Option<sqlx::Error>,
}

impl StartError {
    pub(crate) const fn new(kind: StartErrorKind, message: String) -> Self {
        Self {
            kind,
            message,
            source: None,
        }
    }

    pub(crate) fn bad_url(source: sqlx::Error) -> Self {
        let message = "the database URL can't be read; expected \
            `postgres://login:password@host:port/database`";
        Self {
            source: Some(source),
            ..Self::new(StartErrorKind::BadUrl, message.into())
        }
    }

    pub(crate) fn unreachable(source: sqlx::Error) -> Self {
        let verb = match &source {
            sqlx::Error::Database(_) if !is_out_of_reach(&source) => "refused",
            _ => "did not answer",
        };
        let message = format!("the database {verb}: {}", Told(&source));
        Self {
            source: Some(source),
            ..Self::new(StartErrorKind::Unreachable, message)
        }
    }

    /// The same, of a connection that could not be opened: says where, and what to look at.
    pub(crate) fn not_reached(options: &PgConnectOptions, source: sqlx::Error) -> Self {
        let address = address(options);
        let told = Told(&source);
        let code = said(&source).map(sqlx::postgres::PgDatabaseError::code);
        let message = match code {
            Some("28P01" | "28000") => format!(
                "the database {address} refused the login `{}`: {told}; check login and password of the URL. \
                 `tenancy_sqlx::schema::Installer` makes the logins, and sets their passwords where \
                 `Installer::passwords` (`registry_password`, `audit_password`) gives them",
                options.get_username()
            ),
            Some("3D000") => format!(
                "the database {address} refused: {told}; check the name in the URL, or create the database \
                 and run `tenancy_sqlx::schema::Installer` in it"
            ),
            Some(_) if !is_out_of_reach(&source) => {
                format!("the database {address} refused: {told}")
            }
            _ => format!(
                "the database {address} did not answer: {told}; check that it runs, that the URL has its \
                 host and port, and that the network lets this process through"
            ),
        };
        Self {
            source: Some(source),
            ..Self::new(StartErrorKind::Unreachable, message)
        }
    }

    pub(crate) fn pooler(message: &str, source: Option<sqlx::Error>) -> Self {
        let message = match &source {
            Some(source) => format!("{message}: {source}"),
            None => message.to_owned(),
        };
        Self {
            source,
            ..Self::new(StartErrorKind::Pooler, message)
        }
    }

    /// The same, of a replica.
    pub(crate) fn of_replica(self, address: &str) -> Self {
        Self {
            message: format!("the replica {address} can't be used: {}", self.message),
            ..self
        }
    }

    pub(crate) const fn driver_error(&self) -> Option<&sqlx::Error> {
        self.source.as_ref()
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> StartErrorKind {
        self.kind
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
