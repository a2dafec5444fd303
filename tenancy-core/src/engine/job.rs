//! Jobs: what the service does by itself, in one tenant after the other.

mod each;
mod name;

use std::{fmt, sync::Arc};

pub use each::{EachTenant, EachTenantReport};
pub use name::{InvalidJobName, JobName};
use tokio::sync::OnceCell;

use super::{Authority, ClientInfo, Tenancy, TenantContext};
use crate::{
    Actor, AllowedTenants, AuditEntry, AuditError, Outcome, Principal, Refusal, StoreError,
    StoreErrorKind, TenantId,
};

/// A run of a named job: the service itself at work, outside of any request. Made by [`Tenancy::begin_job`].
///
/// The beginning of a run is one entry in the audit trail, with its name and its reason. What follows – each tenant
/// that it enters, each transaction across tenants – adds none. What a run changes has its entries, as every change
/// has.
///
/// A run is as long as the job says: a night's pass, or the life of a worker process.
///
/// # Security
/// A run enters every tenant, with every permission. No request may choose what it does, or for whom.
///
/// # Example: a nightly pass
/// ```
/// use tenancy_core::{StoreError, Tenancy, TenantContext};
///
/// async fn bill(tenant: TenantContext) -> Result<(), std::io::Error> {
///     println!("bills {}", tenant.record().slug);
///     Ok(())
/// }
///
/// # async fn nightly(tenancy: Tenancy) -> Result<(), Box<dyn std::error::Error>> {
/// let run = tenancy.begin_job("billing", "nightly bills")?;
/// let report = run.each_tenant().concurrency(8).run(bill).await?;
/// println!("{} billed, {} failed", report.done, report.failed.len());
/// # Ok(())
/// # }
/// ```
///
/// # Example: a queue's worker
/// ```
/// # use tenancy_core::{Refusal, StoreError, Tenancy, TenantId};
/// # async fn claim() -> Option<(TenantId, String)> { None }
/// # async fn worker(tenancy: Tenancy) -> Result<(), Box<dyn std::error::Error>> {
/// let run = tenancy.begin_job("mail-worker", "sends what waits in the outbox of mails")?;
/// // Claimed across tenants, and worked on in one.
/// while let Some((tenant, mail)) = claim().await {
///     let context = run.enter(tenant).await?;
///     println!("sends {mail} for {}", context.record().name);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct JobRun {
    engine: Tenancy,
    inner: Arc<Run>,
}

struct Run {
    name: JobName,
    reason: Box<str>,
    /// Whether the trail has it durably that this run reads across tenants.
    across: OnceCell<()>,
}

impl JobRun {
    pub(super) fn begin(engine: &Tenancy, name: &str, reason: &str) -> Result<Self, StoreError> {
        let name: JobName = name
            .parse()
            .map_err(|invalid: InvalidJobName| invalid_argument(invalid.to_string()))?;
        if reason.trim().is_empty() {
            return Err(invalid_argument(
                "a job needs a reason for the audit trail; give one that is not blank".to_owned(),
            ));
        }
        let run = Run {
            name,
            reason: reason.into(),
            across: OnceCell::new(),
        };
        let run = Self {
            engine: engine.clone(),
            inner: Arc::new(run),
        };
        engine.inner().audit.record(run.entry("job.begin"));
        Ok(run)
    }

    /// The job's name.
    #[must_use]
    pub fn name(&self) -> &JobName {
        &self.inner.name
    }

    /// The engine of the service in which it runs.
    #[must_use]
    pub const fn tenancy(&self) -> &Tenancy {
        &self.engine
    }

    /// Enters a tenant: the context acts as [`Actor::Job`], with every permission. Leaves no entry in the audit
    /// trail.
    ///
    /// # Errors
    /// A [`Refusal`] if the tenant does not exist or is not served, or the directory does not answer.
    ///
    /// # Security
    /// Never pass a tenant that a request named: a request's tenant comes from its own context.
    pub async fn enter(&self, tenant: TenantId) -> Result<TenantContext, Refusal> {
        let bound = AllowedTenants::Bound(tenant.into());
        let principal = Principal::new(self.actor(), bound, self.inner.name.issuer());
        let principal = Arc::new(principal);
        self.engine
            .readmit(principal, tenant, None, ClientInfo::default())
            .await
    }

    /// Does the same in each tenant that is served.
    pub fn each_tenant(&self) -> EachTenant<'_> {
        EachTenant::new(self)
    }

    /// The authority to make changes in any tenant, as this job and for the run's reason.
    pub fn authority(&self) -> Authority {
        Authority::of_job(self.inner.name.clone(), &self.inner.reason)
    }

    /// Has the trail say, durably and once for the run, that it reads across tenants. For stores, which call it
    /// before they let a run do so.
    ///
    /// # Errors
    /// An [`AuditError`] if that could not be stored: then nothing may be read.
    pub async fn record_across(&self) -> Result<(), AuditError> {
        let record = || async {
            let entry = self.entry("danger.across-tenants");
            self.engine.inner().audit.record_durably(entry).await
        };
        self.inner.across.get_or_try_init(record).await.map(|_| ())
    }

    fn actor(&self) -> Actor {
        Actor::Job(self.inner.name.clone())
    }

    fn entry(&self, action: &'static str) -> AuditEntry {
        let now = self.engine.inner().clock.now();
        let mut entry = AuditEntry::new(now, action, Outcome::Allowed)
            .actor(self.actor())
            .reason(self.inner.reason.to_string());
        entry.credential = Some(self.inner.name.issuer());
        entry
    }
}

fn invalid_argument(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, message)
}

impl fmt::Debug for JobRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRun")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}
