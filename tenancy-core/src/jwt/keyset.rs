//! The keys of one issuer, and the choice among them.

use super::{
    error::{JwtConfigError, JwtConfigErrorKind as Kind},
    header::{Header, MAX_KEY_ID_LEN, is_key_id},
    key::VerificationKey,
    reason,
};
use crate::Rejection;

/// At least one key; all secret or all public; distinct ids. Of several that were configured, each
/// has one.
#[derive(Debug)]
pub(super) struct KeySet(Vec<VerificationKey>);

impl KeySet {
    pub(super) fn new(keys: Vec<VerificationKey>) -> Result<Self, JwtConfigError> {
        if keys.is_empty() {
            return Err(JwtConfigError::new(
                Kind::NoKey,
                "there is no key; add one with `key`",
            ));
        }
        let secrets = keys
            .iter()
            .filter(|key| key.algorithm().is_symmetric())
            .count();
        if secrets != 0 && secrets != keys.len() {
            return Err(JwtConfigError::new(
                Kind::MixedKeys,
                "shared secrets and public keys are mixed; use one authenticator for each",
            ));
        }
        let mut rest = keys.as_slice();
        while let Some((key, others)) = rest.split_first() {
            rest = others;
            match key.id() {
                Some(id) if !is_key_id(id) => {
                    return Err(JwtConfigError::new(
                        Kind::KeyIdInvalid,
                        format!("a key id is 1 to {MAX_KEY_ID_LEN} printable ASCII characters"),
                    ));
                }
                Some(id) if others.iter().any(|other| other.id() == Some(id)) => {
                    return Err(JwtConfigError::new(
                        Kind::KeyIdDuplicate,
                        format!("two keys have the id `{id}`; give each its own"),
                    ));
                }
                None if keys.len() > 1 => {
                    return Err(JwtConfigError::new(
                        Kind::KeyIdMissing,
                        "there are several keys and one has no id; name each with `with_id`",
                    ));
                }
                _ => {}
            }
        }
        Ok(Self(keys))
    }

    /// Keys as an issuer publishes them: public, with distinct ids, some perhaps without one.
    pub(super) const fn published(keys: Vec<VerificationKey>) -> Self {
        Self(keys)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The one key that may verify a token with this header.
    pub(super) fn choose(&self, header: &Header) -> Result<&VerificationKey, Rejection> {
        let named = self.0.iter().any(|key| key.id().is_some());
        let key = match header.key_id.as_deref() {
            Some(id) if named => self
                .0
                .iter()
                .find(|key| key.id() == Some(id))
                .ok_or(reason::KEY_UNKNOWN)?,
            // A single key without an id is meant whatever the token calls it.
            _ => {
                let mut fit = self
                    .0
                    .iter()
                    .filter(|key| key.algorithm() == header.algorithm);
                match (fit.next(), fit.next()) {
                    (Some(key), None) => key,
                    (Some(_), Some(_)) => return Err(reason::KEY_AMBIGUOUS),
                    (None, _) => return Err(reason::ALGORITHM),
                }
            }
        };
        if key.algorithm() == header.algorithm {
            Ok(key)
        } else {
            Err(reason::ALGORITHM)
        }
    }
}
