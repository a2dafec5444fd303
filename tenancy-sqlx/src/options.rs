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

/// How a pool runs plain statements: those of a [`TenantReader`](crate::TenantReader), and those of
/// a [`TenantDb`](crate::TenantDb) where
/// [`autocommit_writes`](crate::TenantPoolOptions::autocommit_writes) says so.
///
/// A plain statement is one `SELECT`, `WITH`, `VALUES`, `TABLE`, `INSERT`, `UPDATE`, `DELETE` or
/// `MERGE` whose text shows nothing that uses or changes the session: no `INTO` of a new table, no
/// `set_config`, no advisory lock, no function that the application
/// [lists](crate::TenantPoolOptions::session_functions). Whatever else there is runs in a
/// transaction, and so does everything behind a transaction pooler.
///
/// ```
/// use tenancy_sqlx::{SessionMode, TenantPoolOptions};
///
/// let options = TenantPoolOptions::new().sessions(SessionMode::Transaction);
/// # drop(options);
/// ```
///
/// # Cancellation
/// In autocommit, the server commits a statement before its answer arrives. A call that is cancelled
/// or a stream that is dropped may have run to its end. That is no matter for reads, which is why only
/// they run so by default.
///
/// # Security
/// Row security decides which rows are shown, in each mode by the tenant that the session or the
/// transaction names. An idle session goes on naming the tenant of its last plain statement, and may
/// keep what a function has left that the statement called. It is freed of both before another tenant
/// or a transaction uses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionMode {
    /// Each statement in a transaction of its own. A read: BEGIN and the statement, two round trips;
    /// what ends it is sent after the caller has its answer. A write: COMMIT too, three.
    Transaction,
    /// A batch frees the session and names the tenant, then the statement runs in autocommit: two
    /// round trips, and nothing afterwards. Default where sessions are not
    /// [sealed](crate::TenantPoolOptions::seal_key).
    #[default]
    Switched,
    /// As `Switched`, but where a connection has named tenant, project and access less than half a
    /// second ago, the bare statement: one round trip. Default where sessions are [sealed](crate::TenantPoolOptions::seal_key).
    ///
    /// # Security
    /// Residue stays between statements of one tenant. A function that calls
    /// `set_config('tenancy.tenant_id', …, false)` inside a plain statement therefore changes the
    /// tenant of the statements after it, up to the next one of another tenant. With `Switched`, it
    /// does not, and where sessions are sealed, they see no rows. Elsewhere, choose it where no function
    /// does that and no SQL can be injected.
    Pinned,
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

    /// What the session has already.
    pub(crate) const NONE: Self = Self {
        statement: None,
        lock: None,
        idle_in_transaction: None,
    };

    /// The limits as a session's settings.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let limits = [
            ("statement_timeout", self.statement),
            ("lock_timeout", self.lock),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction,
            ),
        ];
        let given = |(name, limit): (_, Option<Duration>)| Some((name, millis(limit?).to_string()));
        limits.into_iter().filter_map(given)
    }

    /// Appends the settings to a `SELECT` that has a column already, for a transaction.
    pub(crate) fn push_settings(&self, sql: &mut String) {
        self.push(sql, true);
    }

    /// Appends the settings to a `SELECT` that has a column already.
    pub(crate) fn push(&self, sql: &mut String, is_local: bool) {
        for (name, limit) in self.parameters() {
            let _ = write!(sql, ", set_config('{name}', '{limit}', {is_local})");
        }
    }
}

/// Whole milliseconds, at least one: zero would switch a limit off.
pub(crate) fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}
