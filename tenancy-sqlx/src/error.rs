//! Errors of sessions and pools.

mod advice;

use std::{fmt, time::Duration};

pub(crate) use advice::{FORGED, KEY_NOT_IN_USE, Told, said};
use tenancy_core::{Refusal, RefusalKind};

/// Why a tenant's data could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The context comes from another engine than the pool was built for.
    WrongEngine,
    /// Strict mode: the tenant has changed since the context was made; admit the caller anew.
    TenantChanged,
    /// The transaction, or the session of a statement in autocommit, no longer carries the tenant it was
    /// begun for. A transaction was rolled back; a statement in autocommit has taken effect.
    TenantLost,
    /// A savepoint was left open, so that it is unclear what should be committed.
    SavepointOpen,
    /// An event or an entry of the audit trail names another tenant than its transaction. Nothing was sent.
    OtherTenant,
    /// Nothing is reserved that could be kept, or given back, with this transaction's rows: it has ended meanwhile, is
    /// another tenant's, or is counted elsewhere. Roll back.
    NotReserved,
    /// Usage can't be counted as it is: the text says what is wrong with it, and how to mend it. Nothing was sent.
    InvalidUsage,
    /// Columns of a bulk insert differ in length, or there are none.
    BulkShape,
    /// The database did not answer.
    Unavailable,
    /// The database answers, and all connections that the caller's tenant may have were in use, or
    /// the server had none to spare, for the whole [acquire timeout](crate::TenantPoolOptions::acquire_timeout).
    Busy,
    /// The database no longer keeps tenants apart; the text says what lets them meet, and its mend.
    Unguarded,
    /// The pool and its database no longer agree on sealing: sessions were sealed or unsealed since the
    /// pool was started, or its key was retired. The text says how to mend it.
    Seal,
    /// The transaction lost against a concurrent one and may be tried again.
    Serialization,
    /// A statement of the transaction failed, and its error was ignored: nothing is stored.
    TransactionFailed,
    /// A statement that the connection keeps prepared no longer fits its table, which was altered
    /// meanwhile: `SELECT *` after a column was added.
    ///
    /// It can only happen inside a transaction, and then once for each connection:
    /// `&TenantDb` and `&TenantReader` run their statement again by themselves, and so does
    /// [`with_retry`](crate::TenantPool::with_retry). Only where a savepoint is rolled back and its
    /// transaction committed does the connection keep the statement. Whoever names columns
    /// instead of `*` never meets it.
    StalePlan,
    /// A query that must find a row has found none: [`sqlx::Error::RowNotFound`]. Another tenant's rows are none.
    NotFound,
    /// A unique, exclusion or foreign key constraint refuses what was to be written or removed.
    Conflict,
    /// Anything else the database said.
    Database,
}

