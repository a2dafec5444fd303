//! One error for all handlers.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// Why a request was not served.
pub(crate) enum Error {
    NotFound,
    Tenancy(tenancy::axum::Error),
}

tenancy::axum::convert_errors!(Error::Tenancy(tenancy::axum::Error));

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Tenancy(error) => error.into_response(),
        }
    }
}
