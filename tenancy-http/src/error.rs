//! The error of handlers: what everything this library returns becomes by `?`.

use std::{error, fmt};

use tenancy_core::{
    DirectoryError, Refusal, RefusalKind, SettingsError, StoreError, StoreErrorKind,
};

/// What a handler fails with, and what an extractor rejects with.
///
/// An adapter wraps it in a type that its framework takes for a response, and converts from
/// everything that converts into this. As a response it is a problem (RFC 9457) with a fixed text
/// per [kind](Self::kind); [`logged`](Self::logged) gives what may be sent.
///
/// # Security
/// `Display` and [`source`](error::Error::source) are for logs. No part of them may be in the
/// response.
///
/// ```
/// use tenancy_core::RefusalKind;
/// use tenancy_http::Error;
///
/// let error = Error::internal(std::io::Error::other("password=hunter2"));
/// assert_eq!(error.kind(), RefusalKind::Internal);
/// let problem = error.logged().problem().to_json();
/// assert!(!problem.contains("hunter2"));
/// ```
#[derive(Debug)]
#[must_use = "an error becomes an answer when it is returned"]
pub struct Error {
    refusal: Refusal,
    detail: Option<Box<str>>,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// Status 500 for any other error, which is logged.
    pub fn internal(source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::caused(
            Refusal::new(RefusalKind::Internal, "handler-failed"),
            source,
        )
    }

    fn caused(refusal: Refusal, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self {
            refusal,
            detail: None,
            source: Some(source.into()),
        }
    }

    /// Something is put together wrongly; the detail says what and how to mend it.
    ///
    /// It is logged at once, at level `error`, because there are frameworks that drop an
    /// extractor's error where the handler asked for an `Option`.
    pub fn misconfigured(reason: &'static str, detail: String) -> Self {
        let refusal = Refusal::new(RefusalKind::Misconfigured, reason);
        tracing::error!(error = %refusal, "the service is put together wrongly: {detail}");
        Self {
            refusal,
            detail: Some(detail.into()),
            source: None,
        }
    }

    /// What the caller is told.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        self.refusal.kind()
    }

    /// The refusal that this error is answered with.
    pub const fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Logs the error, at level `error` for status 500, `warn` for 503 and `debug` for the rest, and
    /// gives what may be sent.
    pub fn logged(&self) -> Refusal {
        match self.kind().status() {
            // Has been logged where it was noticed.
            _ if self.detail.is_some() => {}
            500.. if self.kind() != RefusalKind::Unavailable => {
                tracing::error!(error = %self, "a request failed");
            }
            500.. => tracing::warn!(error = %self, "a request could not be served"),
            _ => tracing::debug!(error = %self, "a request was refused"),
        }
        self.refusal.clone()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            detail: None,
            source: None,
        }
    }
}

/// Status 500: what is stored for the tenant does not fit the application's type.
impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        Self::caused(
            Refusal::new(RefusalKind::Internal, "settings-do-not-fit"),
            error,
        )
    }
}

/// Status 503.
impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Self {
        Self::caused(
            Refusal::new(RefusalKind::Unavailable, "directory-unavailable"),
            error,
        )
    }
}

/// By its [kind](StoreError::kind): status 503 if the store did not answer, 403 if the authority was not good for
/// the change, 404 where the kind is `NotFound`, 409 where it is `Conflict` or `IllegalTransition`, 400 where it is
/// `Invalid`, 402 where a limit of the plan was met, else 500.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if let Some(refusal) = error.refusal().cloned() {
            return Self::caused(refusal, error);
        }
        let refusal = match error.kind() {
            StoreErrorKind::Unavailable => {
                Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
            }
            StoreErrorKind::Forbidden => {
                Refusal::new(RefusalKind::PermissionDenied, "authority-refused")
            }
            StoreErrorKind::NotFound => Refusal::new(RefusalKind::NotFound, "directory-not-found"),
            StoreErrorKind::Conflict | StoreErrorKind::IllegalTransition => {
                Refusal::new(RefusalKind::Conflict, "directory-conflict")
            }
            StoreErrorKind::Invalid => Refusal::new(RefusalKind::Invalid, "directory-invalid"),
            _ => Refusal::new(RefusalKind::Internal, "directory-refused"),
        };
        Self::caused(refusal, error)
    }
}

/// The answer that [`tenancy_sqlx::Error::refusal`] names.
#[cfg(feature = "sqlx")]
impl From<tenancy_sqlx::Error> for Error {
    fn from(error: tenancy_sqlx::Error) -> Self {
        Self::caused(error.refusal(), error)
    }
}

/// The answer that [`RedisError::refusal`](tenancy_redis::RedisError::refusal) names.
#[cfg(feature = "redis")]
impl From<tenancy_redis::RedisError> for Error {
    fn from(error: tenancy_redis::RedisError) -> Self {
        Self::caused(error.refusal(), error)
    }
}

/// Sorted by [`tenancy_sqlx::Error`]: status 503 if the database is out of reach, 404 for `RowNotFound`, 409 for what
/// a unique, exclusion or foreign key constraint refuses, else 500.
#[cfg(feature = "sqlx")]
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        tenancy_sqlx::Error::from(error).into()
    }
}
