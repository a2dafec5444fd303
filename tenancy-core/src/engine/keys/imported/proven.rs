//! Secrets that were right: remembered by what stands for them, and never themselves.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use quick_cache::sync::Cache;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{ConfigError, key::SecretHash};

/// Stands for a text and the hash it is held against, under a key that this process alone has.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprints of secrets that were right.
///
/// Wrong ones are never among them, so that no flood of those pushes one out. A secret is right for
/// as long as its hash stands in the record; whether the key can be used is the record's matter, and
/// asked for each request.
pub(super) struct Proven {
    keyed: Hmac<Sha256>,
    right: Cache<Fingerprint, ()>,
}

impl Proven {
    pub(super) fn new(capacity: usize) -> Result<Self, ConfigError> {
        let unfit = || ConfigError::new("the operating system's generator gives no random bytes");
        let mut key = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *key).map_err(|_| unfit())?;
        Ok(Self {
            keyed: Hmac::new_from_slice(&*key).map_err(|_| unfit())?,
            right: Cache::new(capacity),
        })
    }

    pub(super) fn fingerprint(&self, text: &str, hash: Option<&SecretHash>) -> Fingerprint {
        let hash = hash.map_or("", SecretHash::as_str);
        let mut keyed = self.keyed.clone();
        // The length keeps both apart, so that no text runs on into a hash.
        keyed.update(&text.len().to_be_bytes());
        keyed.update(text.as_bytes());
        keyed.update(hash.as_bytes());
        keyed.finalize().into_bytes().into()
    }

    pub(super) fn holds(&self, text: &str, hash: &SecretHash) -> bool {
        let fingerprint = self.fingerprint(text, Some(hash));
        self.right.get(&fingerprint).is_some()
    }

    pub(super) fn remember(&self, fingerprint: Fingerprint) {
        self.right.insert(fingerprint, ());
    }
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proven").finish_non_exhaustive()
    }
}
