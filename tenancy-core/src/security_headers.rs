//! The header fields that every response of a multi-tenant service should carry, as data.

mod builder;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use builder::SecurityHeadersBuilder;

use crate::{Identification, RequestView, Tenancy, proxy::Host};

/// One header field for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityField<'a> {
    /// The name, in lower case.
    pub name: &'static str,
    /// The value.
    pub value: &'a str,
    /// What to do where the handler has set the field itself.
    pub merge: Merge,
}

/// How a field joins those that a handler has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an adapter that overlooks a way must not compile"
)]
pub enum Merge {
    /// Set it only if the handler has not: what the handler says, it means.
    IfAbsent,
    /// Add it as one more field of the name. Its value is a list, and lists add up.
    Append,
}

/// The header fields that every response of a multi-tenant service should carry.
///
/// | field | value | changed by |
/// |---|---|---|
/// | `x-content-type-options` | `nosniff` | |
/// | `referrer-policy` | `strict-origin-when-cross-origin` | |
/// | `content-security-policy` | `frame-ancestors 'self'` | [`no_framing`], [`framing_by`] |
/// | `cross-origin-resource-policy` | `same-origin` | |
/// | `cross-origin-opener-policy` | `same-origin` | |
/// | `strict-transport-security` | `max-age=31536000; includeSubDomains` | [`hsts`], [`without_hsts`] |
/// | `cache-control` | `no-store` | [`private_caching`] |
/// | `vary` | what tells tenants apart | [`vary_by`] |
///
/// Each is set where the handler has set none; `vary` is [added](Merge::Append).
///
/// `strict-transport-security` says `includeSubDomains` only on the service's own hosts: the base
/// domains of [`Identification`](crate::Identification), hosts below them, and central hosts. On a
/// customer's domain it would bind hosts that are the customer's, so that it is for that one host;
/// on addresses, bare names such as `localhost`, and what is below `localhost` it is not sent.
///
/// `cache-control` is `no-store`, as refusals have it, because a response may show a tenant's data
/// to anybody who shares a cache or a browser with its reader, and `private` would let the browser show
/// it after access has ended. A handler whose answer may be kept says so itself. Then `vary` keeps
/// caches from mixing tenants: it names `authorization`, the header field of
/// [API keys](crate::key::ApiKeys::header), those that identify tenant and project, and, with a
/// [`CorsPolicy`](crate::CorsPolicy), `origin`.
///
/// # Security
/// * A handler that sets a `content-security-policy` of its own should repeat `frame-ancestors`.
/// * Not every shared cache obeys `vary`. One that does not must not keep anything of a tenant's,
///   unless tenants are told apart by host or path.
/// * What an [application's own rule](crate::Identification::application) reads can't be known
///   here: name it by [`vary_by`].
///
/// [`no_framing`]: SecurityHeadersBuilder::no_framing
/// [`framing_by`]: SecurityHeadersBuilder::framing_by
/// [`hsts`]: SecurityHeadersBuilder::hsts
/// [`without_hsts`]: SecurityHeadersBuilder::without_hsts
/// [`private_caching`]: SecurityHeadersBuilder::private_caching
/// [`vary_by`]: SecurityHeadersBuilder::vary_by
///
/// # Example: on a customer's own domain
/// ```
/// # use tenancy_core::{
/// #     Identification, MemoryDirectory, SecurityHeaders, Tenancy,
/// #     jwt::{Algorithm, JwtAuthenticator, VerificationKey}, testing::FakeRequest,
/// # };
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .identification(Identification::new().header("x-org").custom_domains())
///     .authenticator(tokens)
///     .build()?;
/// let headers = SecurityHeaders::builder(&tenancy).no_framing().build()?;
///
/// let request = FakeRequest::new("/").header("host", "notes.customer.example");
/// let value = |name| headers.fields(&request).find(|field| field.name == name).map(|f| f.value);
/// assert_eq!(value("strict-transport-security"), Some("max-age=31536000"));
/// assert_eq!(value("content-security-policy"), Some("frame-ancestors 'none'"));
/// assert_eq!(value("vary"), Some("authorization, x-org"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SecurityHeaders {
    tenancy: Tenancy,
    texts: Arc<Texts>,
}

/// The values that depend on the configuration, written once.
#[derive(Debug)]
struct Texts {
    frame_ancestors: String,
    cache_control: &'static str,
    vary: String,
    hsts: Option<Hsts>,
}

#[derive(Debug)]
struct Hsts {
    own_host: String,
    other_host: String,
}

impl SecurityHeaders {
    /// Starts with the defaults, for a service with this engine.
    pub fn builder(tenancy: &Tenancy) -> SecurityHeadersBuilder {
        SecurityHeadersBuilder::new(tenancy.clone())
    }

    /// The fields for the response to a request, each name once.
    pub fn fields<'a>(
        &'a self,
        request: &dyn RequestView,
    ) -> impl Iterator<Item = SecurityField<'a>> + use<'a> {
        let rules = self.tenancy.identification();
        let hsts = self.texts.hsts.as_ref();
        let hsts = hsts.and_then(|hsts| hsts.at(rules, request));
        self.everywhere().chain(hsts.map(SecurityField::hsts))
    }

    /// Every field that the response to some request has: [`fields`](Self::fields) gives some of
    /// these, in this order. For adapters, which make their framework's types of them once.
    pub fn all_fields(&self) -> impl Iterator<Item = SecurityField<'_>> {
        let hsts = self.texts.hsts.iter();
        let hsts = hsts.flat_map(|hsts| [&*hsts.own_host, &*hsts.other_host]);
        self.everywhere().chain(hsts.map(SecurityField::hsts))
    }

    /// The fields that don't depend on the request.
    fn everywhere(&self) -> impl Iterator<Item = SecurityField<'_>> {
        let texts = &*self.texts;
        let vary = SecurityField {
            name: "vary",
            value: &texts.vary,
            merge: Merge::Append,
        };
        let set = SecurityField::set;
        [
            set("x-content-type-options", "nosniff"),
            set("referrer-policy", "strict-origin-when-cross-origin"),
            set("content-security-policy", &texts.frame_ancestors),
            set("cross-origin-resource-policy", "same-origin"),
            set("cross-origin-opener-policy", "same-origin"),
            set("cache-control", texts.cache_control),
            vary,
        ]
        .into_iter()
    }
}

impl<'a> SecurityField<'a> {
    const fn set(name: &'static str, value: &'a str) -> Self {
        Self {
            name,
            value,
            merge: Merge::IfAbsent,
        }
    }

    const fn hsts(value: &'a str) -> Self {
        Self::set("strict-transport-security", value)
    }
}

impl Hsts {
    fn at(&self, rules: &Identification, request: &dyn RequestView) -> Option<&str> {
        match rules.proxies().host(request) {
            Ok(host) if host.is_loopback() => None,
            Ok(Host::Domain(host)) if rules.is_own(&host) => Some(&self.own_host),
            Ok(Host::Domain(_)) => Some(&self.other_host),
            Ok(Host::Absent | Host::Local(_)) | Err(_) => None,
        }
    }
}
