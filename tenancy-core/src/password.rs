//! Passwords, for applications that keep them: hashed slowly, tried so often, and renewed where their cost has grown.

mod config;
mod error;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, net::IpAddr, sync::Arc};

pub use config::PasswordsBuilder;
pub use error::{PasswordError, UnfitPassword};

use crate::{
    Clock,
    attempts::Attempts,
    key::{Checked, LowEntropySecret, SecretHash, SecretHasher},
};

/// The passwords of a service: made once at start, and cloned.
///
/// Argon2id by [`SecretHasher`]: as many at once as there are cores, four times as many wait, and who comes then is
/// answered 503 with a time to wait. Failed attempts are counted before anything is hashed, by account and by the
/// caller's address (an IPv6 /64); when either is spent, the answer is 429 with a time to wait, whether the password was
/// right, and whether there is such an account or not.
///
/// ```
/// use tenancy_core::{Passwords, PasswordVerdict, key::LowEntropySecret};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let passwords = Passwords::builder().build()?;
/// let chosen = LowEntropySecret::new("correct horse battery staple")?;
/// let stored = passwords.hash(chosen).await?;
///
/// let typed = LowEntropySecret::new("Tr0ub4dor&3")?;
/// let address = "192.0.2.7".parse().ok();
/// match passwords.verify("alice@example.com", address, Some(&stored), typed).await? {
///     PasswordVerdict::Right { renewed: Some(_) } => { /* store it in the place of the other */ }
///     PasswordVerdict::Right { .. } => {}
///     PasswordVerdict::Wrong => {}
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What a password may be
/// At least 8 characters, at most 1,024 bytes, and none of [those that everybody tries](PasswordsBuilder::common). Nothing
/// is asked of its composition, and nothing is changed about it: what is typed is hashed byte for byte, without Unicode
/// normalization. A hash that was made elsewhere goes on to fit then, and each attempt costs one hash and not two. Somebody
/// whose keyboards write `é` in two ways has to type it on the same kind of keyboard.
///
/// # Hashes of other schemes
/// bcrypt, scrypt and PBKDF2 are refused ([`PasswordError::Stored`]), and so is Argon2id at more than 64 MiB, 10 passes
/// or 4 lanes. Verify such a hash by code of your own when somebody signs in and is right, and store what
/// [`hash`](Self::hash) makes; or have the person choose another password by a [reset](crate::PasswordResets).
#[derive(Debug, Clone)]
#[must_use]
pub struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hasher: SecretHasher,
    attempts: Attempts,
    /// Of somebody who presents the token of a reset.
    resets: Attempts,
    /// Of somebody who asks for a reset.
    reset_requests: Attempts,
    min_chars: usize,
    common: HashSet<String>,
    clock: Arc<dyn Clock>,
}

/// What came of an attempt. An error is neither.
#[derive(Debug)]
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer nobody handles must not sign in"
)]
pub enum PasswordVerdict {
    /// It is the password.
    Right {
        /// What to store instead, where the stored hash cost less than new ones do.
        renewed: Option<SecretHash>,
    },
    /// It is not, or there is none.
    Wrong,
}

impl Passwords {
    /// Passwords with the defaults, which the builder's methods change.
    pub fn builder() -> PasswordsBuilder {
        PasswordsBuilder::new()
    }

    /// Whether somebody may choose this password. Ask before anything else is done for a form, so that its page can say
    /// what is wrong.
    ///
    /// # Errors
    /// [`UnfitPassword`], whose text is for people.
    pub fn check(&self, password: &LowEntropySecret) -> Result<(), UnfitPassword> {
        let text = password.expose();
        if text.chars().count() < self.0.min_chars {
            return Err(UnfitPassword::TooShort {
                min: self.0.min_chars,
            });
        }
        if !self.0.common.is_empty() && self.0.common.contains(&text.to_lowercase()) {
            return Err(UnfitPassword::Common);
        }
        Ok(())
    }

    /// Hashes a password that somebody has chosen, to be stored.
    ///
    /// # Errors
    /// [`PasswordError::Unfit`] as [`check`](Self::check), before anything is hashed, and [`PasswordError::Busy`] if too
    /// many wait.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn hash(&self, password: LowEntropySecret) -> Result<SecretHash, PasswordError> {
        self.check(&password)?;
        let hash = self.0.hasher.hash(password).await?;
        Ok(SecretHash::from_stored(hash))
    }

    /// Whether a password is the stored one. Takes as long where there is none, for an account that there is not.
    ///
    /// `account` is what the attempt is counted by: what was typed as the address or the name, in one spelling.
    ///
    /// # Errors
    /// [`PasswordError::Spent`] if too many attempts have failed, [`PasswordError::Busy`] if too many wait, and
    /// [`PasswordError::Stored`] if the stored hash can't be used. Nothing is known of the password then.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    ///
    /// # Security
    /// Call it also where there is no such account, or where it is disabled, with `None`. Answer `Wrong` alike. A hash that
    /// was stored at a lower cost takes less time than one that there is not, until it is renewed.
    pub async fn verify(
        &self,
        account: &str,
        ip: Option<IpAddr>,
        stored: Option<&SecretHash>,
        password: LowEntropySecret,
    ) -> Result<PasswordVerdict, PasswordError> {
        let Inner {
            attempts, clock, ..
        } = &*self.0;
        let begun = attempts.begin_everywhere(account, ip, clock.now()).await;
        let begun = begun.map_err(PasswordError::Spent)?;
        let stored = stored.map(SecretHash::as_str);
        match self.0.hasher.check(password, stored).await {
            Ok(Checked::Right(renewed)) => {
                attempts.take_back_everywhere(&begun, clock.now()).await;
                let renewed = renewed.map(SecretHash::from_stored);
                Ok(PasswordVerdict::Right { renewed })
            }
            Ok(Checked::Wrong) => Ok(PasswordVerdict::Wrong),
            Ok(Checked::Unusable) => Err(PasswordError::Stored),
            // It was not looked at.
            Err(error) => {
                attempts.take_back_everywhere(&begun, clock.now()).await;
                Err(error.into())
            }
        }
    }

    /// Attempts at tokens of resets.
    pub(crate) fn reset_attempts(&self) -> &Attempts {
        &self.0.resets
    }

    /// Requests of resets.
    pub(crate) fn reset_requests(&self) -> &Attempts {
        &self.0.reset_requests
    }
}
