//! Which thresholds were told.

use std::fmt::Debug;

use async_trait::async_trait;

use super::BillingStoreError;
use crate::threshold::ThresholdKey;

/// Remembers which thresholds were crossed, each once.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::{
///     billing::{MemoryBilling, ThresholdStore as _},
///     threshold::{ThresholdKey, Thresholds},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (billing, acme, month) = (MemoryBilling::new(), TenantId::new(), Timestamp::from_unix_seconds(1_798_761_600));
/// let thresholds = Thresholds::default();
/// let crossed = thresholds.crossed(0.into(), 85.into(), 100.into());
/// let keys: Vec<_> = crossed.map(|percent| ThresholdKey::new(acme, "tokens", month, percent)).collect();
/// assert_eq!(billing.cross(&keys).await?, keys);
/// assert!(billing.cross(&keys).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait ThresholdStore: Send + Sync + Debug {
    /// Which of these are new, in their order; one that is given twice is new once. Whoever asks again, and in whichever process,
    /// is told none of them.
    ///
    /// A store with an outbox writes the event `usage.threshold-crossed` for each new one in the same transaction. The answer may get
    /// lost, and the event does not: tell people by the event.
    ///
    /// # Errors
    /// A [`BillingStoreError`]; none of the keys is remembered, but for
    /// [`Unavailable`](super::BillingStoreErrorKind::Unavailable).
    async fn cross(&self, keys: &[ThresholdKey]) -> Result<Vec<ThresholdKey>, BillingStoreError>;
}
