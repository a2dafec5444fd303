//! What crosses tenant boundaries, or steps around a check. Everything here takes a reason.
//!
//! # Security
//! Search a code base for `danger::` to find every place where it could see more than one tenant.

use std::{fmt, time::Duration};

use sqlx::postgres::PgConnectOptions;
use tenancy_core::{Actor, AuditEntry, JobRun, Outcome, Tenancy, UserId};

use crate::{
    Error, StartError, TenantPoolOptions, TxConnection,
    connections::{Connections, Whose},
    options::{Timeouts, millis},
    purpose, self_check, session,
    statement_log::{Attribution, StatementLog},
};

/// Connections of the system role: they see the rows of every tenant.
///
/// For operators, and for jobs that span tenants. A process that serves tenants has no need of it:
/// members manage themselves through a [`RegistryPool`](crate::RegistryPool), and the trail is
/// written by [`PgAuditSink::connect`](crate::PgAuditSink::connect). Reached only through
/// [`across_tenants`], [`PgDirectory::with_system`](crate::PgDirectory::with_system),
/// [`PgAuditSink::new`](crate::PgAuditSink::new) and [`PgOutbox::new`](crate::PgOutbox::new).
///
/// What a borrower changes about its session, such as by `SET ROLE`, is undone before a connection
/// is lent again.
///
/// A program for operators, over both logins:
///
/// ```no_run
///
/// use tenancy_core::Tenancy;
/// use tenancy_sqlx::{PgDirectory, danger::SystemPool};
/// # use tenancy_core::jwt::JwtAuthenticator;
///
/// # async fn example(tokens: JwtAuthenticator) -> Result<(), Box<dyn std::error::Error>> {
/// let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
/// let directory = PgDirectory::connect("postgres://tenancy_app@localhost/notes").await?;
/// let tenancy = Tenancy::builder(directory.with_system(&system)).authenticator(tokens).build()?;
/// # drop(tenancy);
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// Keep its URL from processes that do not manage tenants.
#[derive(Clone)]
pub struct SystemPool {
    pool: Connections,
    log: Option<StatementLog>,
}

impl SystemPool {
    /// Connects with the system login (by default `tenancy_system`).
    ///
    /// # Errors
    /// A [`StartError`] if the database is out of reach, the schema is not installed, this is another
    /// login – the service's, which sees nothing here, or a superuser, whose rights are no business of a
    /// server process –, or a pooler stands between that can't be worked with.
    pub async fn connect(url: &str) -> Result<Self, StartError> {
        Self::connect_with(url.parse().map_err(StartError::bad_url)?).await
    }

    /// Connects with the system login; 5 connections at most.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(options: PgConnectOptions) -> Result<Self, StartError> {
        let pool = purpose::open(Whose::Operators, options, 5).await?;
        self_check::login(&pool).await?.refuse_role()?;
        self_check::system_login(&pool).await?;
        Ok(Self { pool, log: None })
    }

    /// The same, and a [statement log](crate::statement_log) sees what runs across tenants: [`across_tenants`] and
    /// [`across_tenants_in`]. What touches a protected table there is flagged. Default: none.
    ///
    /// What the library itself reads and writes through this login is not in the log: that has entries of the audit
    /// trail.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), or what the database says when it is asked for the
    /// protected tables.
    pub async fn with_statement_log(mut self, log: &StatementLog) -> Result<Self, Error> {
        let batch = session::nobodys_batch("BEGIN READ ONLY", &Timeouts::LOOK_UP);
        let mut asking = session::begin(&self.pool, batch).await?;
        log.learn(&mut asking).await?;
        asking.give_back();
        self.log = Some(log.clone());
        Ok(self)
    }

    /// Waits for all connections to come back, and closes them.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn raw(&self) -> &Connections {
        &self.pool
    }
}

impl fmt::Debug for SystemPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemPool")
            .field("size", &self.pool.size())
            .finish_non_exhaustive()
    }
}

/// A transaction that sees every tenant's rows.
///
/// Derefs to its [connection](TxConnection), commits explicitly, rolls back when dropped.
///
/// A statement may take 5 minutes, unless [`statement_timeout`](Self::statement_timeout) says
/// otherwise, and wait 5 seconds for a lock.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tenancy_core::{Tenancy, UserId};
/// use tenancy_sqlx::danger::{self, AcrossTenants, SystemPool};
///
/// async fn begin_report(tenancy: &Tenancy, system: &SystemPool, me: UserId) -> Result<AcrossTenants, Box<dyn std::error::Error>> {
///     let mut all = danger::across_tenants(tenancy, system, me, "the monthly report").await?;
///     all.statement_timeout(Duration::from_secs(1800)).await?;
///     Ok(all)
/// }
/// ```
#[must_use = "a transaction that is dropped rolls back"]
pub struct AcrossTenants {
    tx: TxConnection,
    tenancy: Tenancy,
}

