//! The layer: what decides about a request before a handler sees it.

mod answer;
mod future;
mod service;

use http::Extensions;
use tenancy_core::{RouteNeeds, Tenancy};
use tenancy_http::AdmissionDecision;
use tower_layer::Layer;

pub(crate) use answer::Answer;
pub use future::ResponseFuture;
pub use service::TenancyService;

/// Admits requests: finds their tenant, checks that the caller may act for it, refuses the others.
///
/// An admitted request carries an [`AdmissionDecision`](crate::AdmissionDecision) with its
/// [`TenantContext`](tenancy_core::TenantContext) in its extensions, where
/// [`Tenant`](crate::Tenant) and the other extractors find it; the context is also recorded on the
/// current `tracing` span. A refused one never reaches the inner service: it
/// is answered with a problem (RFC 9457), and the [`Refusal`](tenancy_core::Refusal) stands in the
/// extensions of the response, where outer layers find it.
///
/// By default a route needs a tenant and a credential. A decision from memory allocates no future.
///
/// A layer inside another of the same engine keeps the outer decision if that is enough for what
/// the inner routes need, and decides anew if not: a router can be covered as a whole, and a part
/// of it more strictly. A layer of another engine always decides anew, and its decision replaces
/// the outer one.
///
/// Works on any service over `http` 1 whose response body can be made from a `String`, such as
/// axum's `Body` and `http-body-util`'s `Full<Bytes>`.
///
/// # Security
/// A route that no layer covers is reachable by everyone. The extractors refuse to work there; a
/// handler that uses none of them can't tell. See [the crate's documentation](crate#what-runs-first)
/// for the order of layers and [for proxies](crate#behind-a-proxy).
///
/// # Example: tenant routes, a public page, a sign-up
/// ```
/// use axum::{Router, routing::{get, post}};
/// use tenancy_axum::TenancyLayer;
///
/// # fn app(tenancy: &tenancy_core::Tenancy) -> Router {
/// # async fn notes() {} async fn welcome() {} async fn sign_up() {}
/// let notes = Router::new()
///     .route("/notes", get(notes))
///     .layer(TenancyLayer::new(tenancy));
/// let public = Router::new()
///     .route("/welcome", get(welcome))
///     .layer(TenancyLayer::new(tenancy).or_anonymous());
/// let central = Router::new()
///     .route("/sign-up", post(sign_up))
///     .layer(TenancyLayer::new(tenancy).central());
/// notes.merge(public).merge(central)
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is applied"]
pub struct TenancyLayer {
    tenancy: Tenancy,
    needs: RouteNeeds,
}

impl TenancyLayer {
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

/// Has a request carry what was decided.
fn carry(extensions: &mut Extensions, decision: AdmissionDecision) {
    #[cfg(feature = "usage")]
    if let Some(metered) = extensions.get::<tenancy_http::MeteredRequest>() {
        metered.decided(&decision);
        // Outside of the router, where it may be metered, nobody knows the route yet.
        if let Some(route) = extensions.get::<axum::extract::MatchedPath>() {
            metered.matched(route.as_str());
        }
    }
    extensions.insert(decision);
}

impl<S> Layer<S> for TenancyLayer {
    type Service = TenancyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TenancyService::new(inner, self.tenancy.clone(), self.needs)
    }
}
