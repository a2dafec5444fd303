//! A token while it is looked at: each costly step is taken once, and only if it is needed.

use serde_json::{Map, Value};

use super::{
    compact::{self, Compact},
    json, reason,
};
use crate::{MAX_CREDENTIAL_LEN, Rejection, digest::Digest};

type Claims = Result<Map<String, Value>, Rejection>;

/// What may be a token, none of which is believed yet.
pub(super) struct Token<'a> {
    text: &'a str,
    /// Stands for the token in caches; `None` if this process can't remember.
    pub(super) digest: Option<Digest>,
    parts: Option<Compact<'a>>,
    claims: Option<Claims>,
}

impl<'a> Token<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, Rejection> {
        if text.len() > MAX_CREDENTIAL_LEN {
            return Err(reason::TOO_LONG);
        }
        Ok(Self {
            text,
            digest: Digest::of_text(text),
            parts: None,
            claims: None,
        })
    }

    /// Its parts, if it has the shape of a token. One that is in a cache had it once.
    pub(super) fn parts(&mut self) -> Result<Compact<'a>, Rejection> {
        if let Some(parts) = self.parts {
            return Ok(parts);
        }
        let parts = compact::split(self.text)?;
        self.parts = Some(parts);
        Ok(parts)
    }

    /// Who the token says it comes from, before anything is verified: fit for choosing whose
    /// rules apply, and for nothing else.
    pub(super) fn unverified_issuer(&mut self) -> Result<Option<&str>, Rejection> {
        let payload = self.parts()?.payload;
        let claims = self.claims.get_or_insert_with(|| read(payload));
        let issuer = claims.as_ref().ok().and_then(|claims| claims.get("iss"));
        Ok(issuer.and_then(Value::as_str))
    }

    /// The payload, to be called after its signature was verified.
    pub(super) fn take_claims(&mut self) -> Claims {
        let payload = self.parts()?.payload;
        self.claims.take().unwrap_or_else(|| read(payload))
    }
}

fn read(payload: &[u8]) -> Claims {
    json::object(&compact::decode(payload)?).ok_or(reason::PAYLOAD)
}
