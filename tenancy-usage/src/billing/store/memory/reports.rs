//! Reports in memory.

use async_trait::async_trait;
use tenancy_core::{TenantId, Timestamp};

use super::MemoryBilling;
use crate::billing::{
    BillingStoreError, QueueOutcome, ReportOutcome, ReportStore, StuckReport, UsageReport,
    check_text,
};

#[derive(Debug)]
pub(super) struct Queued {
    provider: Box<str>,
    tenant: TenantId,
    report: UsageReport,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Due(Option<Sent>),
    Taken,
    Stuck(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    first: Timestamp,
    last: Timestamp,
}

impl Queued {
    /// Makes it stuck if its id may be forgotten; whether it is due.
    fn is_due(&mut self, now: Timestamp) -> bool {
        match self.state {
            State::Due(None) => true,
            State::Due(Some(sent)) if now < sent.last + StuckReport::HELD => false,
            State::Due(Some(sent)) if now < sent.first + StuckReport::REMEMBERED => true,
            State::Due(Some(_)) => {
                self.state = State::Stuck(StuckReport::FORGOTTEN.into());
                false
            }
            State::Taken | State::Stuck(_) => false,
        }
    }
}

#[async_trait]
impl ReportStore for MemoryBilling {
    async fn queue_reports(
        &self,
        tenant: TenantId,
        provider: &str,
        reports: &[UsageReport],
    ) -> Result<Vec<QueueOutcome>, BillingStoreError> {
        check_text("the name of a billing system", provider)?;
        for report in reports {
            report.check_stored()?;
        }
        let mut kept = self.kept();
        let mut outcomes = Vec::with_capacity(reports.len());
        for report in reports {
            let bound = kept.customers.iter().any(|((of, customer), whose)| {
                **of == *provider && **customer == *report.customer.as_str() && *whose == tenant
            });
            let known = kept
                .reports
                .iter()
                .find(|known| *known.provider == *provider && known.report.id == report.id);
            outcomes.push(match known {
                _ if !bound => QueueOutcome::UnknownCustomer,
                Some(known) if known.tenant == tenant && known.report == *report => {
                    QueueOutcome::AlreadyQueued
                }
                Some(_) => QueueOutcome::Conflict,
                None => {
                    kept.reports.push(Queued {
                        provider: provider.into(),
                        tenant,
                        report: report.clone(),
                        state: State::Due(None),
                    });
                    QueueOutcome::Queued
                }
            });
        }
        Ok(outcomes)
    }

    async fn take_reports(
        &self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<UsageReport>, BillingStoreError> {
        let now = self.clock.now();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut kept = self.kept();
        let of_provider = kept.reports.iter_mut();
        let due = of_provider.filter(|it| *it.provider == *provider);
        let due = due.filter_map(|it| it.is_due(now).then_some(it)).take(most);
        let taken = due.map(|it| {
            let first = match it.state {
                State::Due(Some(sent)) => sent.first,
                _ => now,
            };
            it.state = State::Due(Some(Sent { first, last: now }));
            it.report.clone()
        });
        Ok(taken.collect())
    }

    async fn settle_reports(
        &self,
        provider: &str,
        outcomes: &[(Box<str>, ReportOutcome)],
    ) -> Result<(), BillingStoreError> {
        let mut kept = self.kept();
        for (id, outcome) in outcomes {
            let mut known = kept.reports.iter_mut();
            let known = known.find(|it| *it.provider == *provider && it.report.id == *id);
            if let Some(known) = known.filter(|it| it.state != State::Taken) {
                known.state = match outcome {
                    ReportOutcome::Refused(why) => State::Stuck(why.clone()),
                    ReportOutcome::Taken | ReportOutcome::AlreadyTaken => State::Taken,
                };
            }
        }
        Ok(())
    }

    async fn stuck_reports(
        &self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<StuckReport>, BillingStoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let kept = self.kept();
        let stuck = kept.reports.iter().filter_map(|it| match &it.state {
            State::Stuck(why) if *it.provider == *provider => {
                Some(StuckReport::new(it.tenant, it.report.clone(), why.clone()))
            }
            _ => None,
        });
        Ok(stuck.take(most).collect())
    }

    async fn requeue_report(&self, provider: &str, id: &str) -> Result<bool, BillingStoreError> {
        let mut kept = self.kept();
        let mut known = kept.reports.iter_mut();
        let known = known.find(|it| *it.provider == *provider && *it.report.id == *id);
        let stuck = known.filter(|it| matches!(it.state, State::Stuck(_)));
        Ok(stuck.is_some_and(|it| {
            it.state = State::Due(None);
            true
        }))
    }
}
