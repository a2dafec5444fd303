//! Checking the rules when the engine is built.

use std::borrow::Cow;

use super::{Identification, Rule};
use crate::{ConfigError, proxy::read_target, request::is_field_name, tenant::normalize_domain};

impl Identification {
    /// Checks the rules and brings them into the form in which they are applied.
    pub(crate) fn checked(mut self) -> Result<Self, ConfigError> {
        for rule in &mut self.rules {
            match rule {
                Rule::Header(name) if !is_field_name(name) => {
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
                    if !is_plain_path(trimmed) {
                        return Err(ConfigError::new(format!(
                            "the path prefix `{prefix}` must be `/` and segments of letters, \
                             digits, `.`, `_`, `~` and `-`, such as `/t`: what can be written in \
                             several ways, a router may read in another one than this rule"
                        )));
                    }
                    *prefix = trimmed.into();
                }
                Rule::Header(_) | Rule::Application(_) => {}
            }
        }
        for domain in self.base_domains.iter_mut().chain(&mut self.central_hosts) {
            // Below it are the names of a developer's own machine (RFC 6761 §6.3); by itself it is no domain.
            if domain.eq_ignore_ascii_case("localhost") {
                *domain = "localhost".to_owned();
                continue;
            }
            let normal = normalize_domain(domain).map(Cow::into_owned).ok_or_else(|| {
                ConfigError::new(format!(
                    "`{domain}` is not a domain; give at least two labels, such as `example.com`, \
                     without port"
                ))
            })?;
            *domain = normal;
        }
        if let Some(name) = &self.project_header
            && !is_field_name(name)
        {
            return Err(ConfigError::new(format!("`{name}` is not a header name")));
        }
        if let Some(template) = &self.tenant_origin {
            let at_acme = template.replace("{slug}", "acme");
            let rest = at_acme
                .strip_prefix("https://")
                .or_else(|| at_acme.strip_prefix("http://"));
            let (host, path) = rest.map_or(("", ""), |rest| {
                rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
            });
            let named = template.matches("{slug}").count() == 1;
            if !named || read_target(host).is_err() || !(path.is_empty() || is_plain_path(path)) {
                return Err(ConfigError::new(format!(
                    "`{template}` does not say where a tenant's pages are; give an address with `{{slug}}` in it \
                     once, such as `https://{{slug}}.example.com` or `https://www.example.com/t/{{slug}}`"
                )));
            }
        }
        Ok(self)
    }
}

/// Whether a path has one form only: segments of unreserved characters (RFC 3986 §2.3).
fn is_plain_path(path: &str) -> bool {
    let plain = |segment: &str| {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(unreserved)
    };
    path.strip_prefix('/')
        .is_some_and(|segments| segments.split('/').all(plain))
}
