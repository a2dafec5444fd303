//! What an OpenID provider says about itself (OpenID Connect Discovery 1.0 §4).

use super::super::{super::json, fetcher::FetchError};

/// The largest document that is read, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// Where the document of an issuer is.
pub(super) fn location(issuer: &str) -> String {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{issuer}/.well-known/openid-configuration")
}

/// Reads where the keys are from a document that has to be this issuer's own.
pub(super) fn jwks_uri(document: &[u8], issuer: &str) -> Result<String, FetchError> {
    let members = json::object(document)
        .ok_or_else(|| FetchError::new("the discovery document is not a JSON object"))?;
    let text = |name| members.get(name).and_then(serde_json::Value::as_str);
    // Exactly: otherwise one provider could speak in another's name (§4.3).
    if text("issuer") != Some(issuer) {
        return Err(FetchError::new(
            "the discovery document is another issuer's",
        ));
    }
    text("jwks_uri")
        .map(str::to_owned)
        .ok_or_else(|| FetchError::new("the discovery document names no key set"))
}