/// Begins a transaction that sees every tenant's rows, for an operator and a reason.
///
/// The entry in the audit trail is durable before the transaction begins; if it can't be written,
/// nothing is read.
///
/// # Errors
/// An [`AcrossError`] if the reason is blank, the trail can't be written, or the database does not
/// answer.
///
/// # Security
/// Nothing here checks that `operator` is one: guard whatever leads here.
///
/// ```no_run
/// # use tenancy_core::{Tenancy, UserId};
/// # use tenancy_sqlx::danger;
/// # async fn example(tenancy: &Tenancy, system: &danger::SystemPool, me: UserId) -> Result<(), Box<dyn std::error::Error>> {
/// let mut all = danger::across_tenants(tenancy, system, me, "ticket 4711: count notes").await?;
/// let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut *all).await?;
/// # Ok(())
/// # }
/// ```
pub async fn across_tenants(
    tenancy: &Tenancy,
    system: &SystemPool,
    operator: UserId,
    reason: &str,
) -> Result<AcrossTenants, AcrossError> {
    if reason.trim().is_empty() {
        return Err(AcrossError::NoReason);
    }
    let entry = AuditEntry::new(
        tenancy.clock().now(),
        "danger.across-tenants",
        Outcome::Allowed,
    )
    .actor(Actor::User(operator))
    .reason(reason.to_owned());
    tenancy
        .audit()
        .record_durably(entry)
        .await
        .map_err(AcrossError::Audit)?;
    begin(tenancy, system, Actor::User(operator)).await
}

/// Begins a transaction that sees every tenant's rows, for a run of a job.
///
/// The first of a run has an entry in the audit trail, which is durable before the transaction begins; if it can't be
/// written, nothing is read. Those that follow add none.
///
/// # Errors
/// An [`AcrossError`] if the trail can't be written, or the database does not answer.
///
/// # Example: a queue's worker
/// It claims what waits across tenants, and works on it in one tenant at a time.
///
/// ```no_run
/// # use tenancy_core::{JobRun, TenantId};
/// # use tenancy_sqlx::{TenantPool, danger};
/// # use uuid::Uuid;
/// # async fn send(mail: &str) {}
/// async fn send_next(
///     run: &JobRun,
///     system: &danger::SystemPool,
///     pool: &TenantPool,
/// ) -> Result<bool, Box<dyn std::error::Error>> {
///     let mut all = danger::across_tenants_in(run, system).await?;
///     let claimed: Option<(Uuid, Uuid)> = sqlx::query_as(
///         "UPDATE mails SET claimed_at = now() WHERE id = (
///              SELECT id FROM mails WHERE claimed_at IS NULL
///              ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
///          RETURNING tenant_id, id",
///     )
///     .fetch_optional(&mut *all)
///     .await?;
///     all.commit().await?;
///     let Some((tenant, id)) = claimed else { return Ok(false) };
///     let db = pool.tenant(&run.enter(TenantId::from_uuid(tenant)).await?)?;
///     let text: String = sqlx::query_scalar("SELECT text FROM mails WHERE id = $1")
///         .bind(id)
///         .fetch_one(&db)
///         .await?;
///     send(&text).await;
///     Ok(true)
/// }
/// ```
pub async fn across_tenants_in(
    run: &JobRun,
    system: &SystemPool,
) -> Result<AcrossTenants, AcrossError> {
    run.record_across().await.map_err(AcrossError::Audit)?;
    begin(run.tenancy(), system, Actor::Job(run.name().clone())).await
}

async fn begin(
    tenancy: &Tenancy,
    system: &SystemPool,
    actor: Actor,
) -> Result<AcrossTenants, AcrossError> {
    let batch = session::nobodys_batch("BEGIN", &Timeouts::ACROSS_TENANTS);
    let open = session::begin(&system.pool, batch)
        .await
        .map_err(AcrossError::Database)?;
    let log = system.log.as_ref();
    let of = log.map(|log| Attribution::nobody(log, Some(actor)));
    Ok(AcrossTenants {
        tx: TxConnection::new(open, of),
        tenancy: tenancy.clone(),
    })
}

/// Why a transaction across tenants was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcrossError {
    /// No reason was given.
    #[error("reading across tenants needs a reason for the audit trail")]
    NoReason,
    /// The audit trail could not be written.
    #[error("nothing was read: {0}")]
    Audit(#[source] tenancy_core::AuditError),
    /// The database did not answer.
    #[error(transparent)]
    Database(Error),
}

impl AcrossTenants {
    pub(crate) const fn tenancy(&self) -> &Tenancy {
        &self.tenancy
    }

    /// Limits the statements that follow, for a report that takes long. One round trip.
    ///
    /// # Errors
    /// What the database says.
    pub async fn statement_timeout(&mut self, limit: Duration) -> Result<(), Error> {
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .bind(millis(limit).to_string())
            .execute(self.tx.unlogged())
            .await?;
        Ok(())
    }

    /// Commits, if all statements have succeeded.
    ///
    /// # Errors
    /// [`ErrorKind::TransactionFailed`](crate::ErrorKind::TransactionFailed) after a rollback, or what
    /// the database says.
    pub async fn commit(self) -> Result<(), Error> {
        Ok(self.tx.into_open().commit_checked().await?)
    }
}

impl std::ops::Deref for AcrossTenants {
    type Target = TxConnection;

    fn deref(&self) -> &TxConnection {
        &self.tx
    }
}

impl std::ops::DerefMut for AcrossTenants {
    fn deref_mut(&mut self) -> &mut TxConnection {
        &mut self.tx
    }
}

impl fmt::Debug for AcrossTenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcrossTenants").finish_non_exhaustive()
    }
}

/// Lets a pool log in as somebody else and take on the app role: for development and tests with
/// one login, such as `#[sqlx::test]`, whose login is usually a superuser.
///
/// # Security
/// Row security then protects from mistakes and no more: SQL that says `SET ROLE NONE` is a
/// superuser again. Says so in the log, with the reason. Tables, views and functions are checked for
/// the assumed role all the same.
pub fn assume_app_role(
    mut options: TenantPoolOptions,
    role: &str,
    reason: &str,
) -> TenantPoolOptions {
    tracing::warn!(
        role,
        reason,
        "the login of the tenant pool is not checked: isolation holds against mistakes only"
    );
    options.assumed_role = Some(role.to_owned());
    options
}
