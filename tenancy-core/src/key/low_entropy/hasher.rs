//! The hasher of secrets of low entropy: slow by design, and bounded.

use std::{num::NonZeroUsize, sync::Arc, thread};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{LowEntropySecret, SecretError, SecretErrorKind, cost::Cost, stored};
use crate::ConfigError;

/// The hasher of secrets of low entropy: Argon2id (RFC 9106) with 19 MiB, two passes, one lane, as
/// the OWASP cheat sheet on password storage has it. Hashes are PHC strings.
///
/// One hash is two passes over 19 MiB. At most as many run at once as there are cores, four times
/// as many wait, and a later caller is told to come again: no flood of logins takes more memory
/// than that, or keeps the runtime's threads from other work. Clones share these bounds.
///
/// ```
/// use tenancy_core::key::{LowEntropySecret, SecretHasher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hasher = SecretHasher::new();
/// let stored = hasher.hash(LowEntropySecret::new("correct horse battery staple")?).await?;
/// assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
///
/// let again = LowEntropySecret::new("correct horse battery staple")?;
/// assert!(hasher.verify(again, Some(&stored)).await?);
/// assert!(!hasher.verify(LowEntropySecret::new("Tr0ub4dor&3")?, Some(&stored)).await?);
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// Limit the rate per account and per address before hashing: the bounds here protect the machine,
/// and not the one account that is guessed at. What is stored decides what verifying costs, so that
/// a hash that asks for more than 64 MiB, 10 passes or 4 lanes is refused unread.
#[derive(Debug, Clone)]
#[must_use]
pub struct SecretHasher {
    pub(in crate::key) running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    cost: Cost,
    /// How often this hasher and its clones have run Argon2id.
    #[cfg(test)]
    runs: Arc<std::sync::atomic::AtomicUsize>,
    #[cfg(any(test, feature = "testing"))]
    parallelism: u32,
}

/// How many wait for each that runs.
const WAITING: u16 = 4;

impl SecretHasher {
    /// As many hashes at once as there are cores.
    pub fn new() -> Self {
        Self::with_parallelism(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// So many hashes at once.
    pub fn with_parallelism(running: NonZeroUsize) -> Self {
        let running = u16::try_from(running.get()).unwrap_or(1024).min(1024);
        let places = running * (1 + WAITING);
        Self {
            running: Arc::new(Semaphore::new(running.into())),
            places: Arc::new(Semaphore::new(places.into())),
            cost: Cost::DEFAULT,
            #[cfg(test)]
            runs: Arc::default(),
            #[cfg(any(test, feature = "testing"))]
            parallelism: running.into(),
        }
    }

    /// What a new hash costs: so much memory, in KiB, and so many passes over it. Default: 19,456 and 2.
    ///
    /// What was stored at a lower cost is verified as ever. [`Passwords`](crate::Passwords) hash it anew when it was right.
    ///
    /// ```
    /// use tenancy_core::key::SecretHasher;
    ///
    /// let hasher = SecretHasher::new().cost(47_104, 1)?;
    /// assert!(SecretHasher::new().cost(1_024, 1).is_err());
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] if it is less than 7 MiB or than 5 passes over 7 MiB, or more than 64 MiB or 10 passes.
    pub fn cost(mut self, memory_kib: u32, passes: u32) -> Result<Self, ConfigError> {
        self.cost = Cost::new(memory_kib, passes)?;
        Ok(self)
    }

    /// How often this hasher and its clones have run Argon2id.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Every turn, once nothing is hashed.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) async fn all_turns(&self) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(&self.running);
        turns.acquire_many_owned(self.parallelism).await.ok()
    }

