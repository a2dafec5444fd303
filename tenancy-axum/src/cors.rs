//! The layer for pages of other origins: answers preflights, and lets allowed pages read responses.

mod future;
mod service;

pub use future::CorsFuture;
use http::HeaderValue;
pub use service::CorsService;
use tenancy_core::{ConfigError, Tenancy};
use tenancy_http::CorsFields;
use tower_layer::Layer;

use crate::fields::Fields;

/// Lets pages of other origins call the service, as the engine's
/// [`CorsPolicy`](tenancy_core::CorsPolicy) says.
///
/// For each request the engine decides about the `Origin`, and the layer answers or writes fields:
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
/// a refusal only if that has the fields too. See [the order of layers](crate#what-runs-first).
/// tower-http's own layer is not needed beside this one. Inside another layer of the same engine, this
/// one decides nothing anew and leaves the fields to that one.
///
/// # Security
/// * Browsers obey CORS; nobody else does. What keeps a stranger's request out is the
///   [`TenancyLayer`](crate::TenancyLayer), which reads the same `Origin` by the same policy. On a
///   route that it does not cover, a page that is refused here gets its request served all the
///   same, and can't read the response.
/// * `Access-Control-Allow-Origin` is the request's origin, and never `*`.
/// * For an allowed page, this layer's fields take the place of those that a handler or a layer inside
///   has set: `Access-Control-Allow-Origin`, `-Allow-Credentials` and `-Expose-Headers`. For every
///   other request, what a handler says itself stays: one that says `*` lets every page read.
///
/// # Example
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use http::Request;
/// use tenancy_axum::{TenancyCors, TenancyLayer};
/// use tenancy_core::{CorsPolicy, Identification, MemoryDirectory, Tenancy};
/// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
/// use tower::ServiceExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .identification(Identification::new().subdomains_of("example.com"))
///     .authenticator(tokens)
///     .cors(CorsPolicy::new().origin("https://app.example.net"))
///     .build()?;
/// let app = Router::new()
///     .route("/notes", get(async || "notes"))
///     .layer(TenancyLayer::new(&tenancy))
///     .layer(TenancyCors::new(&tenancy)?);
///
/// let preflight = Request::options("/notes")
///     .header("host", "acme.example.com")
///     .header("origin", "https://app.example.net")
///     .header("access-control-request-method", "GET")
///     .header("access-control-request-headers", "authorization")
///     .body(Body::empty())?;
/// let answer = app.oneshot(preflight).await?;
/// assert_eq!(answer.status(), 200);
/// assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.net");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is applied"]
pub struct TenancyCors(CorsFields<HeaderValue>);

impl TenancyCors {
    /// A layer with the policy that the engine was built with.
    ///
    /// # Errors
    /// A [`ConfigError`] if it was built without one, by
    /// [`TenancyBuilder::cors`](tenancy_core::TenancyBuilder::cors).
    pub fn new(tenancy: &Tenancy) -> Result<Self, ConfigError> {
        CorsFields::new::<Fields<'_>>(tenancy).map(Self)
    }
}

impl<S> Layer<S> for TenancyCors {
    type Service = CorsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CorsService::new(inner, self.0.clone())
    }
}
