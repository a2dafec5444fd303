//! The one place that connects: an engine over the system login, whose trail is stored before the command ends.

use std::{sync::Arc, time::Duration};

use tenancy_core::{AuditSink, PlanBook, Tenancy};
use tenancy_sqlx::{PgAuditSink, PgDirectory, danger::SystemPool};
use tokio::time::timeout;

use crate::{arguments::Global, failure::Failure, output::Output};

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
        let url = global
            .database_url
            .as_deref()
            .filter(|url| !url.trim().is_empty());
        let url = url.ok_or_else(|| {
            Failure::told(
                "no database: give its URL, as the system login, in the variable TENANCY_DATABASE_URL or by --database-url",
            )
        })?;
        let system = SystemPool::connect(url).await?;
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

    /// Stores what was recorded, and closes the connections.
    ///
    /// # Errors
    /// That not all was stored.
    pub(crate) async fn close(self, output: &Output) -> Result<(), Failure> {
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
