//! Permission guards: a route that only some may call.

mod future;
mod service;

pub use future::GuardFuture;
pub use service::GuardService;

use tenancy_core::{ConfigError, Tenancy};
use tenancy_http::Guard;
use tower_layer::Layer;

/// Requires a permission of every request to the routes it covers.
///
/// The same check as [`TenantContext::require`](tenancy_core::TenantContext::require) in a handler:
/// a caller who lacks the permission gets 403, and that is audited.
///
/// Apply it inside [`TenancyLayer`](crate::TenancyLayer), which is to say: before it in the text.
/// Without that layer, or with one of another engine, every request is answered with 500 and the
/// log names what is missing.
///
/// # Example
/// ```
/// use axum::{Router, routing::{get, post}};
/// use tenancy_axum::{RequirePermission, TenancyLayer};
///
/// # async fn list() {} async fn add() {}
/// # fn app(tenancy: &tenancy_core::Tenancy) -> Result<Router, tenancy_core::ConfigError> {
/// let app = Router::new()
///     .route("/notes", post(add).layer(RequirePermission::new(tenancy, "notes:write")?))
///     .route("/notes", get(list).layer(RequirePermission::new(tenancy, "notes:read")?))
///     .layer(TenancyLayer::new(tenancy));
/// # Ok(app)
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

impl<S> Layer<S> for RequirePermission {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService::new(inner, self.0.clone())
    }
}
