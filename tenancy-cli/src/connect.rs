//! The one place that connects: an engine over the system login, whose trail is stored before the command ends.

use std::{sync::Arc, time::Duration};

use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tenancy_core::{AuditSink, PlanBook, Tenancy};
use tenancy_sqlx::{PgAuditSink, PgDirectory, PgUsage, danger::SystemPool};
use tenancy_usage::UsageMeters;
use tokio::time::timeout;

use crate::{
    arguments::{Administrator, Global},
    failure::{Failure, Verdict},
    output::Output,
};

/// How long the trail may take to be stored at the end.
const LIMIT: Duration = Duration::from_secs(10);

/// How long connections may take to be closed.
const CLOSING: Duration = Duration::from_secs(2);

/// An engine over the database.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) tenancy: Tenancy,
    pub(crate) directory: PgDirectory,
    system: SystemPool,
    audit: Arc<dyn AuditSink>,
}

impl Session {
    /// Connects as the system login.
    ///
    /// # Errors
    /// A [`Failure`] that names the variable, or says why there is no connection; never with the URL.
    pub(crate) async fn open(global: &Global) -> Result<Self, Failure> {
        let system = SystemPool::connect(url(global)?).await?;
        let directory = PgDirectory::of_operators(&system);
        let audit: Arc<dyn AuditSink> = Arc::new(PgAuditSink::new(&system));
        Ok(Self {
            tenancy: engine(&directory, &audit, None)?,
            directory,
            system,
            audit,
        })
    }

    /// Another engine over the same database and trail, which knows these plans.
    ///
    /// # Errors
    /// What is wrong with the plans.
    pub(crate) fn with_plans(&self, plans: PlanBook) -> Result<Tenancy, Failure> {
        engine(&self.directory, &self.audit, Some(plans))
    }

    /// Usage of these meters, which is read alone.
    pub(crate) fn usage(&self, meters: UsageMeters) -> PgUsage {
        PgUsage::of_operators(&self.system, meters).build()
    }

    /// Has the trail stored, whatever came of a command, and says what did.
    ///
    /// # Errors
    /// Those of the command; if it has none, that not all was stored.
    pub(crate) async fn end(
        self,
        done: Result<Verdict, Failure>,
        output: &Output,
    ) -> Result<Verdict, Failure> {
        let stored = self.close(output).await;
        match (&done, stored) {
            (Ok(Verdict::Done) | Err(Failure::ClosedPipe), Err(failure)) => Err(failure),
            (_, Err(Failure::Told(message))) => {
                output.fail(&message);
                done
            }
            _ => done,
        }
    }

    /// Stores what was recorded, and closes the connections.
    ///
    /// # Errors
    /// That not all was stored.
    async fn close(self, output: &Output) -> Result<(), Failure> {
        let report = self.tenancy.shutdown(LIMIT).await;
        self.directory.close().await;
        if timeout(CLOSING, self.system.close()).await.is_err() {
            output.remark("a connection is still busy, and is left behind");
        }
        if report.is_complete() {
            return Ok(());
        }
        Err(Failure::Told(format!(
            "not all that this command has recorded is stored in the audit trail: {} entries were dropped; look at \
             the database",
            report.audit_dropped
        )))
    }
}

/// The URL of the database.
fn url(global: &Global) -> Result<&str, Failure> {
    let url = global.database_url.as_deref();
    url.filter(|url| !url.trim().is_empty()).ok_or_else(|| {
        Failure::told(
            "no database: give its URL, as the system login, in the variable TENANCY_DATABASE_URL or by --database-url",
        )
    })
}

/// The URL of the database as its administrator.
///
/// # Errors
/// A [`Failure`] that names the variable.
pub(crate) fn administrator_url(administrator: &Administrator) -> Result<&str, Failure> {
    let url = administrator.admin_database_url.as_deref();
    url.filter(|url| !url.trim().is_empty()).ok_or_else(|| {
        Failure::told(
            "no database: give its URL, as the administrator, in the variable TENANCY_ADMIN_DATABASE_URL or by \
             --admin-database-url",
        )
    })
}

/// A connection by whichever login, for what looks at the schema and at no tenant's data.
///
/// # Errors
/// As [`Session::open`].
pub(crate) async fn plainly(global: &Global) -> Result<PgConnection, Failure> {
    to(url(global)?).await
}

/// A connection as the database's administrator.
///
/// # Errors
/// As [`Session::open`].
pub(crate) async fn as_administrator(
    administrator: &Administrator,
) -> Result<PgConnection, Failure> {
    to(administrator_url(administrator)?).await
}

async fn to(url: &str) -> Result<PgConnection, Failure> {
    let options = url.parse::<PgConnectOptions>().map_err(|_| {
        Failure::told(
            "the database URL can't be read; expected `postgres://login:password@host:port/database`",
        )
    })?;
    let options = options.disable_statement_logging();
    let connected = timeout(LIMIT, options.connect()).await;
    let connected = connected.map_err(|_| Failure::told("the database did not answer in 10 s"))?;
    connected
        .map_err(|error| Failure::Told(format!("there is no connection to the database: {error}")))
}

fn engine(
    directory: &PgDirectory,
    audit: &Arc<dyn AuditSink>,
    plans: Option<PlanBook>,
) -> Result<Tenancy, Failure> {
    let builder = Tenancy::builder(directory.clone())
        // An engine has to take some credential. No request comes to this one.
        .established_principals()
        .shared_audit(Arc::clone(audit));
    let builder = match plans {
        Some(plans) => builder.plans(plans),
        None => builder,
    };
    Ok(builder.build()?)
}
