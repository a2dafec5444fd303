//! The protected header: the little of it that is used, and what must not stand there.

use serde_json::Value;

use super::{algorithm::Algorithm, compact, json, reason};
use crate::Rejection;

/// The longest key id, in bytes.
pub(super) const MAX_KEY_ID_LEN: usize = 256;

/// What the choice of a key needs to know.
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
}

/// Reads an encoded header.
///
/// `jku`, `x5u`, `x5c` and `jwk` are not looked at: keys come from the configuration alone.
/// Honest issuers send some of them, so their presence is no reason to refuse.
pub(super) fn read(encoded: &[u8], types: &TypeRule) -> Result<Header, Rejection> {
    let mut members = json::object(&compact::decode(encoded)?).ok_or(reason::HEADER)?;
    // No extension is understood here, so none can be critical (RFC 7515 §4.1.11); an unencoded
    // payload (RFC 7797 §7) is one of them.
    if members.contains_key("crit") || members.contains_key("b64") {
        return Err(reason::CRITICAL);
    }
    if members.contains_key("zip") {
        return Err(reason::COMPRESSED);
    }
    if members.contains_key("enc") {
        return Err(reason::ENCRYPTED);
    }
    match members.get("cty") {
        None => {}
        Some(Value::String(content)) if media_type(content) != "jwt" => {}
        Some(_) => return Err(reason::NESTED),
    }
    let algorithm = members
        .get("alg")
        .and_then(Value::as_str)
        .and_then(Algorithm::from_name);
    let algorithm = algorithm.ok_or(reason::ALGORITHM)?;
    if !types.admits(members.get("typ")) {
        return Err(reason::TYPE);
    }
    let key_id = match members.remove("kid") {
        None => None,
        Some(Value::String(id)) if is_key_id(&id) => Some(id),
        Some(_) => return Err(reason::KEY_ID),
    };
    Ok(Header { algorithm, key_id })
}

/// Whether a text can name a key: short, printable ASCII.
pub(super) fn is_key_id(id: &str) -> bool {
    (1..=MAX_KEY_ID_LEN).contains(&id.len()) && id.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// Which token types are accepted (RFC 8725 §3.11).
#[derive(Debug, Default)]
pub(super) struct TypeRule {
    /// In the form of [`media_type`]. Empty for the default: none, `JWT` or `at+jwt`.
    explicit: Vec<String>,
}

impl TypeRule {
    /// Admits one more type; false if the text is not a media type.
    pub(super) fn admit(&mut self, name: &str) -> bool {
        self.explicit.push(media_type(name));
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
    }

    fn admits(&self, header: Option<&Value>) -> bool {
        match header {
            None => self.explicit.is_empty(),
            Some(Value::String(name)) => {
                let name = media_type(name);
                if self.explicit.is_empty() {
                    matches!(name.as_str(), "jwt" | "at+jwt")
                } else {
                    self.explicit.contains(&name)
                }
            }
            Some(_) => false,
        }
    }
}

/// The one form in which media types are compared: lower case, `application/` left out where it
/// may be (RFC 7515 §4.1.9).
fn media_type(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("application/") {
        Some(short) if !short.contains('/') => short.to_owned(),
        _ => name,
    }
}
