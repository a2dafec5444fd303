//! The signature algorithms, and what kind of key each of them takes.

use std::fmt;

use jsonwebtoken::Algorithm as Backend;

/// A signature algorithm of a token (RFC 7518 §3.1, RFC 8037 §3.1).
///
/// There is no `none`, and no list of acceptable algorithms to get wrong: a
/// [`VerificationKey`](super::VerificationKey) has exactly one.
///
/// Where you can choose, choose [`EdDSA`](Self::EdDSA), [`ES256`](Self::ES256) or
/// [`RS256`](Self::RS256); with HMAC everyone who can verify a token can also make one.
///
/// ```
/// use tenancy_core::jwt::{Algorithm, VerificationKey};
///
/// assert!(VerificationKey::hmac(Algorithm::HS256, [7; 32]).is_ok());
/// // Too short for this algorithm.
/// assert!(VerificationKey::hmac(Algorithm::HS512, [7; 32]).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256; the secret has at least 32 bytes.
    HS256,
    /// HMAC with SHA-384; the secret has at least 48 bytes.
    HS384,
    /// HMAC with SHA-512; the secret has at least 64 bytes.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA over P-256 with SHA-256.
    ES256,
    /// ECDSA over P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// What a key has to be for an algorithm to take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// A shared secret of at least so many bytes.
    Secret {
        shortest: usize,
    },
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret { .. } => "a shared secret",
            Self::Rsa => "an RSA key",
            Self::P256 => "an EC key on curve P-256",
            Self::P384 => "an EC key on curve P-384",
            Self::Ed25519 => "an Ed25519 key",
        })
    }
}

impl Algorithm {
    const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The name as it stands in a token's `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Reads an `alg`, in exactly the registered spelling.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }

    pub(super) const fn key_kind(self) -> KeyKind {
        match self {
            Self::HS256 => KeyKind::Secret { shortest: 32 },
            Self::HS384 => KeyKind::Secret { shortest: 48 },
            Self::HS512 => KeyKind::Secret { shortest: 64 },
            Self::RS256 | Self::RS384 | Self::RS512 => KeyKind::Rsa,
            Self::PS256 | Self::PS384 | Self::PS512 => KeyKind::Rsa,
            Self::ES256 => KeyKind::P256,
            Self::ES384 => KeyKind::P384,
            Self::EdDSA => KeyKind::Ed25519,
        }
    }

    /// Whether who verifies can also sign.
    pub(super) const fn is_symmetric(self) -> bool {
        matches!(self.key_kind(), KeyKind::Secret { .. })
    }

    pub(super) const fn backend(self) -> Backend {
        match self {
            Self::HS256 => Backend::HS256,
            Self::HS384 => Backend::HS384,
            Self::HS512 => Backend::HS512,
            Self::RS256 => Backend::RS256,
            Self::RS384 => Backend::RS384,
            Self::RS512 => Backend::RS512,
            Self::PS256 => Backend::PS256,
            Self::PS384 => Backend::PS384,
            Self::PS512 => Backend::PS512,
            Self::ES256 => Backend::ES256,
            Self::ES384 => Backend::ES384,
            Self::EdDSA => Backend::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
