//! A tenant's transaction, and savepoints in it.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _, postgres::PgTransactionManager};
use sqlx_core::transaction::TransactionManager;
use tenancy_core::{TenantContext, quota::Reservation};

use crate::{
    Error, ErrorKind, TxConnection,
    error::is_no_transaction,
    replicas::Writing,
    session::{Open, Scope},
};

/// A transaction in which PostgreSQL shows one tenant's rows and no others.
///
/// Use it as sqlx's own `Transaction`: `query.fetch_all(&mut *tx)`. It owns its connection, is
/// `Send + 'static`, and rolls back when dropped.
///
/// # Security
/// It derefs to its [connection](TxConnection), and SQL can do what SQL can: a statement that commits, or that
/// sets `tenancy.tenant_id`, ends or changes the scope. See SECURITY.md, and
/// [`check_tenant_at_commit`](crate::TenantPoolOptions::check_tenant_at_commit).
#[must_use = "a transaction that is dropped rolls back"]
pub struct TenantTx {
    connection: TxConnection,
    context: TenantContext,
    scope: Scope,
    proof: Proof,
    /// Where reads on replicas depend on what it writes.
    writing: Option<Writing>,
    /// What is kept with its rows. Dropped, it is released; that does nothing where the transaction has committed.
    kept: Vec<Reservation>,
}

/// What a transaction proves before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    None,
    /// That its settings are as they were.
    Setting,
    /// That it carries its tenant, as [`TenantTx::check_tenant`] says.
    Tenant,
}

impl TenantTx {
    pub(crate) fn new(
        connection: TxConnection,
        context: TenantContext,
        scope: Scope,
        proof: Proof,
        writing: Option<Writing>,
    ) -> Self {
        Self {
            connection,
            context,
            scope,
            proof,
            writing,
            kept: Vec::new(),
        }
    }

    /// Notes what its commit keeps.
    pub(crate) fn note_kept(&mut self, reserved: Reservation) {
        self.kept.push(reserved);
    }

    /// The context it was begun for.
    #[must_use]
    pub fn context(&self) -> &TenantContext {
        &self.context
    }

    /// Commits, if all statements have succeeded.
    ///
    /// A statement that failed has ended the transaction, also where its error was ignored: undo it by
    /// a [`savepoint`](Self::savepoint) to go on after it.
    ///
    /// # Errors
    /// [`ErrorKind::SavepointOpen`], [`ErrorKind::TenantLost`] or [`ErrorKind::TransactionFailed`],
    /// all after a rollback, or what the database says, such as a serialization failure.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.check_end().await?;
        let ended = match self.writing.take() {
            Some(writing) => writing.commit(self.connection.into_open(), false).await,
            None => self.connection.into_open().commit_checked().await,
        };
        if ended.is_ok() {
            self.kept.into_iter().for_each(Reservation::kept);
        }
        match ended {
            // A statement has ended the transaction.
            Err(error) if is_no_transaction(&error) => Err(Error::new(ErrorKind::TenantLost)),
            ended => Ok(ended?),
        }
    }

    /// Commits a transaction whose only statement has succeeded, and was plain or not.
    pub(crate) async fn commit_one(mut self, was_plain: bool) -> Result<(), Error> {
        self.check_end().await?;
        let ended = match self.writing.take() {
            Some(writing) => {
                let open = self.connection.into_open();
                writing.commit(open, was_plain).await
            }
            None if was_plain => self.connection.into_open().commit_plain().await,
            None => self.connection.into_open().commit().await,
        };
        Ok(ended?)
    }

    async fn check_end(&mut self) -> Result<(), Error> {
        match PgTransactionManager::get_transaction_depth(&self.connection) {
            1 => {}
            // A savepoint was cancelled while it began: sqlx has rolled the transaction back.
            0 => return Err(Error::new(ErrorKind::TenantLost)),
            _ => return Err(Error::new(ErrorKind::SavepointOpen)),
        }
        match self.proof {
            Proof::None => Ok(()),
            Proof::Setting => self.check_setting().await,
            Proof::Tenant => self.check_tenant().await,
        }
    }

    /// Ends a read-only transaction whose only statement has succeeded. Nothing was written: the rollback
    /// goes out with the pool's own round trip.
    pub(crate) async fn end_reading(mut self) -> Result<(), Error> {
        self.check_end().await?;
        self.connection.into_open().give_back();
        Ok(())
    }

    /// Rolls back, and returns when that is done. Dropping does the same without waiting.
    ///
    /// # Errors
    /// What the database says; the transaction is gone all the same.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.connection.into_open().rollback().await {
            // A statement has ended the transaction: there is nothing left to undo.
            Err(error) if is_no_transaction(&error) => Ok(()),
            ended => Ok(ended?),
        }
    }

    /// The connection, to begin another transaction on it.
    pub(crate) fn into_open(self) -> Open {
        self.connection.into_open()
    }

    /// The connection, for a statement of the library's, or of a caller who watches it.
    pub(crate) fn unlogged(&mut self) -> &mut PgConnection {
        self.connection.unlogged()
    }

    /// Makes sure that the connection still carries the tenant and project this transaction was begun
    /// for.
    ///
    /// One round trip. Finds a statement that committed, a changed setting, swapped connections.
    ///
    /// # Errors
    /// [`ErrorKind::TenantLost`] if it does not.
    pub async fn check_tenant(&mut self) -> Result<(), Error> {
        // The setting ends with its transaction; where sessions are sealed, the tenant is another thing.
        let row = self
            .connection
            .unlogged()
            .fetch_one(
                "SELECT current_setting('tenancy.tenant_id', true), tenancy.current_tenant()::text,
                    tenancy.current_project()::text",
            )
            .await?;
        let carried: [Option<String>; 3] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?];
        let tenant = Some(self.scope.tenant.to_string());
        let project = self.scope.project.map(|project| project.to_string());
        self.expect(carried == [tenant.clone(), tenant, project])
    }

    /// The same for the settings alone, which each role may read: a transaction may have taken on one that
    /// may not use the schema `tenancy`.
    async fn check_setting(&mut self) -> Result<(), Error> {
        let row = self
            .connection
            .unlogged()
            .fetch_one(
                "SELECT pg_catalog.current_setting('tenancy.tenant_id', true),
                    pg_catalog.current_setting('tenancy.project_id', true)",
            )
            .await?;
        let carried: [Option<String>; 2] = [row.try_get(0)?, row.try_get(1)?];
        let project = self.scope.project.map(|project| project.to_string());
        let own = [self.scope.tenant.to_string(), project.unwrap_or_default()];
        self.expect(carried == own.map(Some))
    }

    fn expect(&self, is_own: bool) -> Result<(), Error> {
        if is_own {
            return Ok(());
        }
        tracing::error!(tenant = %self.scope.tenant, "a transaction no longer names its tenant");
        Err(Error::new(ErrorKind::TenantLost))
    }

    /// Begins a savepoint: work that can be undone without undoing what came before.
    ///
    /// Whatever the work does to the tenant's setting, afterwards it is as it was before: PostgreSQL
    /// itself would keep an inner change when a savepoint is released.
    ///
    /// Cancelling this very call, as opposed to what follows it, undoes the whole transaction, whose
    /// [`commit`](Self::commit) then fails.
    ///
    /// # Errors
    /// What the database says.
    pub async fn savepoint(&mut self) -> Result<Savepoint<'_>, Error> {
        PgTransactionManager::begin(self.connection.unlogged(), None).await?;
        let depth = PgTransactionManager::get_transaction_depth(&self.connection);
        Ok(Savepoint {
            connection: &mut self.connection,
            context: &self.context,
            scope: self.scope,
            depth,
        })
    }
}

