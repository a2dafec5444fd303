//! Environments: which deployment a key is for.

use std::fmt;

/// The deployment a key is for. A key of one is refused by every other.
///
/// ```
/// use tenancy_core::key::Environment;
///
/// assert_eq!(Environment::from_stored("stg"), Some(Environment::Staging));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Environment {
    /// Production: `live`.
    Live,
    /// What customers try things out with: `test`.
    Test,
    /// Developers' machines: `dev`.
    Dev,
    /// Staging: `stg`.
    Staging,
}

impl Environment {
    /// Every environment.
    pub const ALL: [Self; 4] = [Self::Live, Self::Test, Self::Dev, Self::Staging];

    /// The name, as it stands in a key and under which it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
            Self::Dev => "dev",
            Self::Staging => "stg",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
