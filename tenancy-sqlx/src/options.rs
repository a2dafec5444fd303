//! How transactions are begun: isolation, access, limits.

use std::time::Duration;

/// The isolation level of a transaction (PostgreSQL manual, §13.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what was committed before it. PostgreSQL's default, and ours.
    #[default]
    ReadCommitted,
    /// The whole transaction sees one snapshot.
    RepeatableRead,
    /// As if transactions ran one after another; use it with
    /// [`with_retry`](crate::TenantPool::with_retry).
    Serializable,
}

/// How one transaction is begun. Travels in the round trip of BEGIN; costs nothing.
///
/// ```
/// use tenancy_sqlx::{Isolation, TxOptions};
///
/// let report = TxOptions::new().read_only().isolation(Isolation::RepeatableRead);
/// # let _ = report;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TxOptions {
    pub(crate) isolation: Isolation,
    pub(crate) read_only: bool,
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) strict: Option<bool>,
}

impl TxOptions {
    /// Read committed, read and write, the pool's limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the isolation level.
    pub fn isolation(mut self, level: Isolation) -> Self {
        self.isolation = level;
        self
    }

    /// Refuses writes. Such a transaction may be dropped instead of committed, which saves a round
    /// trip (unless it is serializable, whose reads count only after a commit).
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Limits each statement of this transaction. Default: the pool's limit.
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = Some(limit);
        self
    }

    /// Whether BEGIN fails if the tenant has changed since the context was made, so that a
    /// suspension holds from the next transaction on. Default: the pool's setting.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = Some(strict);
        self
    }
}

/// The limits of every transaction of a pool; `None` leaves the server's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) statement: Option<Duration>,
    pub(crate) lock: Option<Duration>,
    pub(crate) idle_in_transaction: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            statement: Some(Duration::from_secs(30)),
            lock: Some(Duration::from_secs(10)),
            idle_in_transaction: Some(Duration::from_secs(60)),
        }
    }
}
