//! Ledgers in memory.

use async_trait::async_trait;
use rust_decimal::Decimal;
use tenancy_core::{Actor, TenantId, Timestamp};

use super::MemoryBilling;
use crate::{
    billing::{BillingStoreError, CreditStore, GrantOutcome, check_text},
    credit::{CreditLedger, Draw, Grant, GrantUnit},
};

#[async_trait]
impl CreditStore for MemoryBilling {
    async fn grant(
        &self,
        tenant: TenantId,
        grant: &Grant,
        _by: &Actor,
        reason: &str,
    ) -> Result<GrantOutcome, BillingStoreError> {
        grant.check_stored(reason)?;
        let mut kept = self.kept();
        let ledger = kept.ledgers.entry(tenant).or_default();
        let before = ledger.entries().len();
        ledger.grant(grant.clone())?;
        Ok(GrantOutcome::of(before, ledger))
    }

    async fn draw(
        &self,
        tenant: TenantId,
        unit: &GrantUnit,
        wanted: Decimal,
        at: Timestamp,
        purpose: &str,
    ) -> Result<Vec<Draw>, BillingStoreError> {
        check_text("the purpose of a draw", purpose)?;
        let mut kept = self.kept();
        let ledger = kept.ledgers.entry(tenant).or_default();
        Ok(ledger.draw(unit, wanted, at, purpose)?)
    }

    async fn ledger(&self, tenant: TenantId) -> Result<CreditLedger, BillingStoreError> {
        Ok(self
            .kept()
            .ledgers
            .get(&tenant)
            .cloned()
            .unwrap_or_default())
    }
}
