//! One error for all handlers.

use std::fmt;

use actix_web::{HttpResponse, ResponseError};

/// Why a request was not served.
#[derive(Debug)]
pub(crate) enum Error {
    NotFound,
    Tenancy(tenancy::actix::Error),
}

tenancy::actix::convert_errors!(Error::Tenancy(tenancy::actix::Error));

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such note"),
            Self::Tenancy(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Error {
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::NotFound => HttpResponse::NotFound().finish(),
            Self::Tenancy(error) => error.error_response(),
        }
    }
}
