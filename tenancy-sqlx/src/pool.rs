//! The pool that takes `PgPool`'s place.

mod builder;
mod retry;

use std::{fmt, sync::Arc};

pub use builder::TenantPoolOptions;
pub use retry::RetryPolicy;

use tenancy_core::{Tenancy, TenantContext};

use crate::{
    Error, ErrorKind, Retryable, TenantDb, TenantTx,
    connections::Connections,
    options::{Timeouts, TxOptions},
    session::{self, Scope},
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
    pub(crate) engine: Tenancy,
    pub(crate) timeouts: Timeouts,
    pub(crate) strict: bool,
    pub(crate) check_at_commit: bool,
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
        let strict = options.strict.unwrap_or(self.inner.strict);
        let scope = Scope {
            tenant: context.tenant_id(),
            project: context.project_id(),
        };
        let (pool, timeouts) = (&self.inner.pool, &self.inner.timeouts);
        let strict = strict.then_some(context);
        let begun = session::begin(pool, scope, strict, &options, timeouts).await;
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
    /// The closure's error, after a rollback, or an error of beginning or committing.
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
        loop {
            let mut tx = self.begin_with(context, policy.options.clone()).await?;
            let outcome = match work(&mut tx).await {
                Ok(value) => match tx.commit().await {
                    Ok(()) => return Ok(value),
                    Err(error) => E::from(error),
                },
                Err(error) => {
                    drop(tx);
                    error
                }
            };
            if !outcome.is_serialization_failure() || !retries.wait().await {
                return Err(outcome);
            }
        }
    }

    /// Whether the database answers; for a readiness check.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], or what the database says.
    pub async fn ready(&self) -> Result<(), Error> {
        session::begin_batch(&self.inner.pool, "BEGIN READ ONLY".into())
            .await
            .map(drop)
    }

    /// Waits for all connections to come back, and closes them.
    pub async fn close(&self) {
        self.inner.pool.as_sqlx().close().await;
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

impl fmt::Debug for TenantPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantPool")
            .field("size", &self.inner.pool.as_sqlx().size())
            .field("idle", &self.inner.pool.as_sqlx().num_idle())
            .field("through", &self.inner.pool.through())
            .finish_non_exhaustive()
    }
}
