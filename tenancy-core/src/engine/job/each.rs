//! The same in each tenant: in pages, several at a time, resumable.

use std::fmt;

use futures_util::{StreamExt as _, stream};

use super::JobRun;
use crate::{Refusal, RefusalKind, StoreError, TenantContext, TenantFilter, TenantId};

/// How many tenants are worked on at a time, unless the caller says otherwise.
const CONCURRENCY: usize = 4;

/// How many tenants a page has for each that is worked on at a time.
const PAGE: usize = 16;

/// How many failures a report names.
const NAMED: usize = 1_000;

/// How a job goes through the tenants; made by [`JobRun::each_tenant`].
///
/// Tenants come in the order of their ids, and in pages. One that is not served – suspended, being set up, deleted – is
/// skipped. One in which the work fails is reported, and the job goes on with the next.
///
/// # Example: going on where the last run ended
/// ```
/// # use tenancy_core::{JobRun, StoreError, TenantId};
/// # fn stored() -> Option<TenantId> { None }
/// # fn store(position: TenantId) {}
/// # async fn example(run: JobRun) -> Result<(), StoreError> {
/// let report = run
///     .each_tenant()
///     .after(stored())
///     .on_progress(|report| report.position.into_iter().for_each(store))
///     .run(async |tenant| tenant.require("notes:read"))
///     .await?;
/// # let _ = report;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is done before `run`"]
pub struct EachTenant<'a> {
    run: &'a JobRun,
    filter: TenantFilter,
    concurrency: usize,
    after: Option<TenantId>,
    progress: Option<Progress<'a>>,
}

/// Who is told how far a job has come.
type Progress<'a> = Box<dyn FnMut(&EachTenantReport<()>) + Send + 'a>;

/// How far a job has come, and what has failed with `E`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EachTenantReport<E> {
    /// In how many tenants the work was done.
    pub done: u64,
    /// How many tenants were skipped, because they are not served.
    pub skipped: u64,
    /// In how many the work has failed.
    pub failures: u64,
    /// The tenants in which the work has failed, and why: the first 1,000 of them.
    pub failed: Vec<(TenantId, E)>,
    /// The last tenant up to which all are done, skipped or reported: where to go on.
    pub position: Option<TenantId>,
}

/// What became of one tenant.
enum Became<E> {
    Done,
    Skipped,
    Failed(TenantId, E),
}

impl<'a> EachTenant<'a> {
    pub(super) fn new(run: &'a JobRun) -> Self {
        Self {
            run,
            filter: TenantFilter::new(),
            concurrency: CONCURRENCY,
            after: None,
            progress: None,
        }
    }

    /// Only these tenants. Default: all.
    pub fn filter(mut self, filter: TenantFilter) -> Self {
        self.filter = filter;
        self
    }

    /// How many tenants are worked on at a time, at least one. Default: 4. No more than the pool lends to one job.
    pub const fn concurrency(mut self, at_a_time: usize) -> Self {
        self.concurrency = if at_a_time == 0 { 1 } else { at_a_time };
        self
    }

    /// Goes on behind this tenant: the [position](EachTenantReport::position) of a run before. What that run was
    /// doing when it ended is done again, for up to 16 tenants for each that is worked on at a time.
    pub const fn after(mut self, position: Option<TenantId>) -> Self {
        self.after = position;
        self
    }

    /// Is told how far the job has come, after each page. The report names no failures.
    pub fn on_progress(mut self, told: impl FnMut(&EachTenantReport<()>) + Send + 'a) -> Self {
        self.progress = Some(Box::new(told));
        self
    }

    /// Does the work.
    ///
    /// Safe to drop at any point: then the tenants that are being worked on are left where they are.
    ///
    /// # Errors
    /// A [`StoreError`] if the tenants can't be listed, or a tenant can't be entered because the directory does not
    /// answer. [`on_progress`](Self::on_progress) has had the position by then.
    pub async fn run<E>(
        mut self,
        work: impl AsyncFn(TenantContext) -> Result<(), E>,
    ) -> Result<EachTenantReport<E>, StoreError> {
        let admin = self.run.engine.admin(self.run.authority());
        let page_size = u32::try_from(self.concurrency.saturating_mul(PAGE)).unwrap_or(u32::MAX);
        let mut report = EachTenantReport {
            done: 0,
            skipped: 0,
            failures: 0,
            failed: Vec::new(),
            position: self.after,
        };
        loop {
            let page = admin.list_tenants(&self.filter, report.position, page_size);
            let page = page.await?;
            let Some(last) = page.last().map(|tenant| tenant.id) else {
                return Ok(report);
            };
            let one = async |tenant: TenantId| match self.run.enter(tenant).await {
                Ok(context) => Ok(match work(context).await {
                    Ok(()) => Became::Done,
                    Err(error) => Became::Failed(tenant, error),
                }),
                Err(refusal) if is_skipped(&refusal) => Ok(Became::Skipped),
                Err(refusal) => Err(StoreError::unavailable(refusal.to_string())),
            };
            let ids = page.into_iter().map(|tenant| tenant.id);
            let mut became = stream::iter(ids)
                .map(one)
                .buffer_unordered(self.concurrency);
            while let Some(became) = became.next().await {
                report.add(became?);
            }
            drop(became);
            report.position = Some(last);
            if let Some(told) = &mut self.progress {
                told(&report.without_failed());
            }
        }
    }
}

/// Whether a tenant is one that is not served, or has gone since it was listed.
fn is_skipped(refusal: &Refusal) -> bool {
    matches!(
        refusal.kind(),
        RefusalKind::TenantNotFound | RefusalKind::TenantSuspended | RefusalKind::TenantInactive
    )
}

impl<E> EachTenantReport<E> {
    fn add(&mut self, became: Became<E>) {
        match became {
            Became::Done => self.done += 1,
            Became::Skipped => self.skipped += 1,
            Became::Failed(tenant, error) => {
                self.failures += 1;
                if self.failed.len() < NAMED {
                    self.failed.push((tenant, error));
                }
            }
        }
    }

    const fn without_failed(&self) -> EachTenantReport<()> {
        EachTenantReport {
            done: self.done,
            skipped: self.skipped,
            failures: self.failures,
            failed: Vec::new(),
            position: self.position,
        }
    }
}

impl fmt::Debug for EachTenant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachTenant")
            .field("job", &self.run.inner.name)
            .field("filter", &self.filter)
            .field("concurrency", &self.concurrency)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