impl Deref for TenantTx {
    type Target = TxConnection;

    fn deref(&self) -> &TxConnection {
        &self.connection
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut TxConnection {
        &mut self.connection
    }
}

impl fmt::Debug for TenantTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantTx")
            .field("tenant", &self.scope.tenant)
            .finish_non_exhaustive()
    }
}

/// A savepoint in a tenant's transaction. Rolls back to where it began when dropped.
///
/// ```no_run
/// use tenancy_sqlx::{Error, TenantTx};
///
/// /// Keeps the notes that can be stored, and leaves the others out.
/// async fn import(tx: &mut TenantTx, bodies: &[String]) -> Result<usize, Error> {
///     let mut stored = 0;
///     for body in bodies {
///         let mut one = tx.savepoint().await?;
///         let insert = sqlx::query("INSERT INTO notes (body) VALUES ($1)").bind(body);
///         if insert.execute(&mut *one).await.is_ok() {
///             one.release().await?;
///             stored += 1;
///         } else {
///             one.rollback().await?;
///         }
///     }
///     Ok(stored)
/// }
/// ```
#[must_use = "a savepoint that is dropped rolls back to where it began"]
pub struct Savepoint<'tx> {
    connection: &'tx mut TxConnection,
    context: &'tx TenantContext,
    scope: Scope,
    depth: usize,
}

impl Savepoint<'_> {
    /// The context of its transaction.
    #[must_use]
    pub fn context(&self) -> &TenantContext {
        self.context
    }

    /// Keeps the work, and names the tenant again.
    ///
    /// # Errors
    /// What the database says; the work is then undone.
    pub async fn release(mut self) -> Result<(), Error> {
        if PgTransactionManager::get_transaction_depth(self.connection) > self.depth {
            return Err(Error::new(ErrorKind::SavepointOpen));
        }
        self.connection
            .unlogged()
            .execute(AssertSqlSafe(self.scope.settings_sql()))
            .await?;
        PgTransactionManager::commit(self.connection.unlogged()).await?;
        self.depth = usize::MAX;
        Ok(())
    }

    /// Undoes the work. Dropping does the same without waiting.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rollback(mut self) -> Result<(), Error> {
        while PgTransactionManager::get_transaction_depth(self.connection) >= self.depth {
            PgTransactionManager::rollback(self.connection.unlogged()).await?;
        }
        self.depth = usize::MAX;
        Ok(())
    }
}

impl Deref for Savepoint<'_> {
    type Target = TxConnection;

    fn deref(&self) -> &TxConnection {
        self.connection
    }
}

impl DerefMut for Savepoint<'_> {
    fn deref_mut(&mut self) -> &mut TxConnection {
        self.connection
    }
}

impl Drop for Savepoint<'_> {
    fn drop(&mut self) {
        while PgTransactionManager::get_transaction_depth(self.connection) >= self.depth {
            PgTransactionManager::start_rollback(self.connection.unlogged());
        }
    }
}

impl fmt::Debug for Savepoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Savepoint")
            .field("tenant", &self.scope.tenant)
            .finish_non_exhaustive()
    }
}
