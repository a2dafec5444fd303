//! Checking a source when the engine is built.

use super::{CredentialSource, Place};
use crate::{ConfigError, request::is_field_name};

impl CredentialSource {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let problem = match &self.place {
            Place::Scheme { name, .. } if !is_token(name) => {
                "a scheme is one word, such as `Token`"
            }
            Place::Scheme { challenge, .. } if !is_challenge(challenge) => {
                "a realm has no quotes, no backslashes, and letters of ASCII only"
            }
            Place::Header(name) | Place::ClientCertificate(name) if !is_field_name(name) => {
                "give the name of a header field, with letters, digits and hyphens"
            }
            Place::Cookie(name) if !is_token(name) => {
                "give the name of a cookie, such as `__Host-session`"
            }
            _ => return Ok(()),
        };
        Err(ConfigError::new(format!(
            "no credential can come from {self}: {problem}"
        )))
    }

    /// Whether both are one place in a request.
    pub(crate) fn is_at_the_place_of(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Scheme { name: one, .. }, Place::Scheme { name: two, .. }) => {
                one.eq_ignore_ascii_case(two)
            }
            (Place::Header(one), Place::Header(two))
            | (Place::Cookie(one), Place::Cookie(two))
            | (Place::ClientCertificate(one), Place::ClientCertificate(two)) => one == two,
            _ => false,
        }
    }

    /// The header field that it is read from, and what for; `None` if the engine can't know.
    pub(crate) fn field(&self) -> Option<(&str, &'static str)> {
        match &self.place {
            Place::Scheme { .. } => Some(("authorization", "credentials")),
            Place::Header(name) => Some((name, "a credential")),
            Place::Cookie(_) => Some(("cookie", "cookies")),
            Place::ClientCertificate(name) => Some((name, "the subject of a client certificate")),
            Place::Request { .. } => None,
        }
    }
}

/// Whether a text is a token (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether a challenge is a scheme, or one with a quoted realm and charset.
fn is_challenge(text: &str) -> bool {
    let printable = text
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\');
    printable && matches!(text.matches('"').count(), 0 | 4)
}
