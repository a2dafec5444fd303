//! A route's policy: everything that a request must have, and what it costs, in one layer.

mod body;
mod future;
mod service;

pub use body::SettledBody;
pub use future::GateFuture;
pub use service::GateService;

use tenancy_core::{ConfigError, RoutePolicy, Tenancy};
use tenancy_http::Gate;
use tower_layer::Layer;

use crate::TenancyService;

/// Puts a [`RoutePolicy`] into effect: admits requests as [`TenancyLayer`](crate::TenancyLayer) does, checks
/// the permission and the feature, and has the engine's [`Charger`](tenancy_core::Charger) take the costs.
///
/// A request is charged once for each meter, also where it passes several layers. What it was charged is
/// settled when the last byte of the response was handed to the server, or when the handler was cancelled or
/// has panicked: see [`Charge::settled_by`](tenancy_core::Charge::settled_by). An upgraded connection, such
/// as a websocket, counts as answered once it is upgraded.
///
/// Stands inside another layer of the tenancy or alone.
///
/// # Example
/// ```
/// use axum::{Router, routing::post};
/// use tenancy_axum::{PolicyLayer, TenancyLayer};
/// use tenancy_core::{RouteNeeds, RoutePolicy};
///
/// # async fn export() {} async fn add() {}
/// # fn app(tenancy: &tenancy_core::Tenancy) -> Result<Router, tenancy_core::ConfigError> {
/// let policy = RoutePolicy::new(RouteNeeds::tenant())
///     .permission("notes:export")
///     .feature("export")
///     .cost("exports", 1);
/// let app = Router::new()
///     .route("/export", post(export).route_layer(PolicyLayer::new(tenancy, policy)?))
///     .route("/notes", post(add))
///     .layer(TenancyLayer::new(tenancy));
/// # Ok(app)
/// # }
/// ```
/// # Security
/// Apply it with `route_layer`. With `layer`, a request of an unknown path is charged too; and a GET needs no proof of its
/// origin, so that a link on another site could use up a tenant's quota. A request of another method is charged and gets
/// that back with its 405, if [`Quotas`](tenancy_core::quota::Quotas) count; a charger of your own has to do that.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is applied"]
pub struct PolicyLayer(Gate);

impl PolicyLayer {
    /// A layer for a policy of this engine.
    ///
    /// # Errors
    /// A [`ConfigError`] that names what the policy asks for and the engine does not have: a permission, a
    /// feature, a meter.
    pub fn new(tenancy: &Tenancy, policy: RoutePolicy) -> Result<Self, ConfigError> {
        Gate::new(tenancy, policy).map(Self)
    }
}

impl<S> Layer<S> for PolicyLayer {
    type Service = TenancyService<GateService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = GateService::new(inner, self.0.clone());
        TenancyService::new(inner, self.0.tenancy().clone(), self.0.needs())
    }
}
