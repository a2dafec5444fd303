//! Reading the hints of a request.

use std::borrow::Cow;

use super::{ApplicationHint, Hint, HintFault, HintSource, Hints, Identification, KeyRef, Rule};
use crate::{
    ProjectId, TenantId,
    id::parse_uuid,
    proxy::Host,
    request::{Field, RequestView},
    tenant::Slug,
};

impl Identification {
    /// Reads every hint of a request.
    pub(crate) fn hints<'a>(&self, request: &'a dyn RequestView) -> Result<Hints<'a>, HintFault> {
        let mut hints = Hints::None;
        hints.extend(self.host_hint(request)?);
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
        if self.base_domains.is_empty() && !self.custom_domains {
            return Ok(None);
        }
        let fault = |reason| HintFault {
            source: HintSource::Subdomain,
            reason,
        };
        let host = match self.proxies.host(request).map_err(|f| fault(f.0))? {
            Host::Absent | Host::Local(_) => return Ok(None),
            Host::Domain(host) => host,
        };
        self.named_by(host)
    }

    /// What a domain names by the rules for hosts, wherever in a request it stands.
    pub(crate) fn named_by<'a>(&self, host: Cow<'a, str>) -> Result<Option<Hint<'a>>, HintFault> {
        let fault = |reason| HintFault {
            source: HintSource::Subdomain,
            reason,
        };
        if self.is_central(&host) {
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

    /// Reads what the URL of a request hints at, and nothing that a header field says.
    pub(crate) fn url_hints<'a>(
        &self,
        request: &'a dyn RequestView,
    ) -> Result<Hints<'a>, HintFault> {
        let mut hints: Hints<'_> = self.host_hint(request)?.into_iter().collect();
        for rule in &self.rules {
            if let Rule::Path(prefix) = rule {
                hints.extend(path_hint(request.path(), prefix)?);
            }
        }
        Ok(hints)
    }

    /// Whether a domain is one that the service declares its own and that names no tenant.
    fn is_central(&self, host: &str) -> bool {
        self.central_hosts
            .iter()
            .chain(&self.base_domains)
            .any(|central| central == host)
    }

    /// Whether a domain is the service's: a central host, a base domain, or anything below one.
    pub(crate) fn is_own(&self, host: &str) -> bool {
        self.is_central(host)
            || self
                .base_domains
                .iter()
                .any(|base| subdomain_label(host, base).is_some())
    }

    /// The names of the header fields by which a request hints at a tenant or a project.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.rules
            .iter()
            .filter_map(|rule| match rule {
                Rule::Header(name) => Some(&**name),
                Rule::Path(_) | Rule::Application(_) => None,
            })
            .chain(self.project_header.as_deref())
    }

    /// The header fields that are read, and what for.
    pub(crate) fn header_uses(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let hints = self.rules.iter().filter_map(|rule| match rule {
            Rule::Header(name) => Some((&**name, "a hint at the tenant")),
            Rule::Path(_) | Rule::Application(_) => None,
        });
        let project = self.project_header.as_deref();
        hints.chain(project.map(|name| (name, "the project")))
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
    let Some(rest) = below(path, prefix) else {
        if routes_below(path, prefix) {
            let reason = "path-malformed";
            return Err(HintFault { source, reason });
        }
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

fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)?.strip_prefix('/')
}

/// Whether a router may take the path for one below the prefix, though it is written otherwise.
///
/// There are routers that match decoded paths, or join slashes; such a router would find the
/// segment of a tenant where the rule found none.
fn routes_below(path: &str, prefix: &str) -> bool {
    if !path.contains('%') && !path.contains("//") {
        return false;
    }
    let mut read = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(character) = rest.chars().next() {
        let decoded = rest
            .strip_prefix('%')
            .and_then(|escaped| escaped.get(..2))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (character, length) = match decoded {
            Some(byte) => (char::from(byte), 3),
            None => (character, character.len_utf8()),
        };
        if character != '/' || !read.ends_with('/') {
            read.push(character);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    below(&read, prefix).is_some()
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
