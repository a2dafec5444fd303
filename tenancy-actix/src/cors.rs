//! The middleware for pages of other origins: answers preflights, and lets allowed pages read
//! responses.

mod service;

use std::{
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::header::HeaderValue,
};
pub use service::CorsService;
use tenancy_core::{ConfigError, Tenancy};
use tenancy_http::CorsFields;

use crate::fields::Fields;

/// Lets pages of other origins call the service, as the engine's
/// [`CorsPolicy`](tenancy_core::CorsPolicy) says.
///
/// For each request the engine decides about the `Origin`, and the middleware answers or writes fields:
///
/// | the page | a preflight | another request |
/// |---|---|---|
/// | may | 200 with the fields of CORS | passed on; the response gets the fields of CORS |
/// | may not | the problem `origin-not-allowed`, 403 | passed on for the tenancy to refuse; no field |
/// | is none, or of the same site without `Origin` | | passed on; no field |
///
/// A preflight never reaches the inner service and needs no credential. If the directory, which
/// has to be asked about a custom domain, does not answer, that is 503. Every response gets `Vary:
/// Origin`, also where no page is concerned: with an `Origin`, it would have been another. The answer
/// to a preflight names `Access-Control-Request-Method` and `Access-Control-Request-Headers` too.
///
/// Put it outside the tenancy, and outside all that answers in its place: a browser shows a script
/// a refusal only if that has the fields too. See [the order of middleware](crate#what-runs-first).
/// actix-cors's own middleware is not needed beside this one. Inside another middleware of the same
/// engine, this one decides nothing anew and leaves the fields to that one.
///
/// # Security
/// * Browsers obey CORS; nobody else does. What keeps a stranger's request out is the
///   [`TenancyMiddleware`](crate::TenancyMiddleware), which reads the same `Origin` by the same
///   policy. On a route that it does not cover, a page that is refused here gets its request served
///   all the same, and can't read the response.
/// * `Access-Control-Allow-Origin` is the request's origin, and never `*`.
/// * For an allowed page, this middleware's fields take the place of those that a handler or a
///   middleware inside has set: `Access-Control-Allow-Origin`, `-Allow-Credentials` and
///   `-Expose-Headers`. For every other request, what a handler says itself stays: one that says `*`
///   lets every page read.
///
/// # Example
/// ```
/// use actix_web::{App, test, web};
/// use tenancy_actix::{TenancyCors, TenancyMiddleware};
/// use tenancy_core::{CorsPolicy, Identification, MemoryDirectory, Tenancy};
/// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
///
/// # async fn notes() -> &'static str { "notes" }
/// # #[actix_web::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .identification(Identification::new().subdomains_of("example.com"))
///     .authenticator(tokens)
///     .cors(CorsPolicy::new().origin("https://app.example.net"))
///     .build()?;
/// let app = App::new()
///     .route("/notes", web::get().to(notes))
///     .wrap(TenancyMiddleware::new(&tenancy))
///     .wrap(TenancyCors::new(&tenancy)?);
///
/// let app = test::init_service(app).await;
/// let preflight = test::TestRequest::default()
///     .method(actix_web::http::Method::OPTIONS)
///     .uri("/notes")
///     .insert_header(("host", "acme.example.com"))
///     .insert_header(("origin", "https://app.example.net"))
///     .insert_header(("access-control-request-method", "GET"))
///     .insert_header(("access-control-request-headers", "authorization"))
///     .to_request();
/// let answer = test::call_service(&app, preflight).await;
/// assert_eq!(answer.status(), 200);
/// let origin = answer.headers().get("access-control-allow-origin").ok_or("no origin")?;
/// assert_eq!(origin, "https://app.example.net");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a middleware does nothing until it is applied"]
pub struct TenancyCors(CorsFields<HeaderValue>);

impl TenancyCors {
    /// A middleware with the policy that the engine was built with.
    ///
    /// # Errors
    /// A [`ConfigError`] if it was built without one, by
    /// [`TenancyBuilder::cors`](tenancy_core::TenancyBuilder::cors).
    pub fn new(tenancy: &Tenancy) -> Result<Self, ConfigError> {
        CorsFields::new::<Fields<'_>>(tenancy).map(Self)
    }
}

impl<S, B> Transform<S, ServiceRequest> for TenancyCors
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = CorsService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(CorsService::new(Rc::new(service), self.0.clone())))
    }
}
