//! The middleware: what decides about a request before a handler sees it.

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
pub use future::ResponseFuture;
pub use service::TenancyService;
use tenancy_core::{RouteNeeds, Tenancy};

/// Admits requests: finds their tenant, checks that the caller may act for it, refuses the others.
///
/// An admitted request carries an [`AdmissionDecision`](crate::AdmissionDecision) with its
/// [`TenantContext`](tenancy_core::TenantContext) in its extensions, where
/// [`Tenant`](crate::Tenant) and the other extractors find it; the context is also recorded on the
/// current `tracing` span. A refused one never reaches the inner service: it is answered with a
/// problem (RFC 9457), as a response and not as an error, and the
/// [`Refusal`](tenancy_core::Refusal) stands in the extensions of the response, where outer
/// middleware finds it.
///
/// By default a route needs a tenant and a credential. A decision from memory allocates no future.
///
/// Wraps an app, a scope, a resource or a route. A middleware inside another of the same engine
/// keeps the outer decision if that is enough for what the inner routes need, and decides anew if
/// not: an app can be covered as a whole, and a part of it more strictly. A middleware of another
/// engine always decides anew, and its decision replaces the outer one.
///
/// # Security
/// A route that no middleware covers is reachable by everyone. The extractors refuse to work there;
/// a handler that uses none of them can't tell. See [the crate's
/// documentation](crate#what-runs-first) for the order of middleware and [for
/// proxies](crate#behind-a-proxy).
///
/// # Example: tenant routes, a public page, a sign-up
/// ```
/// use actix_web::{App, web};
/// use tenancy_actix::TenancyMiddleware;
///
/// # fn app(tenancy: &tenancy_core::Tenancy) {
/// # async fn notes() -> &'static str { "" } async fn welcome() -> &'static str { "" }
/// # async fn sign_up() -> &'static str { "" }
/// let app = App::new()
///     .service(
///         web::resource("/welcome")
///             .route(web::get().to(welcome))
///             .wrap(TenancyMiddleware::new(tenancy).or_anonymous()),
///     )
///     .service(
///         web::resource("/sign-up")
///             .route(web::post().to(sign_up))
///             .wrap(TenancyMiddleware::new(tenancy).central()),
///     )
///     .service(
///         web::scope("") // last: nothing after it is reached
///             .service(web::resource("/notes").route(web::get().to(notes)))
///             .wrap(TenancyMiddleware::new(tenancy)),
///     );
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a middleware does nothing until it is applied"]
pub struct TenancyMiddleware {
    tenancy: Tenancy,
    needs: RouteNeeds,
}

impl TenancyMiddleware {
    /// The routes need a tenant and a credential: [`RouteNeeds::tenant`].
    pub fn new(tenancy: &Tenancy) -> Self {
        Self {
            tenancy: tenancy.clone(),
            needs: RouteNeeds::tenant(),
        }
    }

    /// Declares what the routes need, in place of whatever was declared before.
    pub fn needs(mut self, needs: RouteNeeds) -> Self {
        self.needs = needs;
        self
    }

    /// The routes serve a tenant if the request names one: [`RouteNeeds::optional`].
    pub fn optional(mut self) -> Self {
        self.needs = self.needs.with_tenant_of(RouteNeeds::optional());
        self
    }

    /// The routes belong to the service as a whole and have no tenant: [`RouteNeeds::central`].
    ///
    /// A credential may be absent; one that is sent must be valid.
    pub fn central(mut self) -> Self {
        self.needs = self.needs.with_tenant_of(RouteNeeds::central());
        self
    }

    /// Also admits callers without a credential: [`RouteNeeds::or_anonymous`].
    ///
    /// # Security
    /// Every caller who can name the tenant's host reaches the handler, without any permission.
    pub fn or_anonymous(mut self) -> Self {
        self.needs = self.needs.or_anonymous();
        self
    }

    /// Also takes a credential that does not hold any more for none:
    /// [`RouteNeeds::or_anonymous_if_stale`]. Includes [`or_anonymous`](Self::or_anonymous).
    ///
    /// # Security
    /// Every caller who can name the tenant's host reaches the handler, without any permission.
    pub fn or_anonymous_if_stale(mut self) -> Self {
        self.needs = self.needs.or_anonymous_if_stale();
        self
    }

    /// Also takes a caller who is signed in and no member for a visitor:
    /// [`RouteNeeds::or_anonymous_if_not_member`]. Includes [`or_anonymous`](Self::or_anonymous).
    ///
    /// # Security
    /// Every caller who can name the tenant's host reaches the handler, without any permission.
    pub fn or_anonymous_if_not_member(mut self) -> Self {
        self.needs = self.needs.or_anonymous_if_not_member();
        self
    }
}

impl<S, B> Transform<S, ServiceRequest> for TenancyMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = TenancyService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let inner = Rc::new(service);
        ready(Ok(TenancyService::new(
            inner,
            self.tenancy.for_this_thread(),
            self.needs,
        )))
    }
}
