//! A token while it is looked at: cut into its parts, and each costly step taken once.

use serde_json::{Map, Value};

use super::{
    cache::{Fingerprint, TokenCache},
    compact::{self, Compact},
    json, reason,
};
use crate::Rejection;

type Claims = Result<Map<String, Value>, Rejection>;

/// A token of the right shape, none of which is believed yet.
pub(super) struct Token<'a> {
    text: &'a str,
    pub(super) parts: Compact<'a>,
    fingerprint: Option<Fingerprint>,
    claims: Option<Claims>,
}

impl<'a> Token<'a> {
    pub(super) fn cut(text: &'a str) -> Result<Self, Rejection> {
        Ok(Self {
            text,
            parts: compact::split(text)?,
            fingerprint: None,
            claims: None,
        })
    }

    pub(super) fn fingerprint(&mut self) -> Fingerprint {
        *self
            .fingerprint
            .get_or_insert_with(|| TokenCache::fingerprint(self.text))
    }

    /// Who the token says it comes from, before anything is verified: fit for choosing whose
    /// rules apply, and for nothing else.
    pub(super) fn unverified_issuer(&mut self) -> Option<&str> {
        let payload = self.parts.payload;
        let claims = self.claims.get_or_insert_with(|| read(payload));
        claims.as_ref().ok()?.get("iss")?.as_str()
    }

    /// The payload, to be called after its signature was verified.
    pub(super) fn take_claims(&mut self) -> Claims {
        let payload = self.parts.payload;
        self.claims.take().unwrap_or_else(|| read(payload))
    }
}

fn read(payload: &[u8]) -> Claims {
    json::object(&compact::decode(payload)?).ok_or(reason::PAYLOAD)
}
