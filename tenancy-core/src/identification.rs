//! Identification: the rules by which a request hints at a tenant.
//!
//! A hint is untrusted text. It chooses among the tenants a credential may name; it never
//! authorizes.

mod check;
mod hint;
mod hints;
mod read;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub(crate) use hint::{Hint, HintFault, KeyRef};
pub(crate) use hints::{HintKeys, Hints};

use crate::{TenantKey, TrustedProxies, request::RequestView};

/// Where a hint was found; recorded in the audit trail.
///
/// ```
/// use tenancy_core::HintSource;
///
/// assert_eq!(HintSource::CustomDomain.as_str(), "custom-domain");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HintSource {
    /// A header field.
    Header,
    /// A subdomain of the service's own domain.
    Subdomain,
    /// The tenant's own domain.
    CustomDomain,
    /// The first segment of the path after a prefix.
    Path,
    /// The application's own rule.
    Application,
    /// The page that sent the request, where a [`CorsPolicy`](crate::CorsPolicy) is given.
    Origin,
}

impl HintSource {
    /// The name as recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Subdomain => "subdomain",
            Self::CustomDomain => "custom-domain",
            Self::Path => "path",
            Self::Application => "application",
            Self::Origin => "origin",
        }
    }
}

/// What an application's own rule found in a request.
///
/// A rule that reads a header field which the application has chosen:
///
/// ```
///
/// use tenancy_core::{ApplicationHint, Field, Identification, TenantKey};
///
/// let rules = Identification::new().application(|request| match request.header("x-workspace") {
///     Field::Absent => ApplicationHint::None,
///     Field::One(text) => match TenantKey::id_or_slug(text) {
///         Ok(key) => ApplicationHint::Tenant(key),
///         Err(_) => ApplicationHint::Malformed,
///     },
///     _ => ApplicationHint::Malformed,
/// });
/// # drop(rules);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplicationHint {
    /// Nothing: the rule does not apply to this request.
    None,
    /// A tenant is named.
    Tenant(TenantKey),
    /// A tenant is named in a form that can't be read; refused like an unknown tenant.
    Malformed,
}

type ApplicationRule = Arc<dyn Fn(&dyn RequestView) -> ApplicationHint + Send + Sync>;

#[derive(Clone)]
enum Rule {
    Header(Box<str>),
    Path(Box<str>),
    Application(ApplicationRule),
}

/// The rules by which a request names a tenant.
///
/// Every rule that finds something must agree with every other and with a credential that is
/// bound to a tenant; there is no precedence.
///
/// ```
/// use tenancy_core::Identification;
///
/// let rules = Identification::new()
///     .header("x-organization-id")
///     .subdomains_of("example.com")
///     .custom_domains()
///     .central_host("www.example.com");
/// # let _ = rules;
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Identification {
    rules: Vec<Rule>,
    base_domains: Vec<String>,
    central_hosts: Vec<String>,
    custom_domains: bool,
    project_header: Option<Box<str>>,
    tenant_origin: Option<Box<str>>,
    proxies: TrustedProxies,
}

impl Identification {
    /// No rules: only credentials name tenants.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a tenant's id or slug from a header field, such as `x-organization-id`.
    pub fn header(mut self, name: &str) -> Self {
        self.rules
            .push(Rule::Header(name.to_ascii_lowercase().into()));
        self
    }

    /// Takes a slug from the label in front of this domain: `acme` in `acme.example.com`.
    ///
    /// The domain itself names no tenant. For a developer's machine it may be `localhost`: browsers lead
    /// `acme.localhost` to the machine itself, and take it for a secure context.
    pub fn subdomains_of(mut self, domain: &str) -> Self {
        self.base_domains.push(domain.to_owned());
        self
    }

    /// Takes every other domain as a tenant's own, to be found in the directory.
    ///
    /// List the service's own hosts with [`central_host`](Self::central_host). IP addresses and
    /// single labels such as `localhost` never name a tenant.
    pub fn custom_domains(mut self) -> Self {
        self.custom_domains = true;
        self
    }

    /// A host that names no tenant, such as `www.example.com` or `api.example.com`.
    pub fn central_host(mut self, host: &str) -> Self {
        self.central_hosts.push(host.to_owned());
        self
    }

    /// Takes an id or slug from the path segment after a prefix: `/t` reads `acme` in `/t/acme/notes`.
    ///
    /// The prefix is made of unreserved characters, so that it can be written in one way only.
    ///
    /// # Security
    /// Routers read paths in different ways: some decode `%74`, some join slashes. A path that may
    /// be read as one below the prefix, though it is written otherwise, is refused.
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        self.rules.push(Rule::Path(prefix.into()));
        self
    }

    /// Adds the application's own rule. What it returns is a hint like any other.
    pub fn application<F>(mut self, rule: F) -> Self
    where
        F: Fn(&dyn RequestView) -> ApplicationHint + Send + Sync + 'static,
    {
        self.rules.push(Rule::Application(Arc::new(rule)));
        self
    }

    /// Takes a project's id from a header field, such as `x-project-id`.
    pub fn project_header(mut self, name: &str) -> Self {
        self.project_header = Some(name.to_ascii_lowercase().into());
        self
    }

    /// Where a tenant's own pages are, for links in mails: `https://{slug}.example.com`, or
    /// `https://www.example.com/t/{slug}`. See [`TenantContext::origin`](crate::TenantContext::origin). Default:
    /// below the first domain of [`subdomains_of`](Self::subdomains_of), with `https`, and on `localhost` with `http`.
    pub fn tenant_origin(mut self, template: &str) -> Self {
        self.tenant_origin = Some(template.trim_end_matches('/').into());
        self
    }

    /// Where the pages of the tenant with this slug are; `None` if no rule tells.
    pub(crate) fn origin_of(&self, slug: &str) -> Option<String> {
        if let Some(template) = &self.tenant_origin {
            return Some(template.replace("{slug}", slug));
        }
        let base = self.base_domains.first()?;
        let scheme = if base == "localhost" { "http" } else { "https" };
        Some(format!("{scheme}://{slug}.{base}"))
    }

    /// Believes these proxies about the host and the caller's address.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = ipnet::IpNet>) -> Self {
        self.proxies = proxies.into_iter().collect();
        self
    }

    pub(crate) fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }
}

impl fmt::Debug for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identification")
            .field("rules", &self.rules.len())
            .field("base_domains", &self.base_domains)
            .field("central_hosts", &self.central_hosts)
            .field("custom_domains", &self.custom_domains)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}
