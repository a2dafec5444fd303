//! Cross-origin requests: which pages may call the service, and in whose name.
//!
//! Nothing here writes a response: the layers of adapters ask [`Tenancy::cors`](crate::Tenancy::cors)
//! about each request, and write the header fields that the policy says.

mod check;
mod claim;
mod origin;
mod preflight;
mod same_origin;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use check::configured;
pub(crate) use claim::{Claim, OriginFault};
pub(crate) use origin::{InvalidOrigin, Origin};
pub use preflight::is_preflight;
pub(crate) use same_origin::same_origin;

/// Which pages may call the service from another origin.
///
/// Given to [`TenancyBuilder::cors`](crate::TenancyBuilder::cors), it makes the `Origin` field of
/// every request count. A page may call
///
/// * the host it came from,
/// * every tenant, if its origin is [one of the application](Self::origin),
/// * its own tenant, if its host is one by the rules of
///   [`Identification`](crate::Identification): `https://acme.example.com` is acme's. Then the
///   origin is a hint like any other: it must agree with host, path, header and credential, and
///   may be the only one. A hint chooses among the caller's own tenants; it never authorizes.
///
/// All else is refused with [`OriginNotAllowed`](crate::RefusalKind::OriginNotAllowed), before a
/// credential is looked at, also where no tenant is needed. A request without `Origin` is not
/// affected, and without a policy the field is ignored.
///
/// Hosts in an origin are read as the host of a request is: case and a trailing dot don't count,
/// and neither does a default port that is written out.
///
/// # Security
/// * A tenant's page may call the service's central routes, whichever tenant it is. On those, a
///   custom domain must be one of a tenant that is served. With a cookie, such a page only
///   [reads](Self::credentials).
/// * Any well-formed subdomain counts as a tenant's; whether there is one is only found out with
///   a credential. So preflights tell strangers nothing about subdomains, and cost no look-up. A
///   custom domain is looked up: a stranger can find out that the domain, which is in public DNS,
///   is one of a tenant that is served, and not of which.
/// * The service's own scheme is not in a request. A page of `http` is taken for one of the same
///   host only on `localhost` and loopback addresses, unless
///   [`insecure_origins`](Self::insecure_origins) says otherwise.
/// * A proxy in front that changes `Host` must be listed with
///   [`trusted_proxies`](crate::Identification::trusted_proxies) and send `X-Forwarded-Host`, with
///   the port where it is not the default; else a page of the service's central host is refused.
///
/// # Example: an application and its tenants' pages
/// ```
/// use tenancy_core::{
///     CorsPolicy, Identification, MemoryDirectory, Tenancy,
///     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// };
///
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let rules = Identification::new()
///     .header("x-organization-id")
///     .subdomains_of("example.com")
///     .central_host("app.example.com");
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .identification(rules)
///     .authenticator(tokens)
///     .cors(CorsPolicy::new().origin("https://app.example.com"))
///     .build()?;
///
/// let policy = tenancy.cors_policy().ok_or("no policy")?;
/// let headers: Vec<_> = policy.allowed_headers().collect();
/// assert_eq!(headers, ["authorization", "content-type", "x-organization-id"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct CorsPolicy {
    listed: Vec<String>,
    /// [`Self::listed`], as checked.
    origins: Vec<Origin<'static>>,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Vec<String>,
    credentials: bool,
    max_age: Duration,
    insecure: bool,
}

impl Default for CorsPolicy {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            listed: Vec::new(),
            origins: Vec::new(),
            methods: owned(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
            headers: owned(&["authorization", "content-type"]),
            exposed: owned(&["retry-after", "www-authenticate"]),
            credentials: false,
            max_age: Duration::from_secs(600),
            insecure: false,
        }
    }
}

impl CorsPolicy {
    /// Pages of the tenants' own hosts, and of no other origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an origin of the application itself, such as `https://app.example.com`: good for every
    /// tenant. May be `http` and have a port, as `http://localhost:5173`.
    ///
    /// # Security
    /// A host below a domain of [`subdomains_of`](crate::Identification::subdomains_of) must be a
    /// [`central_host`](crate::Identification::central_host) as well; otherwise a user who gets the tenant
    /// of that name would have pages that may call every tenant.
    pub fn origin(mut self, origin: &str) -> Self {
        self.listed.push(origin.to_owned());
        self
    }

    /// Replaces the methods that a page may use.
    /// Default: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub fn methods(mut self, methods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.methods = methods.into_iter().map(Into::into).collect();
        self
    }

    /// Adds header fields that a page may send. Always there: `authorization`, `content-type`,
    /// those by which [`Identification`](crate::Identification) finds tenant and project, and the
    /// one of [API keys](crate::key::ApiKeys::header), if they have one.
    pub fn headers(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.headers.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds header fields of responses that a page may read. Always there: `retry-after` and
    /// `www-authenticate`, which refusals have. With
    /// [`Quotas::rate_limit_fields`](crate::quota::Quotas::rate_limit_fields) also `ratelimit-policy` and `ratelimit`.
    pub fn expose(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.exposed.extend(names.into_iter().map(Into::into));
        self
    }

    /// Whether a browser may send what it keeps by itself: cookies, client certificates.
    /// Default: no. A bearer token that the page sends does not need it.
    ///
    /// # Security
    /// Then an allowed page acts with its visitor's cookies: a page of the application everywhere, and a
    /// tenant's page in its own tenant. On central routes a tenant's page can read with them. It can
    /// change nothing there, unless a [source](crate::CredentialSource::danger_accept_cross_site) accepts
    /// other sites.
    pub fn credentials(mut self, allowed: bool) -> Self {
        self.credentials = allowed;
        self
    }

    /// How long a browser may remember a preflight. Default: 10 minutes. Sent in whole seconds.
    ///
    /// The request itself is decided about each time.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Takes tenants' hosts also with `http` and on any port: for development.
    ///
    /// # Security
    /// An attacker on the network between a page and its visitor can be any `http` page.
    pub fn insecure_origins(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// The application's origins, as browsers write them. Tenants' are not among them. None before
    /// the policy has been checked by [`TenancyBuilder::build`](crate::TenancyBuilder::build).
    pub fn application_origins(&self) -> impl Iterator<Item = String> {
        self.origins.iter().map(ToString::to_string)
    }

    /// The methods that a page may use: `Access-Control-Allow-Methods`.
    pub fn allowed_methods(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(String::as_str)
    }

    /// The header fields that a page may send, in lower case, each once:
    /// `Access-Control-Allow-Headers`.
    pub fn allowed_headers(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(String::as_str)
    }

    /// The header fields of responses that a page may read, in lower case, each once:
    /// `Access-Control-Expose-Headers`.
    pub fn exposed_headers(&self) -> impl Iterator<Item = &str> {
        self.exposed.iter().map(String::as_str)
    }

    /// Whether to send `Access-Control-Allow-Credentials: true`.
    #[must_use]
    pub const fn allows_credentials(&self) -> bool {
        self.credentials
    }

    pub(crate) const fn takes_insecure(&self) -> bool {
        self.insecure
    }

    /// How long a preflight may be remembered: `Access-Control-Max-Age`, in seconds.
    #[must_use]
    pub const fn preflight_max_age(&self) -> Duration {
        self.max_age
    }
}
