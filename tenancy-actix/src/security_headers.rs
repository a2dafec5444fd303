//! The middleware that gives every response the header fields of a multi-tenant service.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use actix_web::{
    Error,
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::header::HeaderValue,
};
use tenancy_core::SecurityHeaders;
use tenancy_http::{ChosenSecurityFields, SecurityFields};

use crate::{
    fields::{Fields, FieldsFuture},
    view::HeadView,
};

/// Adds [`SecurityHeaders`] to every response that passes through.
///
/// What a handler has set itself stays; `Vary` is added to, without repeating a name. The fields
/// are chosen by the request as it arrives, so that no middleware inside can change them.
///
/// Put it outside of everything that makes responses: the answers to preflights, refusals, unknown
/// paths and a handler's errors then carry them too, and so do the responses that actix-web makes
/// of a middleware's `Err`. See [the order of middleware](crate#what-runs-first).
///
/// # Security
/// * What passes no middleware gets no field: what the server itself answers, to what is no HTTP or
///   too large.
/// * Behind a proxy the host, by which `strict-transport-security` is chosen, is the one that the
///   rules for [trusted proxies](tenancy_core::Identification::trusted_proxies) find.
///
/// # Example
/// ```
/// use actix_web::{App, test, web};
/// use tenancy_actix::{SecurityHeadersMiddleware, TenancyMiddleware};
/// use tenancy_core::SecurityHeaders;
///
/// # use tenancy_core::{
/// #     Identification, MemoryDirectory, Tenancy,
/// #     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// # };
/// # async fn notes() -> &'static str { "notes" }
/// # #[actix_web::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tenancy = Tenancy::builder(MemoryDirectory::new())
/// #     .identification(Identification::new().subdomains_of("example.com"))
/// #     .authenticator(JwtAuthenticator::builder("https://login.example", "x").key(key).build()?)
/// #     .build()?;
/// let headers = SecurityHeaders::builder(&tenancy).no_framing().build()?;
/// let app = App::new()
///     .route("/notes", web::get().to(notes))
///     .wrap(TenancyMiddleware::new(&tenancy))
///     .wrap(SecurityHeadersMiddleware::new(headers));
///
/// let app = test::init_service(app).await;
/// let request = test::TestRequest::get()
///     .uri("/notes")
///     .insert_header(("host", "acme.example.com"))
///     .to_request();
/// let refused = test::call_service(&app, request).await;
/// assert_eq!(refused.status(), 401);
/// let field = |name| refused.headers().get(name).and_then(|value| value.to_str().ok());
/// assert_eq!(field("x-content-type-options"), Some("nosniff"));
/// assert_eq!(
///     field("strict-transport-security"),
///     Some("max-age=31536000; includeSubDomains"),
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a middleware does nothing until it is applied"]
pub struct SecurityHeadersMiddleware(SecurityFields<HeaderValue>);

impl SecurityHeadersMiddleware {
    /// A middleware that adds these fields.
    pub fn new(headers: SecurityHeaders) -> Self {
        Self(SecurityFields::new::<Fields<'_>>(headers))
    }
}

impl<S, B> Transform<S, ServiceRequest> for SecurityHeadersMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = SecurityHeadersService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        let fields = self.0.clone();
        ready(Ok(SecurityHeadersService { inner, fields }))
    }
}

/// The service that [`SecurityHeadersMiddleware`] makes.
///
/// actix-web's `DefaultHeaders` sends the same to everybody, and adds to no list; what is sent here
/// depends on the host of the request.
#[derive(Debug)]
pub struct SecurityHeadersService<S> {
    inner: S,
    fields: SecurityFields<HeaderValue>,
}

impl<S, B> Service<ServiceRequest> for SecurityHeadersService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = FieldsFuture<S::Future, ChosenSecurityFields<HeaderValue>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let chosen = self.fields.choose(&HeadView::of(request.request()));
        FieldsFuture::new(self.inner.call(request), chosen)
    }
}
