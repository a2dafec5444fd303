//! The hasher of secrets of low entropy: slow by design, and bounded.

use std::{num::NonZeroUsize, sync::Arc, thread};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{LowEntropySecret, SecretError, SecretErrorKind, stored};

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
            #[cfg(any(test, feature = "testing"))]
            parallelism: running.into(),
        }
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
        self.run(move || hashed(&secret)).await
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
        let Some(stored) = stored else {
            return self.run(move || hashed(&secret).map(|_| false)).await;
        };
        let stored = stored::read(stored)?;
        self.run(move || {
            let secret = secret.0.as_bytes();
            Ok(Argon2::default().verify_password(secret, &stored).is_ok())
        })
        .await
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

fn hashed(secret: &LowEntropySecret) -> Result<String, SecretError> {
    let hash = Argon2::default().hash_password(secret.0.as_bytes());
    Ok(hash.map_err(|_| SecretErrorKind::Failed)?.to_string())
}
