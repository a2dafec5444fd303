//! How transactions are begun: isolation, access, limits.

use std::{fmt::Write as _, time::Duration};

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
    ///
    /// PostgreSQL notes what was read by page of an index, or by table, and not by row. So two
    /// tenants may abort each other (SQLSTATE 40001) although they share no row, in large tables
    /// too: their rows lie on the same pages, and the planner may prefer to read all of a table.
    /// Nothing is wrong then, and nothing of one tenant is shown to the other; the one that lost has
    /// to run again, which `with_retry` does. Choose this level for transactions that need it; no
    /// transaction has it by default.
    Serializable,
}

/// How a [`TenantReader`](crate::TenantReader) runs its statements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionMode {
    /// Each in a transaction of its own. Default.
    #[default]
    Transaction,
    /// A plain read – one `SELECT` whose text shows nothing that could use the session – without a
    /// transaction: the session is freed and named ahead of it, in one message, and nothing is sent
    /// afterwards. Two round trips in all; in a transaction, the session is freed by a third.
    ///
    /// Whatever else a reader runs goes through a transaction. So does everything in a
    /// [strict](crate::TenantPoolOptions::strict) pool and behind a pooler.
    ///
    /// # Security
    /// An idle session goes on naming the tenant of its last read. It is freed before anything else is
    /// done in it: by the batch that names the next tenant, or ahead of the next BEGIN.
    Switched,
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
    pub(crate) primary: bool,
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

    /// Has a read-only transaction run on the primary, and on no
    /// [replica](crate::TenantPoolOptions::replica): for reads that must see what others have just
    /// written.
    pub fn primary(mut self) -> Self {
        self.primary = true;
        self
    }
}

/// The limits of a transaction; `None` leaves the server's.
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

impl Timeouts {
    /// For reading the registry while a request waits, and for what may as well be tried later.
    pub(crate) const LOOK_UP: Self = Self {
        statement: Some(Duration::from_secs(5)),
        lock: Some(Duration::from_secs(3)),
        idle_in_transaction: Some(Duration::from_secs(60)),
    };

    /// For changing the registry: what stops a tenant should not wait, and many keys take a while.
    pub(crate) const CHANGE: Self = Self {
        statement: Some(Duration::from_secs(30)),
        lock: Some(Duration::from_secs(5)),
        idle_in_transaction: Some(Duration::from_secs(60)),
    };

    /// For reports of operators.
    pub(crate) const ACROSS_TENANTS: Self = Self {
        statement: Some(Duration::from_secs(300)),
        lock: Some(Duration::from_secs(5)),
        idle_in_transaction: Some(Duration::from_secs(600)),
    };

    /// Appends the settings to a `SELECT` that has a column already, for a transaction.
    pub(crate) fn push_settings(&self, sql: &mut String) {
        self.push(sql, true);
    }

    /// Appends the settings to a `SELECT` that has a column already.
    pub(crate) fn push(&self, sql: &mut String, is_local: bool) {
        for (name, limit) in [
            ("statement_timeout", self.statement),
            ("lock_timeout", self.lock),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction,
            ),
        ] {
            if let Some(limit) = limit {
                let limit = millis(limit);
                let _ = write!(sql, ", set_config('{name}', '{limit}', {is_local})");
            }
        }
    }
}

/// Whole milliseconds, at least one: zero would switch a limit off.
pub(crate) fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}
