//! Reading the hints of a request.

use std::borrow::Cow;

use super::{ApplicationHint, Hint, HintFault, HintSource, Identification, KeyRef, Rule};
use crate::{
    ProjectId, TenantId,
    id::parse_uuid,
    proxy::Host,
    request::{Field, RequestView},
    tenant::Slug,
};

impl Identification {
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
