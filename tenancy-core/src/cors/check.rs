//! Checking a policy when the engine is built.

use super::{CorsPolicy, InvalidOrigin, Origin};
use crate::{ConfigError, Identification, proxy::Host, request::is_field_name};

impl CorsPolicy {
    /// Checks the policy and completes it by the header fields that the rules read, and by those that
    /// credentials arrive in.
    pub(crate) fn checked<'a>(
        mut self,
        rules: &'a Identification,
        credentials: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        self.origins = self
            .listed
            .iter()
            .map(|text| application_origin(text, rules))
            .collect::<Result<_, _>>()?;
        check_methods(&self.methods)?;
        let read = rules.header_names().chain(credentials).map(str::to_owned);
        self.headers = field_names(self.headers.into_iter().chain(read))?;
        self.exposed = field_names(self.exposed)?;
        Ok(self)
    }
}

/// Reads an origin from a configuration.
pub(crate) fn configured(text: &str) -> Result<Origin<'static>, ConfigError> {
    let why = match Origin::parse(text) {
        Ok(origin) => return Ok(origin.into_owned()),
        Err(_) if text.contains('*') => {
            "wildcards allow more than they seem to; list each origin (tenants' subdomains are \
             allowed without being listed)"
        }
        Err(InvalidOrigin::Null) => "every sandboxed frame on any site has it; it can't be allowed",
        Err(InvalidOrigin::Scheme) => "begin with `https://` or `http://`",
        Err(InvalidOrigin::Host) => {
            "give scheme, host and, if it is not the default, port, such as \
             `https://app.example.com`, without path or trailing slash"
        }
    };
    Err(ConfigError::new(format!("the origin `{text}`: {why}")))
}

fn application_origin(text: &str, rules: &Identification) -> Result<Origin<'static>, ConfigError> {
    let origin = configured(text)?;
    if let Host::Domain(host) = origin.host()
        && rules.is_own(host)
        && !matches!(rules.named_by(host.clone()), Ok(None))
    {
        return Err(ConfigError::new(format!(
            "the origin `{text}` would be a tenant's, by `subdomains_of`, and may not be every \
             tenant's as well; add `central_host(\"{host}\")` to the identification"
        )));
    }
    Ok(origin)
}

fn check_methods(methods: &[String]) -> Result<(), ConfigError> {
    if methods.is_empty() {
        return Err(ConfigError::new(
            "a CORS policy without methods allows nothing; name at least one, such as `GET`",
        ));
    }
    for method in methods {
        if !is_field_name(method) || method.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(ConfigError::new(format!(
                "`{method}` is not a method; name each one in upper case, such as `GET`"
            )));
        }
        if matches!(method.as_str(), "CONNECT" | "TRACE" | "TRACK") {
            return Err(ConfigError::new(format!(
                "no page can use the method `{method}`; leave it out"
            )));
        }
    }
    Ok(())
}

/// The names in lower case, each once.
fn field_names(names: impl IntoIterator<Item = String>) -> Result<Vec<String>, ConfigError> {
    let mut checked = Vec::new();
    for mut name in names {
        if !is_field_name(&name) {
            return Err(ConfigError::new(format!(
                "`{name}` is not the name of a header field; name each one, with letters, digits \
                 and hyphens"
            )));
        }
        name.make_ascii_lowercase();
        if !checked.contains(&name) {
            checked.push(name);
        }
    }
    Ok(checked)
}
