//! Closed periods in memory.

use async_trait::async_trait;
use tenancy_core::{TenantId, Timestamp};

use super::MemoryBilling;
use crate::{
    billing::{BillingStoreError, CloseOutcome, ClosedInvoice, PeriodStore},
    invoice::{ClosedPeriod, DraftInvoice},
};

#[async_trait]
impl PeriodStore for MemoryBilling {
    async fn close_period(
        &self,
        period: &ClosedPeriod,
        invoice: &DraftInvoice,
    ) -> Result<CloseOutcome, BillingStoreError> {
        let tenant = period.tenant();
        let mut kept = self.kept();
        let known: Vec<_> = kept.closed.values().cloned().collect();
        // What is drawn stays only if the period is closed.
        let mut ledger = kept.ledgers.get(&tenant).cloned().unwrap_or_default();
        let outcome = ClosedInvoice::close(period, invoice, &known, &mut ledger)?;
        if let CloseOutcome::Closed(closed) = &outcome {
            kept.closed
                .insert((tenant, period.window().start), closed.clone());
            kept.ledgers.insert(tenant, ledger);
        }
        Ok(outcome)
    }

    async fn closed(
        &self,
        tenant: TenantId,
        start: Timestamp,
    ) -> Result<Option<ClosedInvoice>, BillingStoreError> {
        Ok(self.kept().closed.get(&(tenant, start)).cloned())
    }

    async fn list_closed(
        &self,
        tenant: TenantId,
        after: Option<Timestamp>,
        most: u32,
    ) -> Result<Vec<ClosedInvoice>, BillingStoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let kept = self.kept();
        let listed = kept
            .closed
            .iter()
            .filter(|((of, start), _)| *of == tenant && after.is_none_or(|after| *start > after));
        Ok(listed
            .take(most)
            .map(|(_, closed)| closed.clone())
            .collect())
    }
}
