//! A hasher of secrets that is busy for as long as a test wants.

use tokio::sync::OwnedSemaphorePermit;

use crate::key::SecretHasher;

/// Keeps a [`SecretHasher`] and its clones busy until this is dropped: for tests of what a login
/// answers meanwhile.
///
/// ```
/// use tenancy_core::{
///     key::{LowEntropySecret, SecretErrorKind, SecretHasher},
///     testing::BusyHasher,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hasher = SecretHasher::new();
/// let busy = BusyHasher::full(&hasher).await;
/// let refused = hasher.hash(LowEntropySecret::new("hunter2")?).await;
/// assert_eq!(refused.unwrap_err().kind(), SecretErrorKind::Busy);
///
/// drop(busy);
/// assert!(hasher.hash(LowEntropySecret::new("hunter2")?).await.is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the hasher is free again when this is dropped"]
pub struct BusyHasher {
    _held: Option<OwnedSemaphorePermit>,
}

impl BusyHasher {
    /// Nothing is hashed: as many callers wait as may, and each further one is told to come again.
    /// Waits for what is hashed now.
    pub async fn stopped(hasher: &SecretHasher) -> Self {
        let _held = hasher.all_turns().await;
        Self { _held }
    }

    /// Every caller is told to come again. Waits for those that are waiting now.
    pub async fn full(hasher: &SecretHasher) -> Self {
        let _held = hasher.all_places().await;
        Self { _held }
    }
}