/// An error of a tenant's session.
///
/// `Display` and `source` are for logs; what a caller may see is [`Error::refusal`]. `Debug` says the same
/// as `Display`, for a `main` that returns it.
///
/// ```
/// use tenancy_sqlx::{Error, ErrorKind};
///
/// fn say(error: &Error) {
///     if error.kind() == ErrorKind::Busy {
///         eprintln!("the pool is too small for this load: {error}");
///     }
///     // What a caller is told has nothing of the driver's text.
///     println!("{}", error.refusal().problem().to_json());
/// }
/// # let _ = say;
/// ```
pub struct Error {
    kind: ErrorKind,
    detail: Option<String>,
    source: Option<sqlx::Error>,
    /// Whether it is a statement in autocommit that has left its session with another tenant.
    has_taken_effect: bool,
    /// How long a caller would have to wait who came now, if that is known.
    wait: Option<Duration>,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            detail: None,
            source: None,
            has_taken_effect: false,
            wait: None,
        }
    }

    pub(crate) fn with_detail(kind: ErrorKind, detail: String) -> Self {
        Self {
            detail: Some(detail),
            ..Self::new(kind)
        }
    }

    /// A statement in autocommit has left its session with another tenant.
    pub(crate) const fn tenant_lost_in_autocommit() -> Self {
        let mut lost = Self::new(ErrorKind::TenantLost);
        lost.has_taken_effect = true;
        lost
    }

    /// The same, and says more in its text.
    #[must_use]
    pub(crate) fn detailed(mut self, detail: String) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Nobody was served for the whole acquire timeout, and whoever came now would wait for so long.
    pub(crate) fn busy(wait: Duration) -> Self {
        let mut busy = Self::new(ErrorKind::Busy);
        busy.source = Some(sqlx::Error::PoolTimedOut);
        busy.wait = Some(wait);
        busy
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

    /// What to answer a caller: 503 if the database is out of reach, busy or not safe to use, 404 if there is
    /// [no such row](ErrorKind::NotFound), 409 for a [conflict](ErrorKind::Conflict), else 500.
    ///
    /// A caller who was refused because the pool is [busy](ErrorKind::Busy) is told to come again after the time
    /// for which a caller of its tenant would now wait, in whole seconds from 1 to 30: an estimate from
    /// those who wait ahead and from how often connections have come back lately.
    ///
    /// Holds nothing of what the driver said.
    pub const fn refusal(&self) -> Refusal {
        match self.kind {
            ErrorKind::Unavailable => {
                Refusal::new(RefusalKind::Unavailable, "database-unavailable")
            }
            ErrorKind::Busy => {
                let refusal = Refusal::new(RefusalKind::Unavailable, "pool-busy");
                match self.wait {
                    Some(wait) => refusal.with_retry_after(whole_seconds(wait)),
                    None => refusal,
                }
            }
            ErrorKind::Unguarded => Refusal::new(RefusalKind::Unavailable, "database-unguarded"),
            ErrorKind::Seal => Refusal::new(RefusalKind::Unavailable, "database-seal"),
            ErrorKind::TenantChanged => Refusal::new(RefusalKind::Unavailable, "tenant-changed"),
            ErrorKind::Serialization => {
                Refusal::new(RefusalKind::Unavailable, "serialization-failure")
            }
            ErrorKind::StalePlan => Refusal::new(RefusalKind::Unavailable, "stale-plan"),
            ErrorKind::TransactionFailed => {
                Refusal::new(RefusalKind::Internal, "transaction-failed")
            }
            ErrorKind::WrongEngine => {
                Refusal::new(RefusalKind::Misconfigured, "context-of-another-engine")
            }
            ErrorKind::TenantLost => Refusal::new(RefusalKind::Internal, "tenant-lost"),
            ErrorKind::NotFound => Refusal::new(RefusalKind::NotFound, "row-not-found"),
            ErrorKind::Conflict => Refusal::new(RefusalKind::Conflict, "constraint-violated"),
            ErrorKind::SavepointOpen
            | ErrorKind::OtherTenant
            | ErrorKind::NotReserved
            | ErrorKind::InvalidUsage
            | ErrorKind::BulkShape
            | ErrorKind::Database => Refusal::new(RefusalKind::Internal, "database-error"),
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
            ErrorKind::TenantLost if self.has_taken_effect => {
                "the session no longer carries its tenant: the statement, or a function that it calls, has \
                 changed `tenancy.tenant_id`; the statement has taken effect, and its connection was closed"
            }
            ErrorKind::TenantLost => {
                "the transaction no longer carries its tenant: a statement ended the transaction, \
                 changed `tenancy.tenant_id`, or connections were swapped; the rest was rolled back"
            }
            ErrorKind::SavepointOpen => {
                "a savepoint was left open; release or roll it back before the commit"
            }
            ErrorKind::NotReserved => {
                "nothing is reserved that could be kept with this transaction"
            }
            ErrorKind::OtherTenant => {
                "what was to be written names another tenant than its transaction; leave the tenant out, or \
                 begin a transaction of that tenant"
            }
            ErrorKind::InvalidUsage => "usage can't be counted as it is",
            ErrorKind::BulkShape => "the columns of a bulk insert do not fit together",
            ErrorKind::Unavailable => "the database did not answer",
            ErrorKind::Busy => {
                "all connections that the tenant may have are in use, or the server has none to spare"
            }
            ErrorKind::Unguarded => "the service's login could get past row security",
            ErrorKind::Seal => "the pool and its database do not agree on sealing",
            ErrorKind::Serialization => "the transaction lost against a concurrent one",
            ErrorKind::TransactionFailed => {
                "an earlier statement of the transaction failed and its error was ignored, so that \
                 nothing was stored; return the error, or undo the statement by a savepoint"
            }
            ErrorKind::StalePlan => {
                "a prepared statement no longer fits its table, which was altered meanwhile; try \
                 again, or name the columns instead of `*`"
            }
            ErrorKind::NotFound => "there is no such row of the tenant",
            ErrorKind::Conflict => "a constraint refuses what was to be written or removed",
            ErrorKind::Database => "the database refused",
        };
        f.write_str(text)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        let Some(source) = &self.source else {
            return Ok(());
        };
        write!(f, ": {}", Told(source))?;
        match advice::advice(source) {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
                Err(inner) => {
                    let mut other = Self::new(ErrorKind::Database);
                    other.source = Some(sqlx::Error::Configuration(inner));
                    other
                }
            };
        }
        let kind = match &source {
            sqlx::Error::Database(said) => match said.code().as_deref() {
                Some("40001" | "40P01") => ErrorKind::Serialization,
                Some(FAILED_TRANSACTION) => ErrorKind::TransactionFailed,
                Some(_) if is_stale_plan(&source) => ErrorKind::StalePlan,
                Some("TN001") => ErrorKind::TenantChanged,
                Some(UNIQUE | FOREIGN_KEY | RESTRICT | EXCLUSION) => ErrorKind::Conflict,
                Some(code) if is_connection_code(code) => ErrorKind::Unavailable,
                _ => ErrorKind::Database,
            },
            sqlx::Error::RowNotFound => ErrorKind::NotFound,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => ErrorKind::Unavailable,
            _ => ErrorKind::Database,
        };
        let mut error = Self::new(kind);
        error.source = Some(source);
        error
    }
}

