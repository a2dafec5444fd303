//! What can be chosen about passwords.

use std::sync::Arc;

use super::{Inner, Passwords};
use crate::{
    Clock, ConfigError, SystemClock, attempts::Attempts, key::SecretHasher, quota::Counters,
};

/// How many mails about a reset an address gets in an hour.
const MAILS: u16 = 5;

/// Makes [`Passwords`].
///
/// ```
/// use tenancy_core::Passwords;
///
/// let passwords = Passwords::builder()
///     .min_chars(12)
///     .common(["correcthorse", "password1234"])
///     .attempts_per_account(5)
///     .build()?;
/// # drop(passwords);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PasswordsBuilder {
    hasher: SecretHasher,
    per_account: u16,
    per_address: u16,
    min_chars: usize,
    common: Vec<String>,
    counters: Option<Arc<dyn Counters>>,
    clock: Arc<dyn Clock>,
}

impl PasswordsBuilder {
    pub(super) fn new() -> Self {
        Self {
            hasher: SecretHasher::new(),
            per_account: 10,
            per_address: 100,
            min_chars: 8,
            common: Vec::new(),
            counters: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// The hasher. Default: one of its own; a clone shares its bounds with, say, [imported keys](crate::key::ImportedKeys).
    pub fn hasher(mut self, hasher: SecretHasher) -> Self {
        self.hasher = hasher;
        self
    }

    /// How many attempts may fail per account: so many at once, and then as many in a minute. Default: 10.
    pub const fn attempts_per_account(mut self, attempts: u16) -> Self {
        self.per_account = attempts;
        self
    }

    /// How many attempts may fail per address: so many at once, and then as many in a minute. Default: 100. Leave room for
    /// an office behind one address.
    pub const fn attempts_per_address(mut self, attempts: u16) -> Self {
        self.per_address = attempts;
        self
    }

    /// Counters in which all processes count attempts together, such as those in Redis. Default: each process counts by
    /// itself, so that ten allow ten times as many. Each counts by itself in any case, and alone while the shared ones do
    /// not answer.
    pub fn counters(mut self, counters: Arc<dyn Counters>) -> Self {
        self.counters = Some(counters);
        self
    }

    /// The fewest characters of a password. Default: 8.
    pub const fn min_chars(mut self, chars: usize) -> Self {
        self.min_chars = chars;
        self
    }

    /// Passwords that nobody may choose, in whichever case: those that are tried first. Default: none.
    pub fn common(mut self, words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let words = words.into_iter();
        self.common
            .extend(words.map(|word| word.as_ref().to_lowercase()));
        self
    }

    /// The clock by which attempts come back. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The passwords.
    ///
    /// # Errors
    /// [`ConfigError`] if no attempt may fail, or a password has to have more than 64 characters.
    pub fn build(self) -> Result<Passwords, ConfigError> {
        if self.per_account == 0 || self.per_address == 0 {
            return Err(ConfigError::new(
                "no attempt may fail, so that nobody could ever sign in; allow at least 1",
            ));
        }
        if self.min_chars > 64 {
            return Err(ConfigError::new(
                "a password would need more than 64 characters; ask for fewer",
            ));
        }
        let attempts = |kind| {
            Attempts::new(kind, self.per_account, self.per_address).shared(self.counters.clone())
        };
        Ok(Passwords(Arc::new(Inner {
            attempts: attempts("password"),
            resets: attempts("reset"),
            reset_requests: Attempts::in_seconds("mail", MAILS, self.per_address, 3_600)
                .shared(self.counters.clone()),
            hasher: self.hasher,
            min_chars: self.min_chars,
            common: self.common.into_iter().collect(),
            clock: self.clock,
        })))
    }
}
