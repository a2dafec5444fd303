//! Usage on its way to a billing system.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use tenancy_core::TenantId;

use super::{BillingStoreError, check_text};
use crate::billing::{BillingError, BillingProvider, ReportOutcome, UsageReport};

/// What became of a report that was to be queued.
///
/// ```
/// use tenancy_usage::billing::QueueOutcome;
///
/// fn will_be_sent(outcome: QueueOutcome) -> bool {
///     matches!(outcome, QueueOutcome::Queued | QueueOutcome::AlreadyQueued)
/// }
/// assert!(!will_be_sent(QueueOutcome::Conflict));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueOutcome {
    /// It is queued now.
    Queued,
    /// It was queued before, and is sent once.
    AlreadyQueued,
    /// Another report has its id. That one stands.
    Conflict,
    /// Its customer is not [bound](super::SubscriptionStore::bind_customer) to this tenant. It is not queued.
    UnknownCustomer,
}

/// A report that is not sent any more until somebody has looked.
///
/// ```
/// use tenancy_usage::billing::{BillingStoreError, ReportStore};
///
/// async fn look(billing: &dyn ReportStore) -> Result<(), BillingStoreError> {
///     for stuck in billing.stuck_reports("stripe", 100).await? {
///         println!("{} of {} for {}: {}", stuck.report.quantity, stuck.report.meter, stuck.tenant, stuck.why);
///         billing.requeue_report("stripe", &stuck.report.id).await?; // it is mended
///     }
///     Ok(())
/// }
/// # let _ = look;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StuckReport {
    /// Whose usage.
    pub tenant: TenantId,
    /// The report.
    pub report: UsageReport,
    /// Why: what the billing system has said, or that it may have forgotten the id.
    pub why: Box<str>,
}

impl StuckReport {
    /// For stores: of this tenant, for this reason.
    #[must_use]
    pub fn new(tenant: TenantId, report: UsageReport, why: impl Into<Box<str>>) -> Self {
        Self {
            tenant,
            report,
            why: why.into(),
        }
    }

    /// How long a store holds reports that it has given to somebody: 5 minutes.
    pub const HELD: Duration = Duration::from_secs(300);

    /// For how long after a report was sent first it is sent again: 23 hours, because Stripe remembers ids for 24.
    pub const REMEMBERED: Duration = Duration::from_secs(23 * 3_600);

    /// For stores: why a report is stuck whose outcome nobody knows, and whose id the billing system may have forgotten.
    pub const FORGOTTEN: &'static str = "it was sent, and whether it was taken is not known; the billing system may have \
         forgotten its id by now, so look there before it is sent again";
}

impl UsageReport {
    /// Whether its texts can be kept; for stores.
    ///
    /// # Errors
    /// A [`BillingStoreError`] of the kind [`Refused`](super::BillingStoreErrorKind::Refused).
    pub fn check_stored(&self) -> Result<(), BillingStoreError> {
        check_text("the id of a customer", self.customer.as_str())?;
        check_text("the meter of a report", &self.meter)?;
        check_text("the id of a report", &self.id)
    }
}

/// Keeps reports until a billing system has taken them: each is sent until there is an answer, under one id, and counts once there.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::billing::{
///     CustomerId, FileBilling, MemoryBilling, QueueOutcome, ReportStore as _, SubscriptionStore as _, UsageReport, report_due,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("reports-{}-{}", std::process::id(), TenantId::new()));
/// let (billing, acme, customer) = (MemoryBilling::new(), TenantId::new(), CustomerId::new("acme"));
/// billing.bind_customer(acme, "file", &customer).await?;
/// let report = UsageReport::new(customer, "tokens", 4_711, Timestamp::EPOCH, "acme-tokens-1");
/// assert_eq!(billing.queue_reports(acme, "file", &[report]).await?, [QueueOutcome::Queued]);
///
/// let run = report_due(&billing, "file", &FileBilling::new(&path), 100).await?;
/// assert_eq!((run.settled, run.refused), (1, 0));
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait ReportStore: Send + Sync + Debug {
    /// Queues usage of a tenant for a billing system, once for each id, and says what became of each report, in their order.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn queue_reports(
        &self,
        tenant: TenantId,
        provider: &str,
        reports: &[UsageReport],
    ) -> Result<Vec<QueueOutcome>, BillingStoreError>;

    /// Takes so many reports that are due, the oldest first. Nobody else is given them for the time that the store holds them: if they
    /// are not [settled](Self::settle_reports) by then, because a process has ended or nobody answered, they are due again.
    ///
    /// A report that was sent for the first time so long ago that the billing system may have forgotten its id is not due any more: it
    /// is [stuck](Self::stuck_reports).
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn take_reports(
        &self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<UsageReport>, BillingStoreError>;

    /// Keeps what a billing system has answered, by ids. A report that was taken stays so.
    ///
    /// A store with an outbox writes the event `billing.report-refused` for each that was refused, in the same transaction.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn settle_reports(
        &self,
        provider: &str,
        outcomes: &[(Box<str>, ReportOutcome)],
    ) -> Result<(), BillingStoreError>;

    /// What was refused, and what may have been taken without anybody knowing, the oldest first, and so many at most.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn stuck_reports(
        &self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<StuckReport>, BillingStoreError>;

    /// Makes a report that is stuck due again, as if it had not been sent, and says whether there was one.
    ///
    /// # Errors
    /// A [`BillingStoreError`].
    async fn requeue_report(&self, provider: &str, id: &str) -> Result<bool, BillingStoreError>;
}

/// What became of the reports that were due.
///
/// ```
/// use tenancy_usage::billing::ReportRun;
///
/// /// Whether there may be more at once.
/// fn goes_on(run: &ReportRun, most: usize) -> bool {
///     run.unknown.is_none() && run.settled + run.refused == most
/// }
/// # let _ = goes_on;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReportRun {
    /// How many the billing system has taken, now or before.
    pub settled: usize,
    /// How many it refuses. They are [stuck](ReportStore::stuck_reports).
    pub refused: usize,
    /// Why it is not known what became of the others. They are sent again, under the same ids.
    pub unknown: Option<BillingError>,
}

/// Sends so many reports that are due to a billing system, 1,000 at most, and keeps what it answers. Have a job call it until it sends
/// none; two at once send different ones.
///
/// # Errors
/// A [`BillingStoreError`]. What was sent meanwhile is sent again, under the same ids.
pub async fn report_due(
    store: &dyn ReportStore,
    provider: &str,
    system: &dyn BillingProvider,
    most: u32,
) -> Result<ReportRun, BillingStoreError> {
    let mut run = ReportRun::default();
    let reports = store.take_reports(provider, most.clamp(1, 1_000)).await?;
    if reports.is_empty() {
        return Ok(run);
    }
    let outcomes = match system.report_usage(&reports).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            run.unknown = Some(error);
            return Ok(run);
        }
    };
    if outcomes.len() < reports.len() {
        run.unknown = Some(BillingError::new(
            crate::billing::BillingErrorKind::Unreadable,
            "the billing system did not say what became of each report",
        ));
    }
    let told: Vec<_> = reports
        .into_iter()
        .map(|report| report.id)
        .zip(outcomes)
        .collect();
    run.refused = told
        .iter()
        .filter(|(_, outcome)| matches!(outcome, ReportOutcome::Refused(_)))
        .count();
    run.settled = told.len() - run.refused;
    store.settle_reports(provider, &told).await?;
    Ok(run)
}
