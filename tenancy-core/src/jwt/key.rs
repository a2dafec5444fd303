//! A key that verifies the signatures of exactly one algorithm.

use std::fmt;

use jsonwebtoken::DecodingKey;

use super::{
    algorithm::{Algorithm, KeyKind},
    backend::PROVIDER,
    error::{KeyError, KeyErrorKind as Kind},
    rsa::RsaKey,
    small_order,
    spki::{self, PublicKey},
};

/// A key that verifies tokens of one algorithm.
///
/// A token's `alg` never chooses how it is verified: it has to equal the key's algorithm
/// (RFC 8725 §3.1). Weak and misfit keys are refused when the key is made.
///
/// ```
/// use tenancy_core::jwt::{Algorithm, KeyErrorKind, VerificationKey};
///
/// let secret = [0x5c; 32]; // from your secret store
/// let key = VerificationKey::hmac(Algorithm::HS256, secret)?.with_id("2026-11");
/// assert_eq!(key.id(), Some("2026-11"));
///
/// let weak = VerificationKey::hmac(Algorithm::HS256, "password").unwrap_err();
/// assert_eq!(weak.kind(), KeyErrorKind::SecretTooShort);
/// # Ok::<(), tenancy_core::jwt::KeyError>(())
/// ```
///
/// # Security
/// `Debug` shows algorithm and id only; the memory of the key is overwritten when it is dropped.
/// Verification runs on AWS-LC with the feature `aws-lc-rs`, and otherwise on RustCrypto, whatever
/// other backends of `jsonwebtoken` the program compiles in.
#[derive(Clone)]
pub struct VerificationKey {
    algorithm: Algorithm,
    id: Option<Box<str>>,
    key: DecodingKey,
}

impl VerificationKey {
    /// A shared secret, for one of [`HS256`](Algorithm::HS256), [`HS384`](Algorithm::HS384)
    /// and [`HS512`](Algorithm::HS512).
    ///
    /// The bytes are used as they are: decode a secret that is stored as base64 first.
    ///
    /// # Errors
    /// [`KeyError`] if the algorithm takes no secret, or if the secret is shorter than
    /// its hash (RFC 7518 §3.2) or the text of a PEM file.
    ///
    /// # Security
    /// Generate the secret, for example with `openssl rand 32`; length does not make a sentence
    /// strong.
    pub fn hmac(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let secret = secret.as_ref();
        let KeyKind::Secret { shortest } = algorithm.key_kind() else {
            return Err(wrong_kind(algorithm, KeyKind::Secret { shortest: 0 }));
        };
        if secret.len() < shortest {
            return Err(KeyError::new(
                Kind::SecretTooShort,
                format!(
                    "{algorithm} needs a secret of at least {shortest} bytes, this one has {}; \
                     generate one with `openssl rand {shortest}`",
                    secret.len(),
                ),
            ));
        }
        if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Err(KeyError::new(
                Kind::SecretIsPem,
                format!("the secret for {algorithm} is a PEM text; read it with `pem` instead"),
            ));
        }
        Ok(Self {
            algorithm,
            id: None,
            key: DecodingKey::from_secret(secret),
        })
    }

    /// A public key in PEM form, for any of the other algorithms.
    ///
    /// The text is one block `PUBLIC KEY` (RFC 7468 §13) or, for RSA, `RSA PUBLIC KEY`.
    ///
    /// ```
    /// use tenancy_core::jwt::{Algorithm, VerificationKey};
    ///
    /// let key = VerificationKey::pem(
    ///     Algorithm::EdDSA,
    ///     "-----BEGIN PUBLIC KEY-----
    ///      MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    ///      -----END PUBLIC KEY-----",
    /// )?;
    /// assert_eq!(key.algorithm(), Algorithm::EdDSA);
    /// # Ok::<(), tenancy_core::jwt::KeyError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError`] if the text holds no such key, a private key or a certificate; if
    /// the key is of another kind or on another curve than the algorithm takes; if an RSA key has
    /// fewer than 2048 or more than 8192 bits (4096 without the feature `aws-lc-rs`), an exponent
    /// below 3 or of more than 33 bits, or comes from a generator known to be broken; if an Ed25519
    /// point is of small order. A point that is not on its curve is not noticed here; such a key
    /// verifies nothing.
    pub fn pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        if algorithm.is_symmetric() {
            return Err(KeyError::new(
                Kind::WrongKind,
                format!("{algorithm} takes a shared secret; use `hmac`"),
            ));
        }
        Self::from_public(algorithm, &spki::from_pem(pem.as_ref())?)
    }

    /// A public key that was read, checked as [`pem`](Self::pem) says.
    pub(super) fn from_public(algorithm: Algorithm, public: &PublicKey) -> Result<Self, KeyError> {
        if public.kind != algorithm.key_kind() {
            return Err(wrong_kind(algorithm, public.kind));
        }
        let key = match public.kind {
            KeyKind::Rsa => {
                let RsaKey { modulus, exponent } = RsaKey::read(&public.bytes)?;
                DecodingKey::from_rsa_raw_components(modulus, exponent)
            }
            KeyKind::Ed25519 => ed25519(&public.bytes)?,
            KeyKind::P256 | KeyKind::P384 | KeyKind::Secret { .. } => {
                DecodingKey::from_ec_der(&public.bytes)
            }
        };
        Ok(Self {
            algorithm,
            id: None,
            key,
        })
    }

    /// The same key under an id, which tokens name in their `kid`.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into().into());
        self
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: Vec<u8>) -> bool {
        // A verifier is not `Send`, so it is made anew for each token.
        let factory = PROVIDER.verifier_factory;
        factory(&self.algorithm.backend(), &self.key)
            .is_ok_and(|verifier| verifier.verify(message, &signature).is_ok())
    }
}

fn ed25519(point: &[u8]) -> Result<DecodingKey, KeyError> {
    if small_order::is_point(point) {
        return Err(KeyError::new(
            Kind::SmallOrder,
            "the Ed25519 key is a point of small order, under which anyone can sign; make a new one",
        ));
    }
    Ok(DecodingKey::from_ed_der(point))
}

fn wrong_kind(algorithm: Algorithm, got: KeyKind) -> KeyError {
    let wanted = algorithm.key_kind();
    KeyError::new(
        Kind::WrongKind,
        format!("{algorithm} takes {wanted}, this is {got}; name the key's own algorithm"),
    )
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
