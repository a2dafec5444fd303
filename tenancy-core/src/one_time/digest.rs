//! What is stored of a one-time token.

use std::fmt;

/// What is stored of a one-time token: 32 bytes, and the version of the pepper they were made with.
///
/// `Debug` shows the version alone.
///
/// ```
/// use tenancy_core::one_time::OneTimeDigest;
///
/// let stored = OneTimeDigest::new(1, [7; 32]);
/// assert_eq!(format!("{stored:?}"), "OneTimeDigest(version 1)");
/// ```
///
/// # Security
/// Compare one with a token by [`OneTimeTokens::verify`](super::OneTimeTokens::verify), which takes equally long for
/// each token. `==` is for a store that looks whether a row is still the one that was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeDigest {
    version: u32,
    bytes: [u8; 32],
}

impl OneTimeDigest {
    /// A digest as a store has it.
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

impl fmt::Debug for OneTimeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneTimeDigest(version {})", self.version)
    }
}
