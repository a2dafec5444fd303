//! The pool that takes `PgPool`'s place.

mod builder;
mod retry;
mod stats;

use std::{fmt, sync::Arc};

pub use builder::TenantPoolOptions;
pub use retry::RetryPolicy;
pub use stats::{PoolStats, TenantLoad};

use tenancy_core::{Tenancy, TenantContext};

use crate::{
    Error, ErrorKind, Retryable, TenantDb, TenantTx,
    connections::{Connections, Lane},
    options::{Timeouts, TxOptions},
    plain::is_plain_read,
    schema::Finding,
    self_check::Watch,
    session::{self, Batch, Open, Scope, Switched},
};

/// A connection pool that is used through a tenant's context only.
///
/// It does not deref to `PgPool` and is no `Executor`: every statement runs in a transaction that
/// names its tenant. Cheap to clone.
///
/// ```no_run
/// # use tenancy_core::{Tenancy, TenantContext};
/// use tenancy_sqlx::TenantPool;
///
/// # async fn example(tenancy: &Tenancy, context: &TenantContext) -> Result<(), Box<dyn std::error::Error>> {
/// let pool = TenantPool::connect("postgres://tenancy_app@localhost/notes", tenancy).await?;
///
/// let count: i64 = pool
///     .with(context, async |tx| {
///         sqlx::query("INSERT INTO notes (body) VALUES ('hello')").execute(&mut **tx).await?;
///         let count = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut **tx).await?;
///         Ok::<i64, tenancy_sqlx::Error>(count)
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Turns
/// Where all connections are in use, callers wait by tenant, and turns go round by tenant: a few of
/// one ([`turn_length`](TenantPoolOptions::turn_length)), then the next. A tenant with a hundred
/// callers keeps another's single statement waiting for one turn, and not for a hundred.
/// [`max_connections_per_tenant`](TenantPoolOptions::max_connections_per_tenant) keeps connections
/// free of it altogether. [`ready`](Self::ready) and [`findings`](Self::findings) do not queue
/// behind tenants. [`stats`](Self::stats) tells who waits.
///
/// # Outages
/// A connection is tried to be opened for the whole acquire timeout. The first caller for whom that is
/// in vain waits so long; after it, callers fail at once with [`ErrorKind::Unavailable`], and one
/// of them at a time, about twice a second, finds out whether the database is back. A pool all of
/// whose connections are lent is busy, which is something else: its callers wait.
///
/// # Runtime
/// Make it in the tokio runtime that outlives the server, before workers start: connections are
/// opened in the runtime that made the pool, whichever one uses them, so that a worker that ends
/// breaks none that others use. In tests, make one per test. A runtime that goes on and that nobody
/// drives, such as a `current_thread` one after its `block_on`, opens no connection.
///
/// There is no way to the connections underneath:
///
/// ```compile_fail
/// # fn example(pool: &tenancy_sqlx::TenantPool) {
/// let raw: &sqlx::PgPool = &**pool;
/// # }
/// ```
#[derive(Clone)]
pub struct TenantPool {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pool: Connections,
    pub(crate) watch: Watch,
    pub(crate) engine: Tenancy,
    pub(crate) timeouts: Timeouts,
    pub(crate) strict: bool,
    pub(crate) check_at_commit: bool,
    /// Whether plain reads run without a transaction.
    pub(crate) switches: bool,
}

impl TenantPool {
    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Connects with default options; see [`TenantPoolOptions`].
    ///
    /// # Errors
    /// A [`StartError`](crate::StartError) if the database is out of reach, the schema is not
    /// installed, or the login could get past row security.
    pub async fn connect(url: &str, tenancy: &Tenancy) -> Result<Self, crate::StartError> {
        TenantPoolOptions::new().connect(url, tenancy).await
    }

    /// The database as one tenant sees it, to be used like a `&PgPool`.
    ///
    /// # Errors
    /// [`ErrorKind::WrongEngine`] if the context was made by another engine.
    pub fn tenant(&self, context: &TenantContext) -> Result<TenantDb, Error> {
        self.check_engine(context)?;
        Ok(TenantDb::new(self.clone(), context.clone()))
    }

