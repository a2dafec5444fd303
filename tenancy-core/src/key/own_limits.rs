//! Limits of a key's own: what one key may take at most, beside what its tenant's plan says.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::{Value, json};

use crate::{ConfigError, quota::Limit};

/// The limits that one key has of its own; empty for none.
///
/// They are counted beside those of the tenant's plan, so they only restrict. Each is a rate or a limit per period of
/// a [consumed](crate::quota::Meter::consumed) meter, and of the scope [`Scope::Key`](crate::quota::Scope::Key): that
/// is what a limit of the default scope becomes here. Without a name of its own, it is called
/// `requests-per-minute-of-this-key`.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{key::KeyLimits, quota::Limit};
///
/// let limits: KeyLimits =
///     [Limit::rate("requests", 10, Duration::from_secs(60))].into_iter().collect();
/// assert_eq!(limits.as_slice()[0].name(), "requests-per-minute-of-this-key");
/// let stored = limits.to_stored()?;
/// assert_eq!(stored[0]["limit"]["rate"], 10);
/// assert_eq!(KeyLimits::from_stored(&stored)?, limits);
/// // With `serde`, as the same JSON: for an answer that tells of a key.
/// assert_eq!(serde_json::to_value(&limits)?, stored);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyLimits(Vec<Limit>);

impl KeyLimits {
    /// How many limits a key may have.
    pub const MAX: usize = 4;

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits.
    pub fn as_slice(&self) -> &[Limit] {
        &self.0
    }

    /// What [`to_stored`](Self::to_stored) gave.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is no list of limits.
    pub fn from_stored(stored: &Value) -> Result<Self, ConfigError> {
        let unfit = || {
            ConfigError::new("a key's stored limits are no list of a `meter` and a `limit` each")
        };
        let each = stored.as_array().ok_or_else(unfit)?.iter().map(|one| {
            match (one.get("meter").and_then(Value::as_str), one.get("limit")) {
                (Some(meter), Some(limit)) => {
                    crate::plan::limit_from_json("a stored limit of a key", meter, limit)
                }
                _ => Err(unfit()),
            }
        });
        each.collect()
    }

    /// The limits as JSON: a list of objects, each with a `meter` and a `limit`, which has the fields of
    /// [`PlanBook::from_toml`](crate::PlanBook::from_toml).
    ///
    /// # Errors
    /// A [`ConfigError`] if a time in it has a part of a millisecond.
    pub fn to_stored(&self) -> Result<Value, ConfigError> {
        let each = self.0.iter().map(|limit| {
            let definition = limit.to_json(&limit.name())?;
            Ok(json!({ "meter": limit.meter(), "limit": definition }))
        });
        each.collect()
    }
}

impl FromIterator<Limit> for KeyLimits {
    fn from_iter<I: IntoIterator<Item = Limit>>(limits: I) -> Self {
        Self(limits.into_iter().map(Limit::of_one_key).collect())
    }
}

/// As [`KeyLimits::to_stored`] gives them.
impl Serialize for KeyLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = self.to_stored().map_err(ser::Error::custom)?;
        stored.serialize(serializer)
    }
}

/// What [`KeyLimits::from_stored`] takes.
impl<'de> Deserialize<'de> for KeyLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Value::deserialize(deserializer)?;
        Self::from_stored(&stored).map_err(de::Error::custom)
    }
}
