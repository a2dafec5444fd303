//! Generations: the number by which everything learned about a tenant grows old at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts the changes of a tenant that end earlier admissions: suspension, revoked membership,
/// changed role or plan.
///
/// ```
/// use tenancy_core::Generation;
///
/// let stored = Generation::from_i64(7);
/// assert!(stored.next() > stored);
/// assert_eq!(stored.next().as_i64(), 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(i64);

impl Generation {
    /// The generation of a tenant that has not changed since it was made.
    pub const FIRST: Self = Self(1);

    /// A stored generation.
    #[must_use]
    pub const fn from_i64(value: i64) -> Self {
        Self(value)
    }

    /// The number to store.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