    /// Begins a transaction for a tenant, read and write.
    ///
    /// Safe to cancel at any point: a connection whose BEGIN was under way is closed, and never
    /// lent again.
    ///
    /// # Errors
    /// [`ErrorKind::WrongEngine`], [`ErrorKind::Unavailable`], or what the database says.
    pub async fn begin(&self, context: &TenantContext) -> Result<TenantTx, Error> {
        self.begin_with(context, TxOptions::new()).await
    }

    /// Begins a read-only transaction for a tenant. It need not be committed.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn read(&self, context: &TenantContext) -> Result<TenantTx, Error> {
        self.begin_with(context, TxOptions::new().read_only()).await
    }

    /// Begins a transaction for a tenant.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn begin_with(
        &self,
        context: &TenantContext,
        options: TxOptions,
    ) -> Result<TenantTx, Error> {
        self.check_engine(context)?;
        let batch = self.begin_batch(context, &options);
        let lane = Lane::Tenant(context.tenant_id());
        let begun = session::begin_for(&self.inner.pool, lane, batch).await;
        self.begun(context, &options, begun)
    }

    /// Rolls back a transaction that met a stale plan, and begins another on its connection, which
    /// prepares its statements anew.
    pub(crate) async fn begin_again(
        &self,
        tx: TenantTx,
        options: &TxOptions,
    ) -> Result<TenantTx, Error> {
        let context = tx.context().clone();
        let ahead = self.inner.pool.before_begin();
        let batch = self.begin_batch(&context, options);
        let limit = self.inner.pool.patience();
        let begun = tx.into_open().begin_again(ahead, batch);
        let begun = match tokio::time::timeout(limit, begun).await {
            Ok(begun) => begun.map_err(Error::from),
            Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
        };
        self.begun(&context, options, begun)
    }

    /// A connection for a plain read of a reader's, where those run without a transaction.
    pub(crate) async fn switched(
        &self,
        context: &TenantContext,
        sql: &str,
    ) -> Result<Option<Switched>, Error> {
        if !self.inner.switches || !is_plain_read(sql) {
            return Ok(None);
        }
        self.check_engine(context)?;
        let Inner { pool, timeouts, .. } = &*self.inner;
        Ok(Some(Switched::take(pool, scope(context), timeouts).await?))
    }

    fn begin_batch(&self, context: &TenantContext, options: &TxOptions) -> Batch {
        let strict = options.strict.unwrap_or(self.inner.strict);
        scope(context).begin_batch(strict.then_some(context), options, &self.inner.timeouts)
    }

    fn begun(
        &self,
        context: &TenantContext,
        options: &TxOptions,
        begun: Result<Open, Error>,
    ) -> Result<TenantTx, Error> {
        let scope = scope(context);
        if let Err(error) = &begun
            && error.kind() == ErrorKind::TenantChanged
        {
            // The next request of this tenant asks the directory instead of the caches.
            self.inner.engine.invalidate(scope.tenant);
        }
        let check = self.inner.check_at_commit && !options.read_only;
        Ok(TenantTx::new(begun?, context.clone(), scope, check))
    }

    /// Runs a closure in a transaction, and commits if it returns `Ok`.
    ///
    /// # Errors
    /// The closure's error, after a rollback, or an error of beginning or committing:
    /// [`ErrorKind::TransactionFailed`] if the closure has ignored the error of a statement.
    pub async fn with<T, E, F>(&self, context: &TenantContext, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut TenantTx) -> Result<T, E>,
        E: From<Error>,
    {
        let mut tx = self.begin(context).await?;
        let value = work(&mut tx).await?;
        tx.commit().await?;
        Ok(value)
    }

    /// Runs a closure in a transaction, commits if it returns `Ok`, and runs it again if the
    /// transaction lost against a concurrent one.
    ///
    /// [`RetryPolicy::new`] is serializable: this is where an application asks for that level. To
    /// have only deadlocks tried again, give the policy other [options](RetryPolicy::options).
    ///
    /// The closure may run several times: it must do nothing outside the transaction that a
    /// rollback does not undo.
    ///
    /// # Errors
    /// The closure's last error, after a rollback, or an error of beginning or committing.
    pub async fn with_retry<T, E, F>(
        &self,
        context: &TenantContext,
        policy: RetryPolicy,
        mut work: F,
    ) -> Result<T, E>
    where
        F: AsyncFnMut(&mut TenantTx) -> Result<T, E>,
        E: From<Error> + Retryable,
    {
        let mut retries = policy.start();
        let mut stale = None;
        loop {
            let mut tx = match stale.take() {
                Some(tx) => self.begin_again(tx, &policy.options).await?,
                None => self.begin_with(context, policy.options.clone()).await?,
            };
            let outcome = match work(&mut tx).await {
                Ok(value) => match tx.commit().await {
                    Ok(()) => return Ok(value),
                    Err(error) => E::from(error),
                },
                Err(error) if error.is_stale_plan() => {
                    stale = Some(tx);
                    error
                }
                Err(error) => {
                    drop(tx);
                    error
                }
            };
            let again = match stale {
                Some(_) => retries.next(),
                None => outcome.is_serialization_failure() && retries.wait().await,
            };
            if !again {
                return Err(outcome);
            }
        }
    }

    /// Whether the database answers, and still keeps tenants apart; for a readiness check.
    ///
    /// The check of the start is repeated at most once a minute, by the engine's clock. A table that
    /// maintenance opens later, such as a new partition with grants of its own, is so named within a
    /// minute, and one that was mended counts as mended within a minute.
    ///
    /// # Errors
    /// [`ErrorKind::Unguarded`] with the findings in its text, [`ErrorKind::Unavailable`], or what the
    /// database says.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut asking = self.begin_asking().await?;
        let now = self.inner.engine.clock().now();
        self.inner.watch.check(&mut asking, now).await?;
        asking.give_back();
        Ok(())
    }

    /// Begins a transaction that asks about the database and not for a tenant's rows.
    async fn begin_asking(&self) -> Result<Open, Error> {
        let batch = session::nobodys_batch("BEGIN READ ONLY", &Timeouts::LOOK_UP);
        session::begin(&self.inner.pool, batch).await
    }

    /// What the check of the start finds now, errors and warnings; for a test of the schema in CI.
    ///
    /// ```no_run
    /// # async fn example(pool: &tenancy_sqlx::TenantPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let findings = pool.findings().await?;
    /// for finding in &findings {
    ///     println!("{finding}");
    /// }
    /// assert!(findings.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], or what the database says.
    pub async fn findings(&self) -> Result<Vec<Finding>, Error> {
        let mut asking = self.begin_asking().await?;
        let findings = self.inner.watch.read(&mut asking).await?;
        asking.give_back();
        Ok(findings)
    }

    /// How busy the pool is, and with which tenants; for a metric or a line in the log.
    ///
    /// Looks at each tenant that waits or uses a connection: ask once in a few seconds.
    ///
    /// ```no_run
    /// # fn example(pool: &tenancy_sqlx::TenantPool) {
    /// let stats = pool.stats();
    /// println!("{} of {} in use, {} waiting", stats.in_use, stats.size, stats.waiting);
    /// for load in &stats.busiest {
    ///     println!("{}: {} in use, {} waiting", load.tenant, load.in_use, load.waiting);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        PoolStats::of(&self.inner.pool)
    }

    /// Waits for all connections to come back, and closes them. Whoever waits for one is refused.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    /// The engine whose contexts this pool takes.
    #[must_use]
    pub fn tenancy(&self) -> &Tenancy {
        &self.inner.engine
    }

    fn check_engine(&self, context: &TenantContext) -> Result<(), Error> {
        if self.inner.engine.is(context.tenancy()) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::WrongEngine))
        }
    }
}

fn scope(context: &TenantContext) -> Scope {
    Scope {
        tenant: context.tenant_id(),
        project: context.project_id(),
    }
}

impl fmt::Debug for TenantPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantPool")
            .field("size", &self.inner.pool.size())
            .field("idle", &self.inner.pool.idle())
            .field("through", &self.inner.pool.through())
            .finish_non_exhaustive()
    }
}
