//! The text of a key: what arrives, and what is shown once.

use std::fmt;

use zeroize::Zeroizing;

use super::Environment;
use crate::KeyId;

/// The text of a key as it arrived: well formed, and not yet known to be anybody's.
///
/// Made by [`KeyFormat::read`](super::KeyFormat::read). `Debug` leaves the secret out.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    pub(super) id: KeyId,
    pub(super) environment: Environment,
    pub(super) text: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// The id it claims.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The environment it claims.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// The whole text.
    ///
    /// # Security
    /// Never log it, never put it in an error.
    #[must_use]
    pub const fn expose(&self) -> &'a str {
        self.text
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedKey")
            .field("id", &self.id)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// The text of a new key, which exists nowhere else: erased from memory when dropped.
///
/// It can't be cloned, compared, serialized or printed; `Debug` shows nothing of it.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    pub(super) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The whole text, to be shown to its owner once.
    ///
    /// # Security
    /// Never log it, never store it. Send it with `Cache-Control: no-store`.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(redacted)")
    }
}
