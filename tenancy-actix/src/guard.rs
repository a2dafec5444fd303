//! Permission guards: a route that only some may call.

mod future;
mod service;

use std::future::{Ready, ready};

use actix_web::{
    Error,
    body::EitherBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
pub use future::GuardFuture;
pub use service::GuardService;
use tenancy_core::{ConfigError, Tenancy};
use tenancy_http::Guard;

/// Requires a permission of every request to the scope, the resource or the route it wraps.
///
/// The same check as [`TenantContext::require`](tenancy_core::TenantContext::require) in a handler:
/// a caller who lacks the permission gets 403, and that is audited. It is a middleware, not one of
/// actix-web's routing guards: those look for another route where they fail.
///
/// Apply it inside [`TenancyMiddleware`](crate::TenancyMiddleware), which is to say: on something
/// that it covers, or before it in the text. Without that middleware, or with one of another
/// engine, every request is answered with 500 and the log names what is missing.
///
/// # Example
/// ```
/// use actix_web::{App, HttpServer, web};
/// use tenancy_actix::{RequirePermission, TenancyMiddleware};
///
/// # async fn list() -> &'static str { "" } async fn add() -> &'static str { "" }
/// # fn serve(tenancy: tenancy_core::Tenancy) -> Result<(), tenancy_core::ConfigError> {
/// // At start, where a name that was never declared is an error.
/// let reading = RequirePermission::new(&tenancy, "notes:read")?;
/// let writing = RequirePermission::new(&tenancy, "notes:write")?;
/// let server = HttpServer::new(move || {
///     App::new()
///         .service(
///             web::resource("/notes")
///                 .route(web::get().to(list).wrap(reading.clone()))
///                 .route(web::post().to(add).wrap(writing.clone())),
///         )
///         .wrap(TenancyMiddleware::new(&tenancy))
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a guard does nothing until it is applied"]
pub struct RequirePermission(Guard);

impl RequirePermission {
    /// A guard for a permission that the engine's registry declares.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the permission if it was never declared.
    pub fn new(tenancy: &Tenancy, permission: &str) -> Result<Self, ConfigError> {
        Guard::new(tenancy, permission).map(Self)
    }
}

impl<S, B> Transform<S, ServiceRequest> for RequirePermission
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = GuardService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(GuardService::new(service, self.0.clone())))
    }
}
