//! A key that signs tokens of exactly one algorithm.

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::EncodingKey;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    algorithm::Algorithm,
    backend::PROVIDER,
    error::{KeyError, KeyErrorKind as Kind},
    key::VerificationKey,
};

/// A key with which a service signs the tokens it issues itself.
///
/// ```
/// use tenancy_core::jwt::{Algorithm, SigningKey};
///
/// let key = SigningKey::hmac(Algorithm::HS256, [7; 32])?.with_id("2027-01");
/// // The secret does not show.
/// assert!(!format!("{key:?}").contains("0707"));
/// # Ok::<(), tenancy_core::jwt::KeyError>(())
/// ```
///
/// # Security
/// `Debug` shows algorithm and id only; the memory of the key is overwritten when it is dropped.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    id: Option<Box<str>>,
    key: EncodingKey,
}

impl SigningKey {
    /// A shared secret, as for [`VerificationKey::hmac`].
    ///
    /// # Errors
    /// [`KeyError`] as there.
    ///
    /// # Security
    /// Every service that verifies such a token can make one. Where that is too much, use
    /// [`pem`](Self::pem).
    pub fn hmac(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let secret = secret.as_ref();
        VerificationKey::hmac(algorithm, secret)?;
        Ok(Self {
            algorithm,
            id: None,
            key: EncodingKey::from_secret(secret),
        })
    }

    /// A private key for [`EdDSA`](Algorithm::EdDSA) or [`ES256`](Algorithm::ES256): one PEM block
    /// `PRIVATE KEY` (RFC 5958), as `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    /// [`KeyError`] if the text holds no such key, or one of another kind than the algorithm takes.
    pub fn pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let malformed = || {
            let message = "the signing key can't be read; expected one block from \
                 `-----BEGIN PRIVATE KEY-----` to `-----END PRIVATE KEY-----`";
            KeyError::new(Kind::Malformed, message)
        };
        let text = std::str::from_utf8(pem.as_ref()).map_err(|_| malformed())?;
        let body = text
            .trim()
            .strip_prefix("-----BEGIN PRIVATE KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"))
            .ok_or_else(malformed)?;
        // With room for all of it, so that no copy is left behind by growing.
        let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
        base64.extend(body.split_ascii_whitespace());
        let der = STANDARD
            .decode(base64.as_bytes())
            .map_err(|_| malformed())?;
        let der = Zeroizing::new(der);
        let key = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            Algorithm::ES256 => EncodingKey::from_ec_der(&der),
            _ => {
                let message = format!("tokens are signed by EdDSA or ES256, not by {algorithm}");
                return Err(KeyError::new(Kind::WrongKind, message));
            }
        };
        let key = Self {
            algorithm,
            id: None,
            key,
        };
        // Whether it is a key of this kind shows when it signs.
        if key.sign(b"").is_none() {
            let message = format!("the signing key is not one for {algorithm}");
            return Err(KeyError::new(Kind::WrongKind, message));
        }
        Ok(key)
    }

    /// The same key under an id, which tokens then name in their `kid`.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into().into());
        self
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// A token of this header and these claims (RFC 7515 §7.1); `None` if the key does not sign.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> Option<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes())?);
        Some(format!("{message}.{signature}"))
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let factory = PROVIDER.signer_factory;
        let signer = factory(&self.algorithm.backend(), &self.key).ok()?;
        signer.try_sign(message).ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
