//! What an operator wants to know of remote keys.

use crate::Timestamp;

/// How [`RemoteKeys`](super::RemoteKeys) stand, for metrics and readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteKeysStatus {
    /// How many keys are in use; 0 before the first success.
    pub keys: usize,
    /// When the set in use was asked for. The age of it is what to alert on: an issuer that does
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
