//! Signed anchors: where a chain of the audit trail stood, to be kept outside of the database.

use serde_json::{Map, Value, json};

use super::{JwtConfigError, MintError};
use super::{
    compact,
    header::{self, TypeRule},
    json,
    key::VerificationKey,
    keyset::KeySet,
    reason,
    signing::SigningKey,
};
use crate::{ChainHash, ChainHead, Rejection, TenantId, Timestamp, TrailChain};

/// Signs where chains of the audit trail stand.
///
/// A signed anchor is a JSON Web Signature (RFC 7515) in its compact form: a line of text. Keep it where whoever can
/// rewrite the database can't rewrite it: in a file of another machine, in a log, in another database.
///
/// ```
/// use tenancy_core::jwt::{Algorithm, AnchorSigner, AnchorVerifier, SigningKey, VerificationKey};
/// use tenancy_core::{ChainHash, ChainHead, Clock as _, SystemClock, TenantId};
///
/// let signer = AnchorSigner::new("notes", SigningKey::hmac(Algorithm::HS256, [7; 32])?);
/// let head = ChainHead::new(Some(TenantId::new()), 4711, ChainHash::GENESIS);
/// let line = signer.sign(&head, SystemClock.now())?;
///
/// let verifier = AnchorVerifier::new("notes", [VerificationKey::hmac(Algorithm::HS256, [7; 32])?])?;
/// assert_eq!(verifier.read(&line)?.0, head);
/// assert!(verifier.read(&line[1..]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// Sign with [`EdDSA`](super::Algorithm::EdDSA), and give auditors the public key: with HMAC whoever verifies an anchor can
/// make one. The key must not be in the database.
#[derive(Debug, Clone)]
pub struct AnchorSigner {
    database: String,
    key: SigningKey,
}

/// The token type of an anchor, so that no other token is one.
const TYPE: &str = "tenancy-anchor+jwt";

impl AnchorSigner {
    /// Signs for a database of this name. The name tells its anchors from those of others, such as a copy for tests.
    #[must_use]
    pub fn new(database: impl Into<String>, key: SigningKey) -> Self {
        Self {
            database: database.into(),
            key,
        }
    }

    /// The anchor of a head, as a line of text.
    ///
    /// # Errors
    /// [`MintError`] if the key does not sign.
    pub fn sign(&self, head: &ChainHead, at: Timestamp) -> Result<String, MintError> {
        let mut header = json!({ "typ": TYPE, "alg": self.key.algorithm().as_str() });
        if let (Some(id), Some(members)) = (self.key.id(), header.as_object_mut()) {
            members.insert("kid".into(), id.into());
        }
        let claims = json!({
            "iss": self.database,
            "iat": at.as_unix_seconds(),
            "tenant": head.tenant,
            "seq": head.seq,
            "hash": head.hash,
        });
        self.key.token(&header, &claims).ok_or(MintError::SIGNATURE)
    }

    /// Whether a line is an anchor of this head that this signer has signed. It signs again and compares; with a key whose
    /// signatures are random (ES and PS), none is.
    pub(crate) fn has_signed(&self, head: &ChainHead, line: &str) -> bool {
        let at = match peek(line) {
            Some((anchored, at)) if anchored == *head => at,
            _ => return false,
        };
        self.sign(head, at).is_ok_and(|again| again == line)
    }
}

/// The head that a line says, whoever has signed it.
fn peek(line: &str) -> Option<(ChainHead, Timestamp)> {
    let payload = compact::decode(compact::split(line).ok()?.payload).ok()?;
    head_of(&json::object(&payload)?).ok()
}

/// The chain of which a line says where it stood, whoever has signed it.
pub(crate) fn chain_of(line: &str) -> Option<TrailChain> {
    peek(line).map(|(head, _)| head.chain())
}

