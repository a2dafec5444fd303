//! The layer that gives every response the header fields of a multi-tenant service.

use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tenancy_core::SecurityHeaders;
use tenancy_http::{ChosenSecurityFields, SecurityFields};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fields::{Fields, FieldsFuture},
    view::HeadView,
};

/// Adds [`SecurityHeaders`] to every response that passes through.
///
/// What a handler has set itself stays; `Vary` is added to, without repeating a name. The fields
/// are chosen by the request as it arrives, so that no layer inside can change them.
///
/// Put it outside of everything that makes responses: the answers to preflights, refusals, unknown
/// paths and a handler's errors then carry them too. See [the order of
/// layers](crate#what-runs-first).
///
/// # Security
/// * What passes no layer gets no field: what the server itself answers, to what is no HTTP or too
///   large, and responses that are made from a service's error further outside.
/// * Behind a proxy the host, by which `strict-transport-security` is chosen, is the one that the
///   rules for [trusted proxies](tenancy_core::Identification::trusted_proxies) find.
///
/// # Example
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use http::Request;
/// use tenancy_axum::{SecurityHeadersLayer, TenancyLayer};
/// use tenancy_core::SecurityHeaders;
/// use tower::ServiceExt as _;
///
/// # use tenancy_core::{
/// #     Identification, MemoryDirectory, Tenancy,
/// #     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// # };
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tenancy = Tenancy::builder(MemoryDirectory::new())
/// #     .identification(Identification::new().subdomains_of("example.com"))
/// #     .authenticator(JwtAuthenticator::builder("https://login.example", "x").key(key).build()?)
/// #     .build()?;
/// let headers = SecurityHeaders::builder(&tenancy).no_framing().build()?;
/// let app = Router::new()
///     .route("/notes", get(async || "notes"))
///     .layer(TenancyLayer::new(&tenancy))
///     .layer(SecurityHeadersLayer::new(headers));
///
/// let request = Request::get("/notes").header("host", "acme.example.com").body(Body::empty())?;
/// let refused = app.oneshot(request).await?;
/// assert_eq!(refused.status(), 401);
/// assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
/// assert_eq!(
///     refused.headers()["strict-transport-security"],
///     "max-age=31536000; includeSubDomains",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is applied"]
pub struct SecurityHeadersLayer(SecurityFields<HeaderValue>);

impl SecurityHeadersLayer {
    /// A layer that adds these fields.
    pub fn new(headers: SecurityHeaders) -> Self {
        Self(SecurityFields::new::<Fields<'_>>(headers))
    }
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeadersService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let fields = self.0.clone();
        SecurityHeadersService { inner, fields }
    }
}

/// The service that [`SecurityHeadersLayer`] makes.
///
/// tower-http's `SetResponseHeader` sees the response alone, and what is sent depends on the host
/// of the request.
#[derive(Debug, Clone)]
pub struct SecurityHeadersService<S> {
    inner: S,
    fields: SecurityFields<HeaderValue>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SecurityHeadersService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FieldsFuture<S::Future, ChosenSecurityFields<HeaderValue>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let chosen = self.fields.choose(&HeadView::of(&request));
        FieldsFuture::new(self.inner.call(request), chosen)
    }
}
