//! Digests of keys: what is stored instead of them.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::PresentedKey;
use crate::ConfigError;

/// What is stored of a key's secret: 32 bytes, and the version of the pepper they were made with.
///
/// Compare digests through [`KeyHasher::verify`] only. `Debug` shows the version alone.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyDigest {
    version: u32,
    bytes: [u8; 32],
}

impl KeyDigest {
    /// A digest as a store or a hasher has it.
    #[must_use]
    pub const fn new(version: u32, bytes: [u8; 32]) -> Self {
        Self { version, bytes }
    }

    /// The version of the pepper.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The bytes, as they are stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest(version {})", self.version)
    }
}

/// What a hasher says about a key and a stored digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer nobody handles must not verify"
)]
pub enum KeyMatch {
    /// The digest is this key's.
    Current,
    /// The digest is this key's, made with a pepper that is being replaced.
    Outdated,
    /// The digest is not this key's.
    Mismatch,
    /// The digest was made with a pepper that is no longer here.
    UnknownVersion,
}

/// Makes and verifies the digests of keys. Called for every request, so it must be fast.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use tenancy_core::key::{HmacKeyHasher, KeyDigest, KeyHasher, KeyMatch, PresentedKey};
///
/// /// Counts wrong secrets, for a metric.
/// #[derive(Debug)]
/// struct Counted(HmacKeyHasher, AtomicU64);
///
/// impl KeyHasher for Counted {
///     fn digest(&self, key: &PresentedKey<'_>) -> KeyDigest {
///         self.0.digest(key)
///     }
///
///     fn verify(&self, key: &PresentedKey<'_>, stored: &KeyDigest) -> KeyMatch {
///         let verified = self.0.verify(key, stored);
///         if verified == KeyMatch::Mismatch {
///             self.1.fetch_add(1, Ordering::Relaxed);
///         }
///         verified
///     }
/// }
/// ```
///
/// # Security
/// Only for secrets of full entropy, which [`KeyFormat`](super::KeyFormat) makes. The digest must
/// cover the whole text, so that no part of a key can be exchanged, and be compared in constant
/// time.
pub trait KeyHasher: Send + Sync + fmt::Debug {
    /// The digest of a key, made with the current pepper.
    fn digest(&self, key: &PresentedKey<'_>) -> KeyDigest;

    /// Whether a stored digest is this key's.
    fn verify(&self, key: &PresentedKey<'_>, stored: &KeyDigest) -> KeyMatch;
}

/// A secret of the service that goes into every digest, with the version it is stored under.
///
/// With it, a copy of the table of keys lets nobody test a guess. An attacker who can write to that
/// table can't make a key, imported ones aside, whose hashes have no pepper; they can still change
/// what a key of their own may do. Keep it where the database's backups are not. `Debug` shows the version.
#[derive(Clone)]
pub struct Pepper {
    version: u32,
    keyed: Hmac<Sha256>,
}

impl Pepper {
    /// A pepper of at least 32 random bytes.
    ///
    /// # Errors
    /// [`ConfigError`] if it is shorter.
    pub fn new(version: u32, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = secret.as_ref();
        if secret.len() < 32 {
            return Err(ConfigError::new(format!(
                "the pepper of API keys has {} bytes; it needs at least 32, and random ones",
                secret.len()
            )));
        }
        let keyed = Hmac::new_from_slice(secret)
            .map_err(|_| ConfigError::new("the pepper of API keys can't be used as a key"))?;
        Ok(Self { version, keyed })
    }

    /// The digest of another secret of full entropy than a key, whose text no key begins like.
    pub(crate) fn digest_of(&self, text: &str) -> [u8; 32] {
        let mut keyed = self.keyed.clone();
        keyed.update(text.as_bytes());
        keyed.finalize().into_bytes().into()
    }

    fn over(&self, key: &PresentedKey<'_>) -> Hmac<Sha256> {
        self.over_parts([key.expose().as_bytes()])
    }

    /// The MAC of parts, which the caller makes unambiguous.
    pub(crate) fn over_parts<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Hmac<Sha256> {
        let mut keyed = self.keyed.clone();
        for part in parts {
            keyed.update(part);
        }
        keyed
    }

    pub(crate) const fn version(&self) -> u32 {
        self.version
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper(version {})", self.version)
    }
}

/// The hasher of keys: HMAC-SHA-256 (RFC 2104, FIPS 180-4) of a key's whole text under a pepper.
///
/// To replace the pepper, start with the new one as the current and the old one as the previous.
/// A key gets its new digest when it is next used. Keys that were not used until the previous
/// pepper is dropped are refused, and have to be rotated. Where several processes run, first start
/// all of them with the new one as the previous beside the old one: a process that doesn't know it
/// would refuse the keys that another has given their new digest.
///
/// The stored form is public API: `printf %s "$KEY" | openssl dgst -sha256 -hmac "$PEPPER"`.
///
/// ```
/// use tenancy_core::key::{HmacKeyHasher, Pepper};
///
/// let old = Pepper::new(1, [0x5c; 32])?;
/// let new = Pepper::new(2, [0x36; 32])?;
/// let hasher = HmacKeyHasher::new(new).with_previous(old)?;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct HmacKeyHasher {
    current: Pepper,
    previous: Option<Pepper>,
}

impl HmacKeyHasher {
    /// Hashes with this pepper.
    pub const fn new(current: Pepper) -> Self {
        Self {
            current,
            previous: None,
        }
    }

    /// Verifies what was made with another pepper, too.
    ///
    /// # Errors
    /// [`ConfigError`] if both have one version.
    pub fn with_previous(mut self, previous: Pepper) -> Result<Self, ConfigError> {
        if previous.version == self.current.version {
            return Err(ConfigError::new(format!(
                "two peppers have the version {}; number each new one on",
                previous.version
            )));
        }
        self.previous = Some(previous);
        Ok(self)
    }
}

impl KeyHasher for HmacKeyHasher {
    fn digest(&self, key: &PresentedKey<'_>) -> KeyDigest {
        let bytes = self.current.over(key).finalize().into_bytes();
        KeyDigest::new(self.current.version, bytes.into())
    }

    fn verify(&self, key: &PresentedKey<'_>, stored: &KeyDigest) -> KeyMatch {
        let fits = |pepper: &Pepper| pepper.over(key).verify_slice(stored.as_bytes()).is_ok();
        let previous = self.previous.as_ref();
        if stored.version == self.current.version {
            if fits(&self.current) {
                return KeyMatch::Current;
            }
        } else if let Some(previous) = previous.filter(|p| p.version == stored.version) {
            if fits(previous) {
                return KeyMatch::Outdated;
            }
        } else {
            return KeyMatch::UnknownVersion;
        }
        KeyMatch::Mismatch
    }
}