    /// Every place, once nobody waits.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) async fn all_places(&self) -> Option<OwnedSemaphorePermit> {
        let all = self.parallelism * u32::from(1 + WAITING);
        Arc::clone(&self.places).acquire_many_owned(all).await.ok()
    }

    /// Hashes a secret, to be stored.
    ///
    /// # Errors
    /// [`SecretErrorKind::Busy`] if too many wait, [`SecretErrorKind::Failed`] if there is no
    /// randomness or no memory.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn hash(&self, secret: LowEntropySecret) -> Result<String, SecretError> {
        let work = self.work();
        self.run(move || work.hash(&secret)).await
    }

    /// Whether a secret is the stored one. With `None`, for an account that there is not, takes as
    /// long and says no.
    ///
    /// # Errors
    /// [`SecretErrorKind::Busy`] if too many wait, [`SecretErrorKind::Stored`] if the hash can't be
    /// used, [`SecretErrorKind::Failed`] if the machine fails.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn verify(
        &self,
        secret: LowEntropySecret,
        stored: Option<&str>,
    ) -> Result<bool, SecretError> {
        let stored = stored.map(stored::read).transpose()?;
        let work = self.work();
        self.run(move || match stored {
            Some(stored) => Ok(work.verify(&secret, &stored)),
            None => work.hash(&secret).map(|_| false),
        })
        .await
    }

    /// The same, with a new hash of a right secret whose stored one cost less. A hash that can't be used takes as long as
    /// one that there is not.
    pub(crate) async fn check(
        &self,
        secret: LowEntropySecret,
        stored: Option<&str>,
    ) -> Result<Checked, SecretError> {
        let (stored, unusable) = match stored.map(stored::read) {
            Some(Ok(stored)) => (Some(stored), false),
            Some(Err(_)) => (None, true),
            None => (None, false),
        };
        let work = self.work();
        self.run(move || {
            let Some(stored) = stored else {
                work.hash(&secret)?;
                return Ok(if unusable {
                    Checked::Unusable
                } else {
                    Checked::Wrong
                });
            };
            if !work.verify(&secret, &stored) {
                return Ok(Checked::Wrong);
            }
            let params = Params::try_from(&stored).ok();
            let grew = params.is_some_and(|params| work.cost.is_more_than(&params));
            // Who is right gets in, whether there is memory for another hash or not.
            let renewed = grew.then(|| work.hash(&secret).ok()).flatten();
            Ok(Checked::Right(renewed))
        })
        .await
    }

    fn work(&self) -> Work {
        Work {
            cost: self.cost,
            #[cfg(test)]
            runs: Arc::clone(&self.runs),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| SecretErrorKind::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_| SecretErrorKind::Failed)?;
        // The work goes on if its caller gives up, and so its place is taken until it is done.
        let held: [OwnedSemaphorePermit; 2] = [running, place];
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(held);
            done
        });
        done.await.map_err(|_| SecretErrorKind::Failed)?
    }
}

impl Default for SecretHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of looking at a secret.
#[derive(Debug)]
pub(crate) enum Checked {
    /// With another hash of it, if the stored one cost less than new ones do.
    Right(Option<String>),
    Wrong,
    /// The stored hash can't be used.
    Unusable,
}

/// What runs on a thread of its own.
struct Work {
    cost: Cost,
    #[cfg(test)]
    runs: Arc<std::sync::atomic::AtomicUsize>,
}

impl Work {
    fn hash(&self, secret: &LowEntropySecret) -> Result<String, SecretError> {
        self.count();
        let argon2 = self.cost.argon2().ok_or(SecretErrorKind::Failed)?;
        let hash = argon2.hash_password(secret.0.as_bytes());
        Ok(hash.map_err(|_| SecretErrorKind::Failed)?.to_string())
    }

    /// By the parameters that are stored.
    fn verify(&self, secret: &LowEntropySecret, stored: &PasswordHash) -> bool {
        self.count();
        let secret = secret.0.as_bytes();
        Argon2::default().verify_password(secret, stored).is_ok()
    }

    fn count(&self) {
        #[cfg(test)]
        self.runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}
