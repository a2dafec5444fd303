//! A route's policy: everything that a request must have, and what it costs, in one middleware.

mod body;
mod future;
mod service;

use std::{
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
pub use body::SettledBody;
pub use future::GateFuture;
pub use service::GateService;
use tenancy_core::{ConfigError, RoutePolicy, Tenancy};
use tenancy_http::Gate;

use crate::TenancyService;

/// Puts a [`RoutePolicy`] into effect: admits requests as [`TenancyMiddleware`](crate::TenancyMiddleware)
/// does, checks the permission and the feature, and has the engine's [`Charger`](tenancy_core::Charger) take
/// the costs.
///
/// A request is charged once for each meter, also where it passes several middlewares. What it was charged is
/// settled when the last byte of the response was handed to the server, or when the handler was cancelled or
/// has panicked: see [`Charge::settled_by`](tenancy_core::Charge::settled_by). An upgraded connection, such
/// as a websocket, counts as answered once its messages have ended.
///
/// actix-web goes on with a handler whose client has gone, so that its charge is settled when it answers. Give
/// long handlers a time limit.
///
/// Stands inside another middleware of the tenancy or alone.
///
/// # Example
/// ```
/// use actix_web::{App, HttpServer, web};
/// use tenancy_actix::{PolicyMiddleware, TenancyMiddleware};
/// use tenancy_core::{RouteNeeds, RoutePolicy};
///
/// # async fn export() -> &'static str { "" } async fn add() -> &'static str { "" }
/// # fn serve(tenancy: tenancy_core::Tenancy) -> Result<(), tenancy_core::ConfigError> {
/// // At start, where a name that was never declared is an error.
/// let policy = RoutePolicy::new(RouteNeeds::tenant())
///     .permission("notes:export")
///     .feature("export")
///     .cost("exports", 1);
/// let exporting = PolicyMiddleware::new(&tenancy, policy)?;
/// let server = HttpServer::new(move || {
///     App::new()
///         .service(web::resource("/export").route(web::post().to(export).wrap(exporting.clone())))
///         .service(web::resource("/notes").route(web::post().to(add)))
///         .wrap(TenancyMiddleware::new(&tenancy))
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a middleware does nothing until it is applied"]
pub struct PolicyMiddleware(Gate);

impl PolicyMiddleware {
    /// A middleware for a policy of this engine.
    ///
    /// # Errors
    /// A [`ConfigError`] that names what the policy asks for and the engine does not have: a permission, a
    /// feature, a meter.
    pub fn new(tenancy: &Tenancy, policy: RoutePolicy) -> Result<Self, ConfigError> {
        Gate::new(tenancy, policy).map(Self)
    }
}

impl<S, B> Transform<S, ServiceRequest> for PolicyMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<EitherBody<SettledBody<B>>>>;
    type Error = Error;
    type Transform = TenancyService<GateService<S>>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let gated = GateService::new(Rc::new(service), self.0.clone());
        ready(Ok(TenancyService::new(
            Rc::new(gated),
            self.0.tenancy().clone(),
            self.0.needs(),
        )))
    }
}
