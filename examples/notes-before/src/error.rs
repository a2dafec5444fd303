//! One error for all handlers.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// Why a request was not served.
pub(crate) enum Error {
    NotFound,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Database(error) => {
                tracing::error!(%error, "a query failed");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
