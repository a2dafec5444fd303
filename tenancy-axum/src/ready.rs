//! The readiness check, as a handler.

use std::pin::Pin;

use axum::{
    extract::Request,
    handler::Handler,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use tenancy_core::Tenancy;
use tenancy_http::READY_BODY;

use crate::Error;

/// A handler that says whether the service can do its work: the tenant directory answers.
///
/// Status 200 with `{"status":"ready"}`, or 503 with a problem; what is out of reach is logged,
/// and not told. It reads past the caches, so that each call costs the directory a query.
///
/// # Security
/// Put it outside the [`TenancyLayer`](crate::TenancyLayer), and where only the orchestrator
/// reaches it: every caller can make the directory work.
///
/// # Example
/// ```
/// use axum::{Router, routing::get};
///
/// # fn app(tenancy: &tenancy_core::Tenancy) -> Router {
/// Router::new().route("/health/ready", get(tenancy_axum::ready(tenancy)))
/// # }
/// ```
pub fn ready(tenancy: &Tenancy) -> Readiness {
    Readiness(tenancy_http::Readiness::new(tenancy))
}

/// The handler that [`ready`] makes.
#[derive(Debug, Clone)]
#[must_use = "a handler does nothing until it is routed to"]
pub struct Readiness(tenancy_http::Readiness);

impl Readiness {
    /// Also asks the database, and whether it still keeps tenants apart.
    #[cfg(feature = "sqlx")]
    pub fn pool(self, pool: &tenancy_sqlx::TenantPool) -> Self {
        Self(self.0.pool(pool))
    }

    /// Asks everything the service depends on.
    ///
    /// # Errors
    /// What does not answer.
    pub async fn check(&self) -> Result<(), Error> {
        Ok(self.0.check().await?)
    }

    async fn answer(self) -> Response {
        match self.check().await {
            Ok(()) => {
                let headers = [
                    (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
                ];
                (headers, READY_BODY).into_response()
            }
            Err(error) => error.into_response(),
        }
    }
}

impl<S> Handler<(), S> for Readiness {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, _: Request, _: S) -> Self::Future {
        Box::pin(self.answer())
    }
}
