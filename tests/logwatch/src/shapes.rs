//! Secrets that show by their shape.

use tenancy_core::key::{Environment, KeyFormat};

/// How long the third part of a token has to be to count as a signature: HS256 has 43 digits.
const SIGNATURE: usize = 32;

/// How long what follows `Bearer ` has to be: longer than what a message says about it.
const BEARER: usize = 20;

/// Digits behind the environment of an API key: id, `_`, secret and checksum.
const KEY_TAIL: usize = 22 + 1 + 49;

/// The kind of the first secret in a text.
pub(crate) fn find(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().find_map(|(at, byte)| {
        let rest = bytes.get(at..)?;
        match byte {
            b'e' if is_token(rest) => Some("a signed token"),
            b'B' | b'b' if is_bearer(rest) => Some("a bearer credential"),
            b'-' if is_private_key(rest) => Some("a private key"),
            b'$' if rest.starts_with(b"$argon2") => Some("an Argon2 hash"),
            b'_' if key_around(text, at).is_some() => Some("an API key"),
            b':' if is_password_in_url(rest) => Some("a password in a URL"),
            _ => None,
        }
    })
}

/// Whether all of a text is an API key.
pub(crate) fn is_key(text: &str) -> bool {
    let at = text.find('_').unwrap_or_default();
    key_around(text, at) == Some(text)
}

/// How many bytes at the start are of this kind.
fn run(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    let end = bytes.iter().position(|&byte| !is(byte));
    end.unwrap_or(bytes.len())
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// `eyJ….eyJ….…`: JSON objects in base64, and a signature.
fn is_token(rest: &[u8]) -> bool {
    let mut parts = rest.splitn(3, |&byte| byte == b'.');
    let is_object = |part: &[u8]| part.starts_with(b"eyJ") && run(part, is_base64url) == part.len();
    rest.starts_with(b"eyJ")
        && parts.next().is_some_and(is_object)
        && parts.next().is_some_and(is_object)
        && parts
            .next()
            .is_some_and(|signature| run(signature, is_base64url) >= SIGNATURE)
}

fn is_bearer(rest: &[u8]) -> bool {
    let (scheme, token) = rest.split_at(rest.len().min(7));
    let is_token68 = |byte: u8| is_base64url(byte) || b".~+/=".contains(&byte);
    scheme.eq_ignore_ascii_case(b"bearer ") && run(token, is_token68) >= BEARER
}

/// `-----BEGIN PRIVATE KEY-----`, `-----BEGIN RSA PRIVATE KEY-----` and so on.
fn is_private_key(rest: &[u8]) -> bool {
    let label = rest.strip_prefix(b"-----BEGIN ").unwrap_or_default();
    let label = label.split_at(run(label, |byte| byte != b'-')).0;
    label.ends_with(b"PRIVATE KEY")
}

/// `://user:password@`
fn is_password_in_url(rest: &[u8]) -> bool {
    let authority = rest.strip_prefix(b"://").unwrap_or_default();
    let in_authority = |byte: u8| byte.is_ascii_graphic() && !b"/?#\"'<>".contains(&byte);
    let authority = authority.split_at(run(authority, in_authority)).0;
    let user = authority.rsplitn(2, |&byte| byte == b'@').nth(1);
    user.is_some_and(|user| run(user, |byte| byte != b':') + 1 < user.len())
}

/// The key that has `_live_`, or another environment, here: one whose checksum fits.
fn key_around(text: &str, at: usize) -> Option<&str> {
    let (before, rest) = (text.get(..at)?, text.get(at + 1..)?);
    let of = |environment: &Environment| {
        let rest = rest.strip_prefix(environment.as_str());
        rest.is_some_and(|rest| rest.starts_with('_'))
    };
    let environment = Environment::ALL.into_iter().find(of)?;
    let end = at + 1 + environment.as_str().len() + 1 + KEY_TAIL;
    // What stands before the brand may look like a part of it, as in `\nacme_live_…`; the checksum
    // covers the brand and tells.
    (2..=12).find_map(|length| {
        let start = before.len().checked_sub(length)?;
        let format = KeyFormat::new(before.get(start..)?, environment).ok()?;
        let key = text.get(start..end)?;
        format.read(key).is_ok().then_some(key)
    })
}
