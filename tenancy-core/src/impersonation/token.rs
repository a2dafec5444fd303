//! The token of an impersonation: a secret of 256 bits, of which a digest is stored.

use std::fmt;

use zeroize::Zeroizing;

use crate::{StoreError, key::Pepper};

/// What a request presents in the place of a user's credential. It is shown once, and only a digest is stored.
///
/// ```
/// # use tenancy_core::{ImpersonationToken, StartedImpersonation};
/// fn answer(started: &StartedImpersonation) -> String {
///     // For the one operator who asked, over HTTPS: never into a log.
///     started.token.expose().to_owned()
/// }
/// # let _ = answer;
/// ```
pub struct ImpersonationToken(Zeroizing<String>);

/// The digest of a token, as it is stored: HMAC-SHA-256 under the pepper of the [policy](crate::ImpersonationPolicy).
///
/// ```
/// use tenancy_core::ImpersonationDigest;
///
/// let stored = ImpersonationDigest::new([7; 32]);
/// assert_eq!(stored.as_bytes(), &[7; 32]);
/// assert_eq!(format!("{stored:?}"), "ImpersonationDigest");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImpersonationDigest([u8; 32]);

impl ImpersonationToken {
    /// How each token begins.
    pub(crate) const PREFIX: &'static str = "tnimp_";

    /// A new one.
    pub(crate) fn mint() -> Result<Self, StoreError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(StoreError::unavailable)?;
        let mut text = Zeroizing::new(String::with_capacity(Self::LEN));
        text.push_str(Self::PREFIX);
        for byte in *secret {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
        }
        Ok(Self(text))
    }

    /// How long each token is, in bytes.
    pub(crate) const LEN: usize = Self::PREFIX.len() + 64;

    /// The secret text.
    ///
    /// # Security
    /// Whoever has it acts as the user until the impersonation ends. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ImpersonationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImpersonationToken")
    }
}

impl ImpersonationDigest {
    /// A digest as a store has it.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of a token's text.
    pub(crate) fn of(text: &str, pepper: &Pepper) -> Self {
        Self(pepper.digest_of(text))
    }

    /// The bytes, as they are stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ImpersonationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImpersonationDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_show_nothing() {
        let (one, other) = (
            ImpersonationToken::mint().unwrap(),
            ImpersonationToken::mint().unwrap(),
        );
        assert_eq!(one.expose().len(), ImpersonationToken::LEN);
        assert_ne!(one.expose(), other.expose());
        assert!(!format!("{one:?}").contains(&one.expose()[6..]));
        let pepper = Pepper::new(1, [7; 32]).unwrap();
        let digest = ImpersonationDigest::of(one.expose(), &pepper);
        assert_eq!(digest, ImpersonationDigest::of(one.expose(), &pepper));
        assert_ne!(digest, ImpersonationDigest::of(other.expose(), &pepper));
        let second = Pepper::new(1, [8; 32]).unwrap();
        assert_ne!(digest, ImpersonationDigest::of(one.expose(), &second));
    }
}
