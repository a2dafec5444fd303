//! Checking the rules when the engine is built.

use std::borrow::Cow;

use super::{Identification, Rule};
use crate::{ConfigError, request::is_field_name, tenant::normalize_domain};

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
            && !is_field_name(name)
        {
            return Err(ConfigError::new(format!("`{name}` is not a header name")));
        }
        Ok(self)
    }
}
