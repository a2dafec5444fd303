//! The compact serialization: three parts of canonical base64url, and nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::reason;
use crate::{MAX_CREDENTIAL_LEN, Rejection};

/// A token cut into its parts, which are still encoded and not believed.
#[derive(Clone, Copy)]
pub(super) struct Compact<'a> {
    /// What the signature is over: header, dot, payload.
    pub(super) signing_input: &'a [u8],
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// Whether a credential is meant to be a token: its first part is the encoding of a text that
/// starts with `{`, and there is a second part.
pub(super) fn looks_like_one(credential: &str) -> bool {
    // `{` is 011110 11: the sextet of `e`, then one of the last quarter of the alphabet.
    let brace = matches!(
        credential.as_bytes(),
        [b'e', b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_', ..]
    );
    brace && credential.contains('.')
}

/// Cuts a token at its dots (RFC 7515 §7.1).
///
/// The alphabet is checked for the whole text first, so that padding, blanks and line breaks are
/// refused wherever they stand (RFC 8725bis §3.14).
pub(super) fn split(token: &str) -> Result<Compact<'_>, Rejection> {
    if token.len() > MAX_CREDENTIAL_LEN {
        return Err(reason::TOO_LONG);
    }
    let bytes = token.as_bytes();
    // To the end without a branch, many bytes at once: this is done for each request.
    if !bytes.iter().fold(true, |all, byte| all & is_allowed(*byte)) {
        return Err(reason::MALFORMED);
    }
    let mut dots = token.match_indices('.').map(|(at, _)| at);
    let (Some(first), Some(second)) = (dots.next(), dots.next()) else {
        return Err(reason::MALFORMED);
    };
    match dots.count() {
        0 => {}
        // Five parts are an encrypted token (RFC 7516 §3.1), which nobody here can read.
        2 => return Err(reason::ENCRYPTED),
        _ => return Err(reason::MALFORMED),
    }
    let part = |range: Option<_>| range.ok_or(reason::MALFORMED);
    Ok(Compact {
        signing_input: part(bytes.get(..second))?,
        header: part(bytes.get(..first))?,
        payload: part(bytes.get(first + 1..second))?,
        signature: part(bytes.get(second + 1..))?,
    })
}

const fn is_allowed(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')
}

/// Decodes one part; refuses padding and an ending whose unused bits are not zero.
pub(super) fn decode(part: &[u8]) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| reason::MALFORMED)
}
