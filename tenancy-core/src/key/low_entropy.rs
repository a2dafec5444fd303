//! Secrets of low entropy: chosen by people, or imported from another system.

mod cost;
mod error;
mod hasher;
mod stored;

use std::fmt;

use zeroize::Zeroizing;

pub use error::{SecretError, SecretErrorKind};
pub(crate) use hasher::Checked;
pub use hasher::SecretHasher;

/// A secret that might be guessed: hashed slowly, and never as a key is.
///
/// A type of its own, so that neither lands in the other's hasher. Erased from memory when dropped;
/// `Debug` shows nothing of it.
///
/// ```
/// use tenancy_core::key::LowEntropySecret;
///
/// let secret = LowEntropySecret::new("correct horse battery staple")?;
/// assert_eq!(format!("{secret:?}"), "LowEntropySecret(redacted)");
/// assert!(LowEntropySecret::new("").is_err());
/// # Ok::<(), tenancy_core::key::SecretError>(())
/// ```
pub struct LowEntropySecret(Zeroizing<String>);

impl LowEntropySecret {
    /// The longest secret, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// Takes a secret as it arrived.
    ///
    /// # Errors
    /// [`SecretErrorKind::Length`] if it is empty or too long.
    pub fn new(text: impl Into<String>) -> Result<Self, SecretError> {
        let text = Zeroizing::new(text.into());
        if (1..=Self::MAX_LEN).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(SecretErrorKind::Length.into())
        }
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LowEntropySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LowEntropySecret(redacted)")
    }
}
