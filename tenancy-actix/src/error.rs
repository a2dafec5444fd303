//! The error of handlers: `?` turns what tenancy says into it, and it turns into a problem.

use std::{error, fmt};

use actix_web::{HttpResponse, ResponseError, body::BoxBody, http::StatusCode};
use tenancy_core::{Refusal, RefusalKind};

use crate::response::refusal_response;

/// What a handler fails with, and what an extractor rejects with.
///
/// What a handler meets becomes one by `?`, as it becomes a [`tenancy_http::Error`]: refusals, errors of settings, of
/// the directory and of stores and, with the features `sqlx` and `redis`, of the database and of Redis. As
/// a response it is a problem (RFC 9457) with a fixed text per [kind](Self::kind); what happened is
/// logged when the response is made, at level `error` for status 500, `warn` for 503 and `debug`
/// for the rest.
///
/// # Security
/// `Display` and [`source`](error::Error::source) are for logs. No part of them is in the response.
///
/// # Example: a handler
/// ```
/// use tenancy_actix::{Error, Tenant};
///
/// async fn rename(tenant: Tenant) -> Result<&'static str, Error> {
///     tenant.require("notes:write")?;
///     Ok("renamed")
/// }
/// ```
///
/// # Example: inside the application's own error
/// [`convert_errors!`](crate::convert_errors) converts what this library returns, so that `?` works as before. The
/// error may have further `From`s of its own:
///
/// ```
/// use std::fmt;
///
/// use actix_web::{HttpResponse, ResponseError};
/// use tenancy_actix::Tenant;
///
/// #[derive(Debug)]
/// enum AppError {
///     NoSuchNote,
///     Tenancy(tenancy_actix::Error),
/// }
///
/// tenancy_actix::convert_errors!(AppError::Tenancy(tenancy_actix::Error));
///
/// impl fmt::Display for AppError {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         match self {
///             Self::NoSuchNote => f.write_str("there is no such note"),
///             Self::Tenancy(error) => error.fmt(f),
///         }
///     }
/// }
///
/// impl ResponseError for AppError {
///     fn error_response(&self) -> HttpResponse {
///         match self {
///             Self::NoSuchNote => HttpResponse::NotFound().finish(),
///             Self::Tenancy(error) => error.error_response(),
///         }
///     }
/// }
///
/// async fn delete(tenant: Tenant) -> Result<HttpResponse, AppError> {
///     tenant.require("notes:write")?;
///     Err(AppError::NoSuchNote)
/// }
/// ```
#[derive(Debug)]
#[must_use = "an error becomes an answer when it is returned"]
pub struct Error(pub(crate) tenancy_http::Error);

impl Error {
    /// Status 500 for any other error, which is logged.
    pub fn internal(source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self(tenancy_http::Error::internal(source))
    }

    /// What the caller is told.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        self.0.kind()
    }

    /// The refusal that this error is answered with.
    pub const fn refusal(&self) -> &Refusal {
        self.0.refusal()
    }
}

impl<E: Into<tenancy_http::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source()
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        refusal_response(self.0.logged())
    }
}
