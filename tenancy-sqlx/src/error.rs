//! Errors of sessions and pools.

use std::fmt;

use tenancy_core::{Refusal, RefusalKind};

/// Why a tenant's data could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The context comes from another engine than the pool was built for.
    WrongEngine,
    /// Strict mode: the tenant has changed since the context was made; admit the caller anew.
    TenantChanged,
    /// The transaction no longer carries the tenant it was begun for.
    TenantLost,
    /// A savepoint was left open, so that it is unclear what should be committed.
    SavepointOpen,
    /// Columns of a bulk insert differ in length, or there are none.
    BulkShape,
    /// The database did not answer, or has no connection to spare.
    Unavailable,
    /// The database no longer keeps tenants apart; the text says what lets them meet, and its mend.
    Unguarded,
    /// The transaction lost against a concurrent one and may be tried again.
    Serialization,
    /// Anything else the database said.
    Database,
}

/// An error of a tenant's session.
///
/// `Display` and `source` are for logs; what a caller may see is [`Error::refusal`].
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    detail: Option<String>,
    source: Option<sqlx::Error>,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            detail: None,
            source: None,
        }
    }

    pub(crate) fn with_detail(kind: ErrorKind, detail: String) -> Self {
        Self {
            kind,
            detail: Some(detail),
            source: None,
        }
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The driver's error, if it is one.
    #[must_use]
    pub const fn driver_error(&self) -> Option<&sqlx::Error> {
        self.source.as_ref()
    }

    /// What to answer a caller: 503 if the database is out of reach or not safe to use, else 500.
    ///
    /// Holds nothing of what the driver said.
    pub const fn refusal(&self) -> Refusal {
        match self.kind {
            ErrorKind::Unavailable => {
                Refusal::new(RefusalKind::Unavailable, "database-unavailable")
            }
            ErrorKind::Unguarded => Refusal::new(RefusalKind::Unavailable, "database-unguarded"),
            ErrorKind::TenantChanged => Refusal::new(RefusalKind::Unavailable, "tenant-changed"),
            ErrorKind::Serialization => {
                Refusal::new(RefusalKind::Unavailable, "serialization-failure")
            }
            ErrorKind::WrongEngine => {
                Refusal::new(RefusalKind::Misconfigured, "context-of-another-engine")
            }
            ErrorKind::TenantLost => Refusal::new(RefusalKind::Internal, "tenant-lost"),
            ErrorKind::SavepointOpen | ErrorKind::BulkShape | ErrorKind::Database => {
                Refusal::new(RefusalKind::Internal, "database-error")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            ErrorKind::WrongEngine => {
                "the context was made by another `Tenancy` than this pool was built for; \
                 build one engine at start and clone it"
            }
            ErrorKind::TenantChanged => "the tenant has changed since this context was made",
            ErrorKind::TenantLost => {
                "the transaction no longer carries its tenant: a statement ended the transaction, \
                 changed `tenancy.tenant_id`, or connections were swapped; the rest was rolled back"
            }
            ErrorKind::SavepointOpen => {
                "a savepoint was left open; release or roll it back before the commit"
            }
            ErrorKind::BulkShape => "the columns of a bulk insert do not fit together",
            ErrorKind::Unavailable => "the database did not answer",
            ErrorKind::Unguarded => "the service's login could get past row security",
            ErrorKind::Serialization => "the transaction lost against a concurrent one",
            ErrorKind::Database => "the database refused",
        };
        f.write_str(text)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// Sorts what the driver says into kinds.
impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        // An error of ours that passed through the driver's `Executor` keeps its kind.
        if let sqlx::Error::Configuration(inner) = source {
            return match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => Self {
                    kind: ErrorKind::Database,
                    detail: None,
                    source: Some(sqlx::Error::Configuration(inner)),
                },
            };
        }
        let kind = match &source {
            sqlx::Error::Database(said) => match said.code().as_deref() {
                Some("40001" | "40P01") => ErrorKind::Serialization,
                Some("TN001") => ErrorKind::TenantChanged,
                Some(code) if is_connection_code(code) => ErrorKind::Unavailable,
                _ => ErrorKind::Database,
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => ErrorKind::Unavailable,
            _ => ErrorKind::Database,
        };
        Self {
            kind,
            detail: None,
            source: Some(source),
        }
    }
}

impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        match error {
            Error {
                source: Some(source),
                ..
            } => source,
            own => Self::Configuration(Box::new(own)),
        }
    }
}

/// SQLSTATEs after which a connection is of no use: class 08, too many connections, and a server
/// that is shutting down, crashed, or not yet up (PostgreSQL manual, appendix A).
fn is_connection_code(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "53300" | "57P01" | "57P02" | "57P03" | "57P05")
}

/// Whether the connection, and not the statement, is what failed.
pub(crate) fn is_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(said) => said.code().is_some_and(|code| is_connection_code(&code)),
        _ => false,
    }
}

/// Errors that can tell whether their transaction may be tried again.
///
/// Implement it for an application's own error to use [`TenantPool::with_retry`](crate::TenantPool::with_retry).
pub trait Retryable {
    /// Whether this is a serialization failure (40001) or a deadlock (40P01).
    fn is_serialization_failure(&self) -> bool;
}

impl Retryable for Error {
    fn is_serialization_failure(&self) -> bool {
        self.kind == ErrorKind::Serialization
    }
}

impl Retryable for sqlx::Error {
    fn is_serialization_failure(&self) -> bool {
        self.as_database_error()
            .and_then(|said| said.code())
            .is_some_and(|code| matches!(&*code, "40001" | "40P01"))
    }
}
