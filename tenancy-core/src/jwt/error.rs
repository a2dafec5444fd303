//! What can be wrong with a key or a configuration, told when it is built.

/// A key that must not verify tokens. The message says what is wrong and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KeyError {
    kind: KeyErrorKind,
    message: String,
}

/// The ways in which a key can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// The secret is empty or shorter than the hash it is used with (RFC 7518 §3.2).
    SecretTooShort,
    /// The secret is the text of a PEM file: a public key, which everybody knows.
    SecretIsPem,
    /// The PEM text holds a private key; verification takes the public one.
    PrivateKey,
    /// The PEM text holds something else than a public key, such as a certificate.
    NotPublicKey,
    /// The text is not PEM, or what it encodes can't be read.
    Malformed,
    /// The key is of another kind, or on another curve, than the algorithm takes.
    WrongKind,
    /// The RSA modulus has fewer than 2048 or more than 8192 bits (4096 without the feature `aws-lc-rs`).
    RsaSize,
    /// The RSA modulus was made by a generator whose keys can be factored (CVE-2017-15361).
    RsaWeak,
    /// The Ed25519 point is of small order: anyone can sign under it.
    SmallOrder,
}

impl KeyError {
    pub(super) fn new(kind: KeyErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> KeyErrorKind {
        self.kind
    }
}

/// A configuration that can't work. The message says what is wrong and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JwtConfigError {
    kind: JwtConfigErrorKind,
    message: String,
}

/// The ways in which a configuration can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtConfigErrorKind {
    /// The issuer or the audience is empty.
    EmptyName,
    /// There is no key.
    NoKey,
    /// There are several keys, and one of them has no id.
    KeyIdMissing,
    /// Two keys have the same id.
    KeyIdDuplicate,
    /// A key's id is one that no token can name.
    KeyIdInvalid,
    /// Shared secrets and public keys are mixed, or configured keys and remote ones.
    MixedKeys,
    /// The leeway is longer than five minutes.
    LeewayTooLong,
    /// The longest lifetime is zero.
    LifetimeZero,
    /// A token type is not a media type.
    TokenType,
    /// A claim has no name, a registered name, or a name that is used twice.
    ClaimName,
    /// The issuer is trusted already.
    IssuerDuplicate,
    /// An issuer is bound to a tenant by something else than its id or slug.
    TenantName,
    /// A time of remote keys or of stored issuers is out of its bounds.
    RemoteTiming,
    /// The address of an issuer is not one that is connected to.
    IssuerAddress,
    /// An HTTP client can't be set up.
    HttpClient,
    /// A root certificate to trust can't be read.
    RootCertificate,
    /// Service accounts are accepted, and nothing says what they may do.
    ServiceScope,
    /// The lifetime of tokens to issue is out of its bounds.
    MintLifetime,
}

impl JwtConfigError {
    pub(super) fn new(kind: JwtConfigErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> JwtConfigErrorKind {
        self.kind
    }
}