/// One that says how long to wait stays what it is, in [`sqlx::Error::Configuration`].
impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        match error {
            Error {
                source: Some(source),
                wait: None,
                ..
            } => source,
            own => Self::Configuration(Box::new(own)),
        }
    }
}

/// What is sent in `Retry-After`: nobody is asked to come at once, or to stay away for long.
const fn whole_seconds(wait: Duration) -> Duration {
    let seconds = match wait.subsec_nanos() {
        0 => wait.as_secs(),
        _ => wait.as_secs().saturating_add(1),
    };
    match seconds {
        0 => Duration::from_secs(1),
        1..30 => Duration::from_secs(seconds),
        30.. => Duration::from_secs(30),
    }
}

/// SQLSTATEs after which a connection is of no use: class 08, too many connections, and a server
/// that is shutting down, crashed, or not yet up (PostgreSQL manual, appendix A).
fn is_connection_code(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "53300" | "57P01" | "57P02" | "57P03" | "57P05")
}

// SQLSTATEs of constraints (PostgreSQL manual, appendix A, class 23).
const RESTRICT: &str = "23001";
const FOREIGN_KEY: &str = "23503";
const UNIQUE: &str = "23505";
const EXCLUSION: &str = "23P01";

/// What the server answers to any statement in a transaction in which one has failed.
const FAILED_TRANSACTION: &str = "25P02";

/// Whether a statement was refused because one before it in the transaction has failed.
pub(crate) fn is_failed_transaction(error: &sqlx::Error) -> bool {
    has_code(error, FAILED_TRANSACTION)
}

/// Whether the server has ended the process that serves a connection (`admin_shutdown`).
pub(crate) fn was_shut_down(error: &sqlx::Error) -> bool {
    has_code(error, "57P01")
}

