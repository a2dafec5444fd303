//! The readiness check, as a handler.

use std::pin::Pin;

use actix_web::{Handler, HttpResponse, ResponseError as _, http::header::CACHE_CONTROL};
use tenancy_core::Tenancy;
use tenancy_http::READY_BODY;

use crate::Error;

/// A handler that says whether the service can do its work: the tenant directory answers.
///
/// Status 200 with `{"status":"ready"}`, or 503 with a problem; what is out of reach is logged,
/// and not told. It reads past the caches, so that each call costs the directory a query.
///
/// # Security
/// Put it outside the [`TenancyMiddleware`](crate::TenancyMiddleware), and where only the
/// orchestrator reaches it: every caller can make the directory work.
///
/// # Example
/// A resource, not `App::route`: that would leave other methods to a `web::scope("")` that follows.
///
/// ```
/// use actix_web::{App, web};
///
/// # fn app(tenancy: &tenancy_core::Tenancy) {
/// let ready = tenancy_actix::ready(tenancy);
/// let app = App::new().service(
///     web::resource("/health/ready")
///         .route(web::get().to(ready.clone()))
///         .route(web::head().to(ready)),
/// );
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

    async fn answer(self) -> HttpResponse {
        match self.check().await {
            Ok(()) => HttpResponse::Ok()
                .content_type("application/json")
                .insert_header((CACHE_CONTROL, "no-store"))
                .body(READY_BODY),
            Err(error) => error.error_response(),
        }
    }
}

impl Handler<()> for Readiness {
    type Output = HttpResponse;
    type Future = Pin<Box<dyn Future<Output = HttpResponse>>>;

    fn call(&self, (): ()) -> Self::Future {
        Box::pin(self.clone().answer())
    }
}
