//! An origin: scheme, host and port of a page (RFC 6454), in the one form in which it is compared.

use std::fmt;

use crate::proxy::{Host, Target, read_target};

/// Why a text is no origin that could be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidOrigin {
    /// `null`: a sandboxed frame, a local file, a redirect. Anybody can be it.
    Null,
    /// Neither `https://` nor `http://`.
    Scheme,
    /// No host, or more than a host and a port.
    Host,
}

impl InvalidOrigin {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Null => "origin-null",
            Self::Scheme => "origin-scheme-unknown",
            Self::Host => "origin-malformed",
        }
    }
}

/// An origin, its host read as the host of a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    https: bool,
    host: Host<'a>,
    port: u16,
}

impl<'a> Origin<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, InvalidOrigin> {
        if text == "null" {
            return Err(InvalidOrigin::Null);
        }
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(InvalidOrigin::Scheme),
        };
        let Target { host, port } = read_target(rest).map_err(|_| InvalidOrigin::Host)?;
        Ok(Self {
            https,
            host,
            port: port.unwrap_or(default_port(https)),
        })
    }

    pub(crate) fn host(&self) -> &Host<'a> {
        &self.host
    }

    pub(crate) fn into_host(self) -> Host<'a> {
        self.host
    }

    /// Whether it is `https` on the default port.
    pub(crate) fn is_standard(&self) -> bool {
        self.https && self.port == default_port(true)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// Whether host and port are those of a request. Its scheme is not in the request.
    pub(crate) fn is_at(&self, target: &Target<'_>) -> bool {
        self.host == target.host && self.port == target.port.unwrap_or(default_port(self.https))
    }

    pub(crate) fn into_owned(self) -> Origin<'static> {
        let host = match self.host {
            Host::Absent => Host::Absent,
            Host::Domain(name) => Host::Domain(name.into_owned().into()),
            Host::Local(name) => Host::Local(name.into_owned().into()),
        };
        Origin {
            https: self.https,
            host,
            port: self.port,
        }
    }
}

const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// As a browser writes it.
impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        let host = match &self.host {
            Host::Absent => "",
            Host::Domain(name) | Host::Local(name) => name,
        };
        write!(f, "{scheme}://{host}")?;
        if self.port != default_port(self.https) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_is_read_in_one_form() {
        for (text, want) in [
            ("https://acme.example.com", "https://acme.example.com"),
            ("https://ACME.example.com", "https://acme.example.com"),
            ("https://acme.example.com.", "https://acme.example.com"),
            ("https://acme.example.com:443", "https://acme.example.com"),
            ("http://acme.example.com:80", "http://acme.example.com"),
            ("http://acme.example.com:443", "http://acme.example.com:443"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://127.0.0.1:5173", "http://127.0.0.1:5173"),
            ("http://[0::1]:5173", "http://[::1]:5173"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_none() {
        use InvalidOrigin::{Host, Null, Scheme};
        for (text, want) in [
            ("null", Null),
            ("", Scheme),
            ("*", Scheme),
            ("NULL", Scheme),
            ("acme.example.com", Scheme),
            ("//acme.example.com", Scheme),
            ("HTTPS://acme.example.com", Scheme),
            ("chrome-extension://abcdef", Scheme),
            ("file://", Scheme),
            (" https://acme.example.com", Scheme),
            ("https://", Host),
            ("https:///", Host),
            ("https://acme.example.com/", Host),
            ("https://acme.example.com?", Host),
            ("https://acme.example.com ", Host),
            ("https://acme.example.com,https://b.example", Host),
            ("https://acme.example.com https://b.example", Host),
            ("https://acme.example.com@evil.example", Host),
            ("https://acme.example.com:443@evil.example", Host),
            ("https://evil.example#acme.example.com", Host),
            ("https://evil.example\\.acme.example.com", Host),
            ("https://*.example.com", Host),
            ("https://%61cme.example.com", Host),
            ("https://acme_x.example.com", Host),
            ("https://acme.example.com:", Host),
            ("https://acme.example.com:0x50", Host),
            ("https://[::1", Host),
            ("https://::1", Host),
        ] {
            assert_eq!(Origin::parse(text), Err(want), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_origin_is_a_fixed_point(text in "(https?://)?\\PC{0,60}") {
            if let Ok(origin) = Origin::parse(&text) {
                let written = origin.to_string();
                prop_assert_eq!(Origin::parse(&written), Ok(origin));
            }
        }
    }
}
