//! Secrets of low entropy: chosen by people, or imported from another system.

use std::{fmt, num::NonZeroUsize, sync::Arc, thread};

use argon2::{
    Algorithm, Argon2, Params,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::{Refusal, RefusalKind};

/// A secret that might be guessed: hashed slowly, and never as a key is.
///
/// A type of its own, so that neither lands in the other's hasher. Erased from memory when dropped;
/// `Debug` shows nothing of it.
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
}

impl fmt::Debug for LowEntropySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LowEntropySecret(redacted)")
    }
}

/// Why a secret was not hashed or verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretErrorKind {
    /// The secret is empty or too long.
    Length,
    /// Too many are waiting: try again later.
    Busy,
    /// The stored hash is not Argon2id, or costs more than is allowed.
    Stored,
    /// The machine did not do it.
    Failed,
}

/// A secret that was not hashed or verified. Says nothing about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", match kind {
    SecretErrorKind::Length => "a secret is 1 to 1,024 bytes long",
    SecretErrorKind::Busy => "too many secrets are being hashed; try again later",
    SecretErrorKind::Stored => "the stored hash is not Argon2id within the allowed cost",
    SecretErrorKind::Failed => "the secret could not be hashed",
})]
pub struct SecretError {
    kind: SecretErrorKind,
}

impl SecretError {
    /// Why.
    #[must_use]
    pub const fn kind(&self) -> SecretErrorKind {
        self.kind
    }
}

impl From<SecretErrorKind> for SecretError {
    fn from(kind: SecretErrorKind) -> Self {
        Self { kind }
    }
}

/// What to answer a request whose secret could not be looked at: 401 for one that can't be right,
/// 503 with a time to wait where too many wait, else 500.
impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        match error.kind {
            SecretErrorKind::Length => Self::new(RefusalKind::Unauthenticated, "secret-length"),
            SecretErrorKind::Busy => Self::new(RefusalKind::Unavailable, "secret-hasher-busy"),
            SecretErrorKind::Stored => Self::new(RefusalKind::Internal, "secret-hash-unusable"),
            SecretErrorKind::Failed => Self::new(RefusalKind::Internal, "secret-hasher-failed"),
        }
    }
}

/// The hasher of secrets of low entropy: Argon2id (RFC 9106) with 19 MiB, two passes, one lane, as
/// the OWASP cheat sheet on password storage has it. Hashes are PHC strings.
///
/// One hash takes about 10 ms of a core. At most as many run at once as there are cores, four times
/// as many wait, and whoever comes then is told to come again: no flood of logins takes more memory
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
    pub(super) running: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// The most memory a stored hash may ask for, in KiB.
const MAX_MEMORY: u32 = 64 * 1024;

/// The most passes a stored hash may ask for.
const MAX_PASSES: u32 = 10;

/// The most lanes a stored hash may ask for.
const MAX_LANES: u32 = 4;

/// The longest stored hash that is read, in bytes.
const MAX_STORED: usize = 512;

/// How many wait for each that runs.
const WAITING: usize = 4;

impl SecretHasher {
    /// As many hashes at once as there are cores.
    pub fn new() -> Self {
        Self::with_parallelism(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// So many hashes at once.
    pub fn with_parallelism(running: NonZeroUsize) -> Self {
        let running = running.get().min(1024);
        Self {
            running: Arc::new(Semaphore::new(running)),
            places: Arc::new(Semaphore::new(running * (1 + WAITING))),
        }
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
        let stored = read(stored)?;
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

/// Reads a stored hash, if verifying it costs no more than it may.
fn read(stored: &str) -> Result<PasswordHash, SecretError> {
    let unusable = SecretErrorKind::Stored;
    if stored.len() > MAX_STORED {
        return Err(unusable.into());
    }
    let hash = PasswordHash::new(stored).map_err(|_| unusable)?;
    let params = Params::try_from(&hash).map_err(|_| unusable)?;
    let affordable = params.m_cost() <= MAX_MEMORY
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES;
    let complete = hash.salt.is_some() && hash.hash.is_some_and(|output| output.len() >= 16);
    let argon2id = hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(19);
    if affordable && complete && argon2id {
        Ok(hash)
    } else {
        Err(unusable.into())
    }
}
