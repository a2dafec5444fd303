//! What an operator wants to know of remote keys.

use crate::Timestamp;

/// How [`RemoteKeys`](super::RemoteKeys) stand, for metrics and readiness.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Clock as _, SystemClock, jwt::RemoteKeys};
///
/// /// For a metric: how old the keys are, if there are any.
/// fn age(keys: &RemoteKeys) -> Option<Duration> {
///     let fetched_at = keys.status().fetched_at?;
///     Some(SystemClock.now().since(fetched_at))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteKeysStatus {
    /// How many keys are in use; 0 before the first success.
    pub keys: usize,
    /// When the set in use was asked for. Alert on its age: an issuer that does
    /// not answer is survived for [`stale_for`](super::RemoteKeysBuilder::stale_for), then nobody
    /// gets in.
    pub fetched_at: Option<Timestamp>,
    /// Whether the last fetch that ended failed.
    pub failing: bool,
    /// How many fetches have begun.
    pub fetches: u64,
    /// How many fetches have failed.
    pub failures: u64,
}
