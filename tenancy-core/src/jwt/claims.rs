//! The registered claims (RFC 7519 §4.1), each checked for its type before its value.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::reason;
use crate::{Principal, Rejection, Timestamp};

/// The longest `sub`, in bytes (OpenID Connect Core 1.0 §2 allows 255 ASCII characters).
const MAX_SUBJECT_LEN: usize = 255;

/// The last second of the year 9999. A date beyond it is a mistake, most often milliseconds.
const MAX_SECONDS: u64 = 253_402_300_799;

/// What every token of an authenticator has to say.
#[derive(Debug)]
pub(super) struct ClaimRules {
    pub(super) issuer: Arc<str>,
    pub(super) audience: Box<str>,
    pub(super) leeway: Duration,
    pub(super) max_lifetime: Option<Duration>,
}

/// When a token holds; the leeway is already in `expires_at` and `not_before`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    pub(super) expires_at: Timestamp,
    pub(super) not_before: Option<Timestamp>,
    pub(super) issued_at: Option<Timestamp>,
}

impl Validity {
    /// When a token held that made this principal; `None` if it was made of none.
    pub(super) fn of(principal: &Principal) -> Option<Self> {
        Some(Self {
            expires_at: principal.expires_at?,
            not_before: principal.not_before,
            issued_at: principal.issued_at,
        })
    }
}

impl ClaimRules {
    /// Checks who made the token, and for whom.
    pub(super) fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), Rejection> {
        if claims.get("iss").and_then(Value::as_str) != Some(&*self.issuer) {
            return Err(reason::ISSUER);
        }
        let ours = match claims.get("aud") {
            Some(Value::String(audience)) => **audience == *self.audience,
            Some(Value::Array(several)) => {
                several.iter().all(Value::is_string)
                    && several
                        .iter()
                        .any(|audience| audience.as_str() == Some(&self.audience))
            }
            _ => false,
        };
        if ours { Ok(()) } else { Err(reason::AUDIENCE) }
    }

    /// Reads when the token holds.
    pub(super) fn validity(&self, claims: &Map<String, Value>) -> Result<Validity, Rejection> {
        let expiry = claims.get("exp").and_then(date).ok_or(reason::EXPIRY)?;
        let optional = |name, malformed: Rejection| match claims.get(name) {
            None => Ok(None),
            Some(value) => date(value).map(Some).ok_or(malformed),
        };
        let not_before = optional("nbf", reason::NOT_BEFORE)?;
        let issued_at = optional("iat", reason::ISSUED_AT)?;
        if let Some(longest) = self.max_lifetime {
            let start = issued_at.ok_or(reason::ISSUED_AT)?;
            if expiry.since(start) > longest {
                return Err(reason::LIFETIME);
            }
        }
        Ok(Validity {
            expires_at: expiry + self.leeway,
            not_before: not_before.map(|start| start - self.leeway),
            issued_at,
        })
    }

    /// Checks whether the token holds at `now`.
    pub(super) fn check_time(&self, validity: Validity, now: Timestamp) -> Result<(), Rejection> {
        if now >= validity.expires_at {
            return Err(reason::EXPIRED);
        }
        if validity.not_before.is_some_and(|start| now < start) {
            return Err(reason::NOT_YET_VALID);
        }
        if validity
            .issued_at
            .is_some_and(|issued| issued > now + self.leeway)
        {
            return Err(reason::ISSUED_IN_FUTURE);
        }
        Ok(())
    }
}

/// Whom the token is about.
pub(super) fn subject(claims: &Map<String, Value>) -> Result<&str, Rejection> {
    claims
        .get("sub")
        .and_then(Value::as_str)
        .filter(|subject| (1..=MAX_SUBJECT_LEN).contains(&subject.len()))
        .ok_or(reason::SUBJECT)
}

/// Reads a `NumericDate`: seconds since the epoch, whole or not, up to the year 9999.
fn date(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_u64() {
        let seconds = i64::try_from(seconds)
            .ok()
            .filter(|_| seconds <= MAX_SECONDS)?;
        return Some(Timestamp::from_unix_seconds(seconds));
    }
    let seconds = value.as_f64()?;
    // In this range microseconds fit an `i64`, and the cast rounds down.
    (0.0..=MAX_SECONDS as f64)
        .contains(&seconds)
        .then(|| Timestamp::from_unix_micros((seconds * 1e6) as i64))
}
