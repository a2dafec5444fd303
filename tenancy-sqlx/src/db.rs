//! The database as one tenant sees it: a pool and a context, and nothing acquired until it is used.

use std::fmt;

use tenancy_core::TenantContext;

use crate::{Error, RetryPolicy, Retryable, TenantPool, TenantTx, TxOptions};

/// The database as one tenant sees it.
///
/// `&TenantDb` is an sqlx `Executor`, so that a query keeps its form: `.fetch_all(&pool)` becomes
/// `.fetch_all(&db)`. Each statement runs in a transaction of its own, which is committed when the
/// statement has ended; with [`autocommit_writes`](crate::TenantPoolOptions::autocommit_writes), a
/// plain one is committed before its answer arrives. Several statements that belong together go into [`begin`](Self::begin) or
/// [`with`](Self::with).
///
/// Holds no connection between statements; cheap to clone, `Send + 'static`. Statements through
/// clones or shared references run in parallel, each on a connection of its own.
///
/// A stream from [`fetch`](sqlx::Executor::fetch) that is dropped before its end rolls its
/// statement back, but for a plain one in autocommit.
///
/// ```no_run
/// # use tenancy_sqlx::TenantDb;
/// # async fn example(db: TenantDb) -> Result<(), sqlx::Error> {
/// sqlx::query("INSERT INTO notes (body) VALUES ($1)").bind("hello").execute(&db).await?;
/// let bodies: Vec<String> =
///     sqlx::query_scalar("SELECT body FROM notes").fetch_all(&db.reader()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TenantDb {
    pool: TenantPool,
    context: TenantContext,
}

impl TenantDb {
    pub(crate) fn new(pool: TenantPool, context: TenantContext) -> Self {
        Self { pool, context }
    }

    /// The context whose tenant this is.
    #[must_use]
    pub fn context(&self) -> &TenantContext {
        &self.context
    }

    /// The pool underneath.
    #[must_use]
    pub fn pool(&self) -> &TenantPool {
        &self.pool
    }

    /// The same database for reading: a plain read takes two round trips or one, by the
    /// [mode](crate::SessionMode), and writes are refused. Where there are [replicas](crate::TenantPoolOptions::replica), they are read.
    #[must_use]
    pub fn reader(&self) -> TenantReader {
        TenantReader {
            db: self.clone(),
            primary: false,
        }
    }

    /// Begins a transaction, read and write.
    ///
    /// # Errors
    /// As [`TenantPool::begin`].
    pub async fn begin(&self) -> Result<TenantTx, Error> {
        self.pool.begin(&self.context).await
    }

    /// Begins a read-only transaction, which need not be committed.
    ///
    /// # Errors
    /// As [`TenantPool::begin`].
    pub async fn read(&self) -> Result<TenantTx, Error> {
        self.pool.read(&self.context).await
    }

    /// Begins a transaction with options.
    ///
    /// # Errors
    /// As [`TenantPool::begin`].
    pub async fn begin_with(&self, options: TxOptions) -> Result<TenantTx, Error> {
        self.pool.begin_with(&self.context, options).await
    }

    /// Runs a closure in a transaction, and commits if it returns `Ok`.
    ///
    /// # Errors
    /// As [`TenantPool::with`].
    pub async fn with<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut TenantTx) -> Result<T, E>,
        E: From<Error>,
    {
        self.pool.with(&self.context, work).await
    }

    /// Runs a closure in a transaction, and again if it lost against a concurrent one.
    ///
    /// # Errors
    /// As [`TenantPool::with_retry`].
    pub async fn with_retry<T, E, F>(&self, policy: RetryPolicy, work: F) -> Result<T, E>
    where
        F: AsyncFnMut(&mut TenantTx) -> Result<T, E>,
        E: From<Error> + Retryable,
    {
        self.pool.with_retry(&self.context, policy, work).await
    }
}

impl fmt::Debug for TenantDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantDb")
            .field("tenant", &self.context.tenant_id())
            .finish_non_exhaustive()
    }
}

/// The database as one tenant may read it; `&TenantReader` is an sqlx `Executor`.
///
/// ```no_run
/// use tenancy_sqlx::TenantDb;
///
/// async fn bodies(db: &TenantDb) -> Result<Vec<String>, sqlx::Error> {
///     // One or two round trips, and no WHERE.
///     sqlx::query_scalar("SELECT body FROM notes").fetch_all(&db.reader()).await
/// }
///
/// async fn balance(db: &TenantDb) -> Result<i64, sqlx::Error> {
///     // Of no replica.
///     sqlx::query_scalar("SELECT balance FROM accounts").fetch_one(&db.reader().primary()).await
/// }
/// ```
#[derive(Clone)]
pub struct TenantReader {
    db: TenantDb,
    primary: bool,
}

impl TenantReader {
    /// The same, on the primary and on no [replica](crate::TenantPoolOptions::replica): for reads
    /// that must see what others have just written.
    #[must_use]
    pub fn primary(&self) -> Self {
        Self {
            db: self.db.clone(),
            primary: true,
        }
    }

    pub(crate) const fn is_of_primary(&self) -> bool {
        self.primary
    }

    pub(crate) fn db(&self) -> &TenantDb {
        &self.db
    }
}

impl fmt::Debug for TenantReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantReader")
            .field("tenant", &self.db.context.tenant_id())
            .finish_non_exhaustive()
    }
}