fn head_of(claims: &Map<String, Value>) -> Result<(ChainHead, Timestamp), Rejection> {
    let tenant = match claims.get("tenant") {
        Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.parse::<TenantId>().map_err(|_| reason::MALFORMED)?),
        _ => return Err(reason::MALFORMED),
    };
    let read = || {
        let seq = claims.get("seq")?.as_u64()?;
        let hash = ChainHash::from_hex(claims.get("hash")?.as_str()?)?;
        let at = Timestamp::from_unix_seconds(claims.get("iat")?.as_i64()?);
        Some((ChainHead::new(tenant, seq, hash), at))
    };
    read().ok_or(reason::MALFORMED)
}

/// Reads signed anchors of one database.
#[derive(Debug)]
pub struct AnchorVerifier {
    database: String,
    keys: KeySet,
    types: TypeRule,
}

impl AnchorVerifier {
    /// Reads anchors of a database of this name that one of these keys has signed. Several keys, after one was
    /// replaced, each need an id.
    ///
    /// # Errors
    /// [`JwtConfigError`] if there is no key, or if keys can't be told apart.
    pub fn new(
        database: impl Into<String>,
        keys: impl IntoIterator<Item = VerificationKey>,
    ) -> Result<Self, JwtConfigError> {
        let mut types = TypeRule::default();
        types.admit(TYPE);
        Ok(Self {
            database: database.into(),
            keys: KeySet::new(keys.into_iter().collect())?,
            types,
        })
    }

    /// The head of an anchor, and when it was signed.
    ///
    /// # Errors
    /// A [`Rejection`] that says why it is no anchor of this database.
    pub fn read(&self, anchor: &str) -> Result<(ChainHead, Timestamp), Rejection> {
        let parts = compact::split(anchor)?;
        let header = header::read(parts.header, &self.types)?;
        let key = self.keys.choose(&header)?;
        let signature = compact::decode(parts.signature)?;
        if !key.verifies(parts.signing_input, signature) {
            return Err(reason::SIGNATURE);
        }
        let claims = json::object(&compact::decode(parts.payload)?).ok_or(reason::MALFORMED)?;
        if claims.get("iss").and_then(Value::as_str) != Some(&*self.database) {
            return Err(reason::ISSUER);
        }
        head_of(&claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock as _, SystemClock, jwt::Algorithm};

    fn key(byte: u8) -> Result<(SigningKey, VerificationKey), Box<dyn std::error::Error>> {
        let secret = [byte; 32];
        Ok((
            SigningKey::hmac(Algorithm::HS256, secret)?,
            VerificationKey::hmac(Algorithm::HS256, secret)?,
        ))
    }

    #[test]
    fn an_anchor_of_another_key_database_or_kind_is_none() -> Result<(), Box<dyn std::error::Error>>
    {
        let (sign, verify) = key(7)?;
        let (other, _) = key(8)?;
        let now = Timestamp::from_unix_seconds(SystemClock.now().as_unix_seconds());
        let verifier = AnchorVerifier::new("notes", [verify])?;
        for tenant in [None, Some(TenantId::new())] {
            let head = ChainHead::new(tenant, u64::from(u32::MAX), ChainHash::from_bytes([9; 32]));
            let line = AnchorSigner::new("notes", sign.clone()).sign(&head, now)?;
            assert_eq!(verifier.read(&line)?, (head, now));
            for refused in [
                AnchorSigner::new("notes", other.clone()).sign(&head, now)?,
                AnchorSigner::new("copy", sign.clone()).sign(&head, now)?,
                // A token of the same key that is no anchor.
                sign.token(
                    &json!({ "typ": "JWT", "alg": "HS256" }),
                    &json!({ "iss": "notes" }),
                )
                .unwrap_or_default(),
                line.replace('.', ""),
                String::new(),
            ] {
                assert!(verifier.read(&refused).is_err(), "{refused}");
            }
        }
        assert!(AnchorVerifier::new("notes", []).is_err());
        Ok(())
    }
}
