//! Identification: the rules by which a request hints at a tenant.
//!
//! A hint is untrusted text. It chooses among the tenants a credential may name; it never
//! authorizes.

use std::{borrow::Cow, fmt, hash::Hash, sync::Arc};

use quick_cache::Equivalent;

use crate::{
    ConfigError, ProjectId, TenantId, TenantKey, TrustedProxies,
    id::parse_uuid,
    proxy::Host,
    request::{Field, RequestView},
    tenant::{Slug, normalize_domain},
};

/// Where a hint was found; recorded in the audit trail.
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
        }
    }
}

/// What an application's own rule found in a request.
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
    /// The domain itself names no tenant.
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

    /// Believes these proxies about the host and the caller's address.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = ipnet::IpNet>) -> Self {
        self.proxies = proxies.into_iter().collect();
        self
    }

    pub(crate) fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Checks the rules and brings them into the form in which they are applied.
    pub(crate) fn checked(mut self) -> Result<Self, ConfigError> {
        let is_token = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        for rule in &mut self.rules {
            match rule {
                Rule::Header(name) if !is_token(name) => {
                    return Err(ConfigError::new(format!(
                        "`{name}` is not a header name; use letters, digits and hyphens"
                    )));
                }
                Rule::Header(name) if &**name == "host" || &**name == "authorization" => {
                    return Err(ConfigError::new(format!(
                        "the header `{name}` can't name a tenant; use `subdomains_of` for hosts \
                         and an authenticator for credentials"
                    )));
                }
                Rule::Path(prefix) => {
                    let trimmed = prefix.trim_end_matches('/');
                    if !trimmed.starts_with('/') {
                        return Err(ConfigError::new(format!(
                            "the path prefix `{prefix}` must start with `/` and name a segment, \
                             such as `/t`"
                        )));
                    }
                    *prefix = trimmed.into();
                }
                Rule::Header(_) | Rule::Application(_) => {}
            }
        }
        for domain in self.base_domains.iter_mut().chain(&mut self.central_hosts) {
            let normal = normalize_domain(domain).map(Cow::into_owned).ok_or_else(|| {
                ConfigError::new(format!(
                    "`{domain}` is not a domain; give at least two labels, such as `example.com`, \
                     without port"
                ))
            })?;
            *domain = normal;
        }
        if let Some(name) = &self.project_header
            && !is_token(name)
        {
            return Err(ConfigError::new(format!("`{name}` is not a header name")));
        }
        Ok(self)
    }

    /// Reads every hint of a request.
    pub(crate) fn hints<'a>(
        &self,
        request: &'a dyn RequestView,
    ) -> Result<Vec<Hint<'a>>, HintFault> {
        let mut hints = Vec::new();
        if (!self.base_domains.is_empty() || self.custom_domains)
            && let Some(hint) = self.host_hint(request)?
        {
            hints.push(hint);
        }
        for rule in &self.rules {
            let hint = match rule {
                Rule::Header(name) => header_hint(request, name)?,
                Rule::Path(prefix) => path_hint(request.path(), prefix)?,
                Rule::Application(rule) => application_hint(rule(request))?,
            };
            hints.extend(hint);
        }
        Ok(hints)
    }

    fn host_hint<'a>(&self, request: &'a dyn RequestView) -> Result<Option<Hint<'a>>, HintFault> {
        let fault = |reason| HintFault {
            source: HintSource::Subdomain,
            reason,
        };
        let host = match self.proxies.host(request).map_err(|f| fault(f.0))? {
            Host::Absent | Host::Local => return Ok(None),
            Host::Domain(host) => host,
        };
        if self
            .central_hosts
            .iter()
            .chain(&self.base_domains)
            .any(|central| *central == host)
        {
            return Ok(None);
        }
        for base in &self.base_domains {
            if let Some(label) = subdomain_label(&host, base) {
                let slug = match label {
                    Ok(label) if Slug::is_valid(&host[..label]) => label,
                    _ => return Err(fault("subdomain-malformed")),
                };
                let text = match host {
                    Cow::Borrowed(host) => Cow::Borrowed(&host[..slug]),
                    Cow::Owned(mut host) => {
                        host.truncate(slug);
                        Cow::Owned(host)
                    }
                };
                return Ok(Some(Hint {
                    source: HintSource::Subdomain,
                    key: KeyRef::Slug(text),
                }));
            }
        }
        Ok(self.custom_domains.then_some(Hint {
            source: HintSource::CustomDomain,
            key: KeyRef::Domain(host),
        }))
    }

    /// Reads the project a request names.
    pub(crate) fn project(
        &self,
        request: &dyn RequestView,
    ) -> Result<Option<ProjectId>, HintFault> {
        let Some(name) = &self.project_header else {
            return Ok(None);
        };
        let fault = |reason| HintFault {
            source: HintSource::Header,
            reason,
        };
        match request.header(name) {
            Field::Absent => Ok(None),
            Field::One(text) => match parse_uuid(text) {
                Some(id) => Ok(Some(ProjectId::from_uuid(id))),
                None => Err(fault("project-malformed")),
            },
            Field::Repeated => Err(fault("project-repeated")),
            Field::NotText => Err(fault("project-not-text")),
        }
    }
}

