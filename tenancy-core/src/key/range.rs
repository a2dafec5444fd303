//! Ranges of keys: those whose text begins alike.

use std::fmt;

use super::{Environment, KeyFormat, base62, format::ID_LEN};
use crate::{ConfigError, KeyId};

/// The keys of one environment whose text begins alike: what an operator knows of a leak.
///
/// Ids are of fixed width, so that such keys are those whose ids lie between two.
///
/// ```
/// use tenancy_core::{KeyId, key::{Environment, KeyFormat}};
///
/// let format = KeyFormat::new("acme", Environment::Live)?;
/// let id = KeyId::new();
/// let shown = format.shown(id);
/// assert!(format.range(&shown)?.contains(id), "this key alone");
/// assert!(format.range(&shown[..14])?.contains(id), "those that begin like it");
/// assert!(format.range("acme_live_")?.contains(id), "all of the environment");
/// assert!(format.range("acme_test_").is_err(), "another deployment's");
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRange {
    /// The environment.
    pub environment: Environment,
    /// The lowest id.
    pub first: KeyId,
    /// The highest id.
    pub last: KeyId,
}

impl KeyRange {
    /// Whether a key of the environment is among them.
    #[must_use]
    pub fn contains(&self, id: KeyId) -> bool {
        (self.first..=self.last).contains(&id)
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} to {}", self.environment, self.first, self.last)
    }
}

impl KeyFormat {
    /// The keys whose text begins with this: at least `{brand}_{env}_` of this deployment, at most
    /// all before the secret.
    ///
    /// # Errors
    /// [`ConfigError`] if no key begins so.
    pub fn range(&self, prefix: &str) -> Result<KeyRange, ConfigError> {
        let start = format!("{}_{}_", self.brand(), self.environment());
        let unfit = || {
            ConfigError::new(format!(
                "the prefix of keys must be `{start}` and up to {ID_LEN} digits of an id"
            ))
        };
        let digits = prefix.strip_prefix(&start).ok_or_else(unfit)?;
        if digits.len() > ID_LEN {
            return Err(unfit());
        }
        let end = |fill: &str| {
            let missing = ID_LEN.checked_sub(digits.len())?;
            Some(format!("{digits}{}", fill.repeat(missing)))
        };
        let first = end("0")
            .and_then(|text| base62::number(&text))
            .ok_or_else(unfit)?;
        // The highest digits exceed 128 bits, and then no id does.
        let last = end("z")
            .and_then(|text| base62::number(&text))
            .unwrap_or(u128::MAX);
        let id = |number| KeyId::from_uuid(uuid::Uuid::from_u128(number));
        Ok(KeyRange {
            environment: self.environment(),
            first: id(first),
            last: id(last),
        })
    }
}
