//! Handles: by which imported keys are found.

use std::{fmt, str::FromStr};

/// The public part of an imported key: what another system found it by.
///
/// 1 to 64 characters that can be seen, of ASCII, without commas, since a header field would take one
/// for the end of a credential. A handle is no secret, and belongs to one key of an environment for
/// good: also one that was revoked keeps it.
///
/// ```
/// use tenancy_core::key::KeyHandle;
///
/// let handle: KeyHandle = "4711".parse()?;
/// assert_eq!(handle.as_str(), "4711");
/// assert!("47 11".parse::<KeyHandle>().is_err());
/// # Ok::<(), tenancy_core::key::InvalidKeyHandle>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHandle(Box<str>);

/// A text that is not a [`KeyHandle`]. Does not repeat it, because it may be a part of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the handle of an imported key must be 1 to {} characters of ASCII that can be seen, without \
     commas",
    KeyHandle::MAX_LEN
)]
pub struct InvalidKeyHandle(());

impl KeyHandle {
    /// The longest handle, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The handle as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is made of what a handle may consist of; it may be empty.
pub(super) fn is_written_in_handles(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b',')
}

impl FromStr for KeyHandle {
    type Err = InvalidKeyHandle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=Self::MAX_LEN).contains(&text.len()) && is_written_in_handles(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidKeyHandle(()))
        }
    }
}

impl fmt::Display for KeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
