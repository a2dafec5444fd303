//! One error for all handlers.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tenancy::{StoreError, StoreErrorKind};

/// Why a request was not served.
pub(crate) enum Error {
    NotFound,
    /// What was sent can't be meant; the text says why.
    Invalid(String),
    Tenancy(tenancy::axum::Error),
}

tenancy::axum::convert_errors!(Error::Tenancy(tenancy::axum::Error));

impl Error {
    /// What the store of keys has refused, as its caller may know it.
    pub(crate) fn of_keys(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::NotFound => Self::NotFound,
            StoreErrorKind::Invalid | StoreErrorKind::IllegalTransition => {
                Self::Invalid(error.to_string())
            }
            _ => Self::Tenancy(error.into()),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Invalid(why) => (StatusCode::UNPROCESSABLE_ENTITY, why).into_response(),
            Self::Tenancy(error) => error.into_response(),
        }
    }
}
