//! Choosing and checking the values of the fields.

use std::{sync::Arc, time::Duration};

use super::{Hsts, SecurityHeaders, Texts};
use crate::{
    ConfigError, Tenancy,
    cors::{Origin, configured},
    request::is_field_name,
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Builds [`SecurityHeaders`].
///
/// ```
/// use tenancy_core::{ConfigError, SecurityHeaders, Tenancy};
///
/// fn headers(tenancy: &Tenancy) -> Result<SecurityHeaders, ConfigError> {
///     SecurityHeaders::builder(tenancy)
///         .framing_by(["https://portal.example"])
///         .hsts_without_subdomains()
///         .build()
/// }
/// # let _ = headers;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SecurityHeadersBuilder {
    tenancy: Tenancy,
    frames: Frames,
    hsts: Option<Duration>,
    subdomains: bool,
    cache_control: &'static str,
    vary: Vec<String>,
}

#[derive(Debug, Clone)]
enum Frames {
    Nobody,
    Own,
    And(Vec<String>),
}

impl SecurityHeadersBuilder {
    pub(super) fn new(tenancy: Tenancy) -> Self {
        Self {
            tenancy,
            frames: Frames::Own,
            hsts: Some(YEAR),
            subdomains: true,
            cache_control: "no-store",
            vary: Vec::new(),
        }
    }

    /// No page may show the service's pages in a frame. Default: those of the same origin may.
    pub fn no_framing(mut self) -> Self {
        self.frames = Frames::Nobody;
        self
    }

    /// Pages of these origins may show the service's pages in a frame, and those of the same
    /// origin.
    ///
    /// # Security
    /// A page that shows another in a frame can lure its visitor into clicking there.
    pub fn framing_by(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.frames = Frames::And(origins.into_iter().map(Into::into).collect());
        self
    }

    /// How long a browser insists on `https` after a visit. Default: 365 days. Sent in whole
    /// seconds; zero takes back what was sent before.
    pub fn hsts(mut self, max_age: Duration) -> Self {
        self.hsts = Some(max_age);
        self
    }

    /// Does not bind the hosts below the service's own: for a base domain that has hosts without
    /// `https` below it. Default: they are bound.
    pub fn hsts_without_subdomains(mut self) -> Self {
        self.subdomains = false;
        self
    }

    /// Leaves `strict-transport-security` to a proxy in front.
    pub fn without_hsts(mut self) -> Self {
        self.hsts = None;
        self
    }

    /// Lets a browser keep responses, and ask each time whether they still hold: `private,
    /// no-cache`. Default: `no-store`.
    pub fn private_caching(mut self) -> Self {
        self.cache_control = "private, no-cache";
        self
    }

    /// Adds the name of a header field on which responses depend.
    pub fn vary_by(mut self, name: &str) -> Self {
        self.vary.push(name.to_ascii_lowercase());
        self
    }

    /// Writes the values.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what is wrong and what to do: an origin that is none, a name
    /// that names no header field.
    pub fn build(self) -> Result<SecurityHeaders, ConfigError> {
        let vary = self.vary()?;
        let hsts = self.hsts.map(|max_age| {
            let other_host = format!("max-age={}", max_age.as_secs());
            let own_host = if self.subdomains {
                format!("{other_host}; includeSubDomains")
            } else {
                other_host.clone()
            };
            Hsts {
                own_host,
                other_host,
            }
        });
        let texts = Texts {
            frame_ancestors: self.frames.directive()?,
            cache_control: self.cache_control,
            vary,
            hsts,
        };
        Ok(SecurityHeaders {
            tenancy: self.tenancy,
            texts: Arc::new(texts),
        })
    }

    fn vary(&self) -> Result<String, ConfigError> {
        let mut names = vec!["authorization"];
        let tenancy = &self.tenancy;
        let origin = tenancy.cors_policy().map(|_| "origin");
        let of_rules = tenancy.identification().header_names();
        let further = tenancy.credential_fields().chain(of_rules).chain(origin);
        for name in further.chain(self.vary.iter().map(String::as_str)) {
            if !is_field_name(name) {
                return Err(ConfigError::new(format!(
                    "`{name}` is not the name of a header field; use letters, digits and hyphens"
                )));
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names.join(", "))
    }
}

impl Frames {
    fn directive(&self) -> Result<String, ConfigError> {
        let more = match self {
            Self::Nobody => return Ok("frame-ancestors 'none'".to_owned()),
            Self::Own => &[][..],
            Self::And(origins) => origins,
        };
        let mut directive = "frame-ancestors 'self'".to_owned();
        for origin in more {
            let origin: Origin<'_> = configured(origin)?;
            directive.push(' ');
            directive.push_str(&origin.to_string());
        }
        Ok(directive)
    }
}