/// Whether a statement was stopped because it took too long.
pub(crate) fn is_timed_out(error: &sqlx::Error) -> bool {
    has_code(error, "57014")
}

/// Whether a statement was refused because there is no transaction any more.
pub(crate) fn is_no_transaction(error: &sqlx::Error) -> bool {
    has_code(error, "25P01")
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    let said = error.as_database_error().and_then(|said| said.code());
    said.is_some_and(|said| said == code)
}

/// Whether the server function of this name refused with this code. Its messages are translated,
/// its functions' names are not.
pub(crate) fn was_refused_by(error: &sqlx::Error, code: &str, function: &str) -> bool {
    said(error).is_some_and(|said| said.code() == code && said.routine() == Some(function))
}

/// "cached plan must not change result type".
pub(crate) fn is_stale_plan(error: &sqlx::Error) -> bool {
    was_refused_by(error, "0A000", "RevalidateCachedQuery")
}

/// Whether a database could not be reached, or would not let anybody in yet.
pub(crate) fn is_out_of_reach(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        // One that has no connection to spare is there, and has one in a moment.
        sqlx::Error::Database(said) => said
            .code()
            .is_some_and(|code| code != "53300" && is_connection_code(&code)),
        _ => false,
    }
}

/// Whether the server has no connection to spare.
pub(crate) fn is_full_server(error: &sqlx::Error) -> bool {
    has_code(error, "53300")
}

/// Whether another attempt to connect may succeed in a moment: nobody listens yet, or the server
/// lets nobody in yet.
pub(crate) fn is_passing_at_connect(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        error => is_full_server(error) || has_code(error, "57P03"),
    }
}

/// Whether the connection, and not the statement, is what failed.
pub(crate) fn is_dead_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(said) => said.code().is_some_and(|code| is_connection_code(&code)),
        _ => false,
    }
}

/// A sealed session can't name a tenant any more, and another one can: what ran in it has closed it, or
/// the server's clock was set.
pub(crate) fn is_closed_session(error: &sqlx::Error) -> bool {
    let said = error.as_database_error().and_then(|said| said.code());
    said.as_deref() == Some("55000")
}

/// Errors that can tell whether their transaction may be tried again.
///
/// Implement it for an application's own error to use [`TenantPool::with_retry`](crate::TenantPool::with_retry),
/// by asking the error that it holds.
///
/// ```
/// use tenancy_sqlx::{Error, Retryable};
///
/// enum TransferError {
///     NotEnough,
///     Database(Error),
/// }
///
/// impl From<Error> for TransferError {
///     fn from(error: Error) -> Self {
///         Self::Database(error)
///     }
/// }
///
/// impl Retryable for TransferError {
///     fn is_serialization_failure(&self) -> bool {
///         matches!(self, Self::Database(error) if error.is_serialization_failure())
///     }
///
///     fn is_stale_plan(&self) -> bool {
///         matches!(self, Self::Database(error) if error.is_stale_plan())
///     }
/// }
/// ```
pub trait Retryable {
    /// Whether another try may succeed: a serialization failure (40001), a deadlock (40P01), or a
    /// [stale plan](ErrorKind::StalePlan).
    fn is_serialization_failure(&self) -> bool;

    /// Whether it is a [stale plan](ErrorKind::StalePlan), after which the next try needs no pause,
    /// and goes to the same connection. Default: no.
    fn is_stale_plan(&self) -> bool {
        false
    }
}

impl Retryable for Error {
    fn is_serialization_failure(&self) -> bool {
        matches!(self.kind, ErrorKind::Serialization | ErrorKind::StalePlan)
    }

    fn is_stale_plan(&self) -> bool {
        self.kind == ErrorKind::StalePlan
    }
}

impl Retryable for sqlx::Error {
    fn is_serialization_failure(&self) -> bool {
        has_code(self, "40001") || has_code(self, "40P01") || is_stale_plan(self)
    }

    fn is_stale_plan(&self) -> bool {
        is_stale_plan(self)
    }
}
