//! The pool that takes `PgPool`'s place.

mod builder;
mod retry;
mod sessions;
mod share;
mod stats;

use std::{fmt, sync::Arc};

pub use builder::TenantPoolOptions;
pub use retry::RetryPolicy;
pub use share::Share;
pub use stats::{PoolStats, TenantLoad};

use sessions::Sessions;
use tenancy_core::{Tenancy, TenantContext};

use crate::{
    Error, ErrorKind, Retryable, TenantDb, TenantTx, TxConnection,
    connections::{Connections, Lane},
    options::{Isolation, SessionMode, Timeouts, TxOptions},
    replicas::{Replicas, WriteMark},
    schema::Finding,
    seal,
    self_check::Watch,
    session::{self, Access, Autocommit, Batch, Named, Naming, Open, Scope},
    statement_log::{Attribution, StatementLog},
    tx::Proof,
};

/// A connection pool that is used through a tenant's context only.
///
/// It does not deref to `PgPool` and is no `Executor`: every statement runs in a transaction or a
/// session that names its tenant. Cheap to clone.
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
/// free of it altogether: one by default, so that a tenant whose transactions do nothing does not keep
/// another waiting. [`plan_share`](TenantPoolOptions::plan_share) gives tenants of a plan longer turns
/// or another limit. A caller who waits for the whole acquire timeout is refused with [`ErrorKind::Busy`], and
/// told when to come again. [`ready`](Self::ready) and [`findings`](Self::findings) do not queue
/// behind tenants. [`stats`](Self::stats) tells who waits.
///
/// # Outages
/// A connection is tried to be opened for the whole acquire timeout. The first caller for whom that is
/// in vain waits so long; after it, callers fail at once with [`ErrorKind::Unavailable`], and one
/// of them at a time, about twice a second, finds out whether the database is back. A pool all of
/// whose connections are lent is busy, which is something else: its callers wait, and fail with
/// [`ErrorKind::Busy`].
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
    pub(crate) allowances: share::Allowances,
    pub(crate) timeouts: Timeouts,
    pub(crate) strict: bool,
    pub(crate) check_at_commit: bool,
    pub(crate) sessions: Sessions,
    pub(crate) replicas: Option<Arc<Replicas>>,
    pub(crate) log: Option<StatementLog>,
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
    /// [`ErrorKind::WrongEngine`], [`ErrorKind::Unavailable`], [`ErrorKind::Busy`], or what the
    /// database says.
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
        if let Some(open) = self.begin_on_replica(context, &options).await {
            return self.begun(context, &options, Ok(open));
        }
        let batch = self.begin_batch(context, &options);
        let begun = session::begin_for(&self.inner.pool, self.lane(context), batch).await;
        self.begun(context, &options, begun)
    }

    /// A transaction on a replica for one statement of a reader's, if one may be read.
    pub(crate) async fn read_on_replica(
        &self,
        context: &TenantContext,
    ) -> Result<Option<Open>, Error> {
        self.check_engine(context)?;
        let options = TxOptions::new().read_only();
        Ok(self.begin_on_replica(context, &options).await)
    }

    /// Not for a serializable transaction, which no standby runs, nor for a strict one: what a standby
    /// says of a tenant may be out of date.
    async fn begin_on_replica(&self, context: &TenantContext, options: &TxOptions) -> Option<Open> {
        let replicas = self.inner.replicas.as_ref()?;
        let may = options.read_only
            && !options.primary
            && !self.is_strict(options)
            && options.isolation != Isolation::Serializable;
        if !may {
            return None;
        }
        let batch = self.begin_batch(context, options);
        let lane = self.lane(context);
        replicas.begin(lane, context.tenant_id(), batch).await
    }

    /// Rolls back a transaction that met a stale plan, and begins another on its connection, which
    /// prepares its statements anew.
    ///
    /// The connection is of the primary, unless the transaction may run on a replica; then another is
    /// taken, of the primary.
    pub(crate) async fn begin_again(
        &self,
        tx: TenantTx,
        options: &TxOptions,
    ) -> Result<TenantTx, Error> {
        let context = tx.context().clone();
        if self.inner.replicas.is_some() && options.read_only && !options.primary {
            drop(tx);
            return self.begin_with(&context, options.clone().primary()).await;
        }
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

    /// Whether a statement is plain, as far as its text tells.
    pub(crate) fn is_plain(&self, sql: &str) -> bool {
        self.inner.sessions.is_plain(sql)
    }

    /// A connection for a plain statement, where those run in autocommit. `trusts` says whether one may
    /// be used that has not been asked first.
    pub(crate) async fn autocommit(
        &self,
        context: &TenantContext,
        access: Access,
        trusts: bool,
    ) -> Result<Option<Autocommit>, Error> {
        let Inner { pool, timeouts, .. } = &*self.inner;
        let Some(mode) = self.inner.sessions.autocommit(access) else {
            return Ok(None);
        };
        self.check_engine(context)?;
        let naming = Naming {
            named: Named {
                scope: scope(context),
                access,
            },
            timeouts,
            strict: self.inner.strict.then_some(context),
            pins: mode == SessionMode::Pinned && trusts && !self.inner.strict,
        };
        let taken = Autocommit::take(pool, self.lane(context), naming).await;
        self.notice(context, taken).map(Some)
    }

    /// Has the next request of a tenant ask the directory instead of the caches, where the database
    /// has said that the tenant has changed.
    fn notice<T>(&self, context: &TenantContext, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::TenantChanged
        {
            self.inner.engine.invalidate(context.tenant_id());
        }
        outcome
    }

    /// Where a tenant waits, and what it may have by its plan.
    fn lane(&self, context: &TenantContext) -> Lane {
        Lane {
            tenant: Some(context.tenant_id()),
            allowance: self.inner.allowances.of(context.record()),
        }
    }

    fn begin_batch(&self, context: &TenantContext, options: &TxOptions) -> Batch {
        let strict = self.is_strict(options).then_some(context);
        scope(context).begin_batch(strict, options, &self.inner.timeouts)
    }

    fn is_strict(&self, options: &TxOptions) -> bool {
        options.strict.unwrap_or(self.inner.strict)
    }

    fn begun(
        &self,
        context: &TenantContext,
        options: &TxOptions,
        begun: Result<Open, Error>,
    ) -> Result<TenantTx, Error> {
        let open = self.notice(context, begun)?;
        let scope = scope(context);
        let is_sample = self.inner.pool.count_transaction();
        let proof = if self.inner.check_at_commit && !options.read_only {
            Proof::Tenant
        } else if is_sample {
            Proof::Setting
        } else {
            Proof::None
        };
        let replicas = self.inner.replicas.as_ref();
        let writing = replicas
            .filter(|_| !options.read_only)
            .map(|replicas| replicas.writing(scope.tenant));
        let connection = TxConnection::new(open, self.attribution(context));
        let context = context.clone();
        Ok(TenantTx::new(connection, context, scope, proof, writing))
    }

    /// Whose statements they are, where there is a log.
    pub(crate) fn attribution(&self, context: &TenantContext) -> Option<Attribution> {
        let log = self.inner.log.as_ref()?;
        Some(Attribution::tenant(log, context))
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
        let mut options = policy.options.clone();
        let mut stale = None;
        loop {
            let mut tx = match stale.take() {
                Some(tx) => self.begin_again(tx, &options).await?,
                None => self.begin_with(context, options.clone()).await?,
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
            // A replica that interrupts a read once, to go on replaying, may do so again.
            options = options.primary();
        }
    }

    /// Whether the database answers, and still keeps tenants apart; for a readiness check.
    ///
    /// The check of the start is repeated at most once a minute, by the engine's clock. A table that
    /// maintenance opens later, such as a new partition with grants of its own, is so named within a
    /// minute, and one that was mended counts as mended within a minute. So are sessions that were
    /// [sealed](crate::schema#sealed-sessions) or unsealed since the start, and a key that was retired. What
    /// is found is logged once, with its mend. A [statement log](TenantPoolOptions::statement_log) learns then which tables
    /// are protected.
    ///
    /// # Errors
    /// [`ErrorKind::Unguarded`] with the findings in its text, [`ErrorKind::Seal`], [`ErrorKind::Unavailable`], or what the
    /// database says.
    pub async fn ready(&self) -> Result<(), Error> {
        let now = self.inner.engine.clock().now();
        let watch = &self.inner.watch;
        let known = watch.verdict(now);
        // One connection after the other, for there may be one.
        let seal = match known {
            Some(_) => None,
            None => seal::fault(&self.inner.pool).await?,
        };
        let mut asking = self.begin_asking().await?;
        let verdict = match known {
            Some(known) => known,
            None => {
                let verdict = watch.found(now, seal, &watch.read(&mut asking).await?);
                if let Some(log) = &self.inner.log
                    && let Err(error) = log.learn(&mut asking).await
                {
                    // It goes on with what it knows.
                    tracing::warn!(%error, "the statement log can't ask which tables are protected");
                    return verdict;
                }
                verdict
            }
        };
        asking.give_back();
        verdict
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
        let replicas = self.inner.replicas.as_ref();
        let replicas = replicas.map(|replicas| replicas.stats());
        PoolStats::of(&self.inner.pool, replicas.unwrap_or_default())
    }

    /// What a replica must have replayed to show the context's tenant all that it has written through
    /// this pool; `None` for a pool without [replicas](TenantPoolOptions::replica).
    ///
    /// Hand it to another process, in a response and the next request say, whose pool then
    /// [takes note of it](Self::note_write). Take it after the commit.
    ///
    /// # Errors
    /// [`ErrorKind::WrongEngine`].
    pub fn last_write(&self, context: &TenantContext) -> Result<Option<WriteMark>, Error> {
        self.check_engine(context)?;
        let replicas = self.inner.replicas.as_ref();
        Ok(replicas.map(|replicas| replicas.last_write(context.tenant_id())))
    }

    /// Takes note of what the context's tenant has written through another process's pool: a replica
    /// that has not replayed it is not read for the tenant. Does nothing in a pool without
    /// [replicas](TenantPoolOptions::replica).
    ///
    /// # Errors
    /// [`ErrorKind::WrongEngine`].
    ///
    /// # Security
    /// A mark that a client has made up has the tenant's reads go to the primary for a second or two, and
    /// does nothing else.
    pub fn note_write(&self, context: &TenantContext, mark: WriteMark) -> Result<(), Error> {
        self.check_engine(context)?;
        if let Some(replicas) = &self.inner.replicas {
            replicas.note_write(context.tenant_id(), mark);
        }
        Ok(())
    }

    /// Waits for all connections to come back, and closes them. Callers who wait for one are refused.
    pub async fn close(&self) {
        if let Some(replicas) = &self.inner.replicas {
            replicas.close().await;
        }
        self.inner.pool.close().await;
    }

    /// The log that sees the statements of this pool, if it was given one.
    #[must_use]
    pub fn statement_log(&self) -> Option<&StatementLog> {
        self.inner.log.as_ref()
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
