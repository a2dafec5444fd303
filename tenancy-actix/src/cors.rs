//! The middleware for pages of other origins: answers preflights, and lets allowed pages read
//! responses.

mod future;
mod marking;
mod service;

use std::{pin::Pin, rc::Rc};

use actix_cors::Cors;
use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
pub use future::CorsFuture;
use marking::Marking;
pub use service::CorsService;
use tenancy_core::{ConfigError, CorsPolicy, Tenancy};

/// Lets pages of other origins call the service, as the engine's
/// [`CorsPolicy`](tenancy_core::CorsPolicy) says.
///
/// For each request the engine decides about the `Origin`, and actix-cors's
/// [`Cors`](actix_cors::Cors) writes the fields for an allowed one:
///
/// | the page | a preflight | another request |
/// |---|---|---|
/// | may | 200 with the fields of CORS | passed on; the response gets the fields of CORS |
/// | may not | the problem `origin-not-allowed`, 403 | passed on for the tenancy to refuse; no field |
/// | is none, or of the same site without `Origin` | | passed on; no field |
///
/// A preflight never reaches the inner service and needs no credential. If the directory, which
/// has to be asked about a custom domain, does not answer, that is 503. Every response gets `Vary:
/// Origin`, also where no page is concerned: with an `Origin`, it would have been another.
///
/// Put it outside the tenancy, and outside all that answers in its place: a browser shows a script
/// a refusal only if that has the fields too. See [the order of middleware](crate#what-runs-first).
/// actix-cors's own middleware is not needed beside this one.
///
/// # Security
/// * Browsers obey CORS; nobody else does. What keeps a stranger's request out is the
///   [`TenancyMiddleware`](crate::TenancyMiddleware), which reads the same `Origin` by the same
///   policy. On a route that it does not cover, a page that is refused here gets its request served
///   all the same, and can't read the response.
/// * `Access-Control-Allow-Origin` is the request's origin, and never `*`.
/// * Fields of CORS that a handler or a middleware inside sets itself stay where this one sets none.
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
pub struct TenancyCors {
    tenancy: Tenancy,
    policy: CorsPolicy,
}

impl TenancyCors {
    /// A middleware with the policy that the engine was built with.
    ///
    /// # Errors
    /// A [`ConfigError`] if it was built without one, by
    /// [`TenancyBuilder::cors`](tenancy_core::TenancyBuilder::cors).
    pub fn new(tenancy: &Tenancy) -> Result<Self, ConfigError> {
        Ok(Self {
            policy: tenancy_http::cors_policy(tenancy)?.clone(),
            tenancy: tenancy.clone(),
        })
    }
}

/// What writes the fields. It is given only what the engine has allowed, so that it asks nothing
/// but the method.
fn middleware(policy: &CorsPolicy) -> Cors {
    let age = usize::try_from(policy.preflight_max_age().as_secs()).unwrap_or(usize::MAX);
    let cors = Cors::default()
        .allowed_origin_fn(|_, _| true)
        .allowed_methods(policy.allowed_methods())
        // It takes an empty item in the list that a preflight sends for an error, and answers with
        // its own lists in random order; `Marking` sends the policy's.
        .allow_any_header()
        .max_age(age)
        // It would drop all but the first `Vary` of a handler.
        .disable_vary_header();
    if policy.allows_credentials() {
        cors.supports_credentials()
    } else {
        cors
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
    type Future = Pin<Box<dyn Future<Output = Result<Self::Transform, ()>>>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let inner = Rc::new(service);
        let cors = middleware(&self.policy).new_transform(Rc::clone(&inner));
        let Self { tenancy, policy } = self.clone();
        Box::pin(async move {
            let marking = Marking::new(cors.await?, &policy);
            Ok(CorsService::new(inner, marking, tenancy))
        })
    }
}
