//! Ledgers of credits.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{Row as _, types::Json};
use tenancy_core::{Actor, TenantId, Timestamp};
use tenancy_usage::{
    Decimal,
    billing::{BillingStoreError, CreditStore, GrantOutcome, check_text},
    credit::{CreditLedger, Draw, Grant, GrantUnit},
};

use super::{PgBilling, commit, failed};
use crate::{
    session,
    usage::{entry, entry_row},
};

#[async_trait]
impl CreditStore for PgBilling {
    async fn grant(
        &self,
        tenant: TenantId,
        grant: &Grant,
        by: &Actor,
        reason: &str,
    ) -> Result<GrantOutcome, BillingStoreError> {
        grant.check_stored(reason)?;
        let mut tx = self.begin_for(tenant).await?;
        let mut ledger = ledger(&mut tx, tenant).await?;
        let before = ledger.entries().len();
        ledger.grant(grant.clone())?;
        let told = entry(self.clock.now(), tenant, "billing.grant", by, reason)
            .about("credit-grant", grant.id.to_string());
        add(&mut tx, tenant, &ledger, before, Some(entry_row(&told))).await?;
        commit(tx).await?;
        Ok(GrantOutcome::of(before, &ledger))
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
        let mut tx = self.begin_for(tenant).await?;
        let mut ledger = ledger(&mut tx, tenant).await?;
        let before = ledger.entries().len();
        let draws = ledger.draw(unit, wanted, at, purpose)?;
        add(&mut tx, tenant, &ledger, before, None).await?;
        commit(tx).await?;
        Ok(draws)
    }

    async fn ledger(&self, tenant: TenantId) -> Result<CreditLedger, BillingStoreError> {
        let mut tx = self.begin().await?;
        let ledger = ledger(&mut tx, tenant).await?;
        tx.give_back();
        Ok(ledger)
    }
}

pub(super) async fn ledger(
    tx: &mut session::Open,
    tenant: TenantId,
) -> Result<CreditLedger, BillingStoreError> {
    let rows = sqlx::query("SELECT c.entry FROM tenancy.list_credits($1) AS c ORDER BY c.number")
        .bind(tenant.as_uuid())
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    let entries = rows.iter().map(|row| {
        let Json(entry): Json<Value> = row.try_get(0).map_err(failed)?;
        Ok(entry)
    });
    let entries: Result<Vec<_>, BillingStoreError> = entries.collect();
    CreditLedger::replay_json(&entries?)
}

/// Adds what is new in a ledger, after so many entries. `told` is the entry of the trail, where somebody did it.
pub(super) async fn add(
    tx: &mut session::Open,
    tenant: TenantId,
    ledger: &CreditLedger,
    before: usize,
    told: Option<Value>,
) -> Result<(), BillingStoreError> {
    for (number, entry) in ledger.entries().iter().enumerate().skip(before) {
        sqlx::query("SELECT tenancy.add_credit($1, $2, $3, $4)")
            .bind(tenant.as_uuid())
            .bind(i64::try_from(number + 1).unwrap_or(i64::MAX))
            .bind(Json(entry.to_json()))
            .bind(told.clone().map(Json))
            .execute(&mut **tx)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
