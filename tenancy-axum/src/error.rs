//! The error of handlers: `?` turns what tenancy says into it, and it turns into a problem.

use std::{error, fmt};

use axum::response::{IntoResponse, Response};
use tenancy_core::{
    DirectoryError, Refusal, RefusalKind, SettingsError, StoreError, StoreErrorKind,
};

use crate::response::refusal_response;

/// What a handler fails with, and what an extractor rejects with.
///
/// Everything this library returns becomes one by `?`: refusals, errors of settings, of the
/// directory and, with the feature `sqlx`, of the database. As a response it is a problem
/// (RFC 9457) with a fixed text per [kind](Self::kind); what happened is logged when the response
/// is made, at level `error` for status 500, `warn` for 503 and `debug` for the rest.
///
/// # Security
/// `Display` and [`source`](error::Error::source) are for logs. No part of them is in the response.
///
/// # Example: a handler
/// ```
/// use tenancy_axum::{Error, Tenant};
///
/// async fn rename(tenant: Tenant) -> Result<&'static str, Error> {
///     tenant.require("notes:write")?;
///     Ok("renamed")
/// }
/// ```
///
/// # Example: inside the application's own error
/// With a conversion from everything that converts into this error, `?` works as before:
///
/// ```
/// use axum::{http::StatusCode, response::{IntoResponse, Response}};
/// use tenancy_axum::Tenant;
///
/// enum AppError {
///     NoSuchNote,
///     Tenancy(tenancy_axum::Error),
/// }
///
/// impl<E: Into<tenancy_axum::Error>> From<E> for AppError {
///     fn from(error: E) -> Self {
///         Self::Tenancy(error.into())
///     }
/// }
///
/// impl IntoResponse for AppError {
///     fn into_response(self) -> Response {
///         match self {
///             Self::NoSuchNote => StatusCode::NOT_FOUND.into_response(),
///             Self::Tenancy(error) => error.into_response(),
///         }
///     }
/// }
///
/// async fn delete(tenant: Tenant) -> Result<(), AppError> {
///     tenant.require("notes:write")?;
///     Err(AppError::NoSuchNote)
/// }
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
    pub(crate) fn misconfigured(reason: &'static str, detail: String) -> Self {
        let refusal = Refusal::new(RefusalKind::Misconfigured, reason);
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

    /// Logs the error and keeps what may be sent.
    pub(crate) fn logged(self) -> Refusal {
        match self.kind().status() {
            500.. if self.kind() != RefusalKind::Unavailable => {
                tracing::error!(error = %self, "a request failed");
            }
            500.. => tracing::warn!(error = %self, "a request could not be served"),
            _ => tracing::debug!(error = %self, "a request was refused"),
        }
        self.refusal
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

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        refusal_response(self.logged(), false)
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

/// Status 503 if the store did not answer, else 500: a handler that expects a conflict looks at
/// [`StoreError::kind`] first.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let refusal = match error.kind() {
            StoreErrorKind::Unavailable => {
                Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
            }
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

/// Sorted by [`tenancy_sqlx::Error`]: status 503 if the database is out of reach, else 500, also
/// for `RowNotFound`.
#[cfg(feature = "sqlx")]
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        tenancy_sqlx::Error::from(error).into()
    }
}