/// The length of the label in front of `.base`, if `host` ends so; `Err` if there is more than one.
fn subdomain_label(host: &str, base: &str) -> Option<Result<usize, ()>> {
    let label = host.strip_suffix(base)?.strip_suffix('.')?;
    Some(if label.contains('.') {
        Err(())
    } else {
        Ok(label.len())
    })
}

fn header_hint<'a>(
    request: &'a dyn RequestView,
    name: &str,
) -> Result<Option<Hint<'a>>, HintFault> {
    let source = HintSource::Header;
    match request.header(name) {
        Field::Absent => Ok(None),
        Field::One(text) => id_or_slug(text)
            .map(|key| Some(Hint { source, key }))
            .ok_or(HintFault {
                source,
                reason: "header-malformed",
            }),
        Field::Repeated => Err(HintFault {
            source,
            reason: "header-repeated",
        }),
        Field::NotText => Err(HintFault {
            source,
            reason: "header-not-text",
        }),
    }
}

fn path_hint<'a>(path: &'a str, prefix: &str) -> Result<Option<Hint<'a>>, HintFault> {
    let source = HintSource::Path;
    let Some(rest) = path
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return Ok(None);
    };
    // The router matches decoded segments; one that needs decoding is no id and no slug.
    let segment = rest.split('/').next().unwrap_or(rest);
    id_or_slug(segment)
        .map(|key| Some(Hint { source, key }))
        .ok_or(HintFault {
            source,
            reason: "path-malformed",
        })
}

fn application_hint<'a>(found: ApplicationHint) -> Result<Option<Hint<'a>>, HintFault> {
    let source = HintSource::Application;
    match found {
        ApplicationHint::None => Ok(None),
        ApplicationHint::Tenant(key) => Ok(Some(Hint {
            source,
            key: KeyRef::Owned(key),
        })),
        ApplicationHint::Malformed => Err(HintFault {
            source,
            reason: "application-malformed",
        }),
    }
}

fn id_or_slug(text: &str) -> Option<KeyRef<'_>> {
    match parse_uuid(text) {
        Some(id) => Some(KeyRef::Id(TenantId::from_uuid(id))),
        None => Slug::is_valid(text).then_some(KeyRef::Slug(Cow::Borrowed(text))),
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

/// A tenant named by a request: untrusted, and it remembers who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint<'a> {
    pub(crate) source: HintSource,
    pub(crate) key: KeyRef<'a>,
}

impl Hint<'_> {
    pub(crate) fn into_owned(self) -> Hint<'static> {
        Hint {
            source: self.source,
            key: KeyRef::Owned(self.key.to_key()),
        }
    }
}

/// A hint that can't be read. Refused like an unknown tenant; the reason is audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HintFault {
    pub(crate) source: HintSource,
    pub(crate) reason: &'static str,
}

/// A [`TenantKey`] that may still borrow from the request, so that a cache hit allocates nothing.
///
/// The texts have been validated where they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyRef<'a> {
    Id(TenantId),
    Slug(Cow<'a, str>),
    Domain(Cow<'a, str>),
    Owned(TenantKey),
}

impl KeyRef<'_> {
    pub(crate) fn to_key(&self) -> TenantKey {
        // The texts passed their checks in `Identification`; if one did not, no tenant has the nil id.
        let nowhere = || TenantKey::Id(TenantId::from_uuid(uuid::Uuid::nil()));
        match self {
            Self::Id(id) => TenantKey::Id(*id),
            Self::Slug(slug) => slug.parse().map_or_else(|_| nowhere(), TenantKey::Slug),
            Self::Domain(name) => name.parse().map_or_else(|_| nowhere(), TenantKey::Domain),
            Self::Owned(key) => key.clone(),
        }
    }
}

/// Hashes as the [`TenantKey`] it stands for.
impl Hash for KeyRef<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Id(id) => TenantKey::Id(*id).hash(state),
            Self::Slug(slug) => TenantKey::hash_text(1, slug, state),
            Self::Domain(domain) => TenantKey::hash_text(2, domain, state),
            Self::Owned(key) => key.hash(state),
        }
    }
}

impl Equivalent<TenantKey> for KeyRef<'_> {
    fn equivalent(&self, key: &TenantKey) -> bool {
        match (self, key) {
            (Self::Id(id), TenantKey::Id(other)) => id == other,
            (Self::Slug(slug), TenantKey::Slug(other)) => slug == other.as_str(),
            (Self::Domain(domain), TenantKey::Domain(other)) => domain == other.as_str(),
            (Self::Owned(own), other) => own == other,
            _ => false,
        }
    }
}
