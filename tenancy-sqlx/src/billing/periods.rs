//! Closed periods, and their invoices.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{
    postgres::{PgArguments, PgRow},
    query::Query,
    types::Json,
};
use tenancy_core::{TenantId, Timestamp, quota::Window};
use tenancy_usage::{
    billing::{BillingStoreError, CloseOutcome, ClosedInvoice, PeriodStore},
    invoice::{ClosedPeriod, DraftInvoice},
};

use super::{PgBilling, at_most, commit, credits, failed};
use crate::{
    session,
    usage::{Instant, column},
};

/// No two periods that are closed have time in common: if one of them is the period itself, no other has time in common with it.
const OVERLAPPING: i32 = 1;

#[async_trait]
impl PeriodStore for PgBilling {
    async fn close_period(
        &self,
        period: &ClosedPeriod,
        invoice: &DraftInvoice,
    ) -> Result<CloseOutcome, BillingStoreError> {
        let (tenant, window) = (period.tenant(), period.window());
        let mut tx = self.begin_for(tenant).await?;
        let known = overlapping(&mut tx, tenant, window).await?;
        let mut ledger = credits::ledger(&mut tx, tenant).await?;
        let before = ledger.entries().len();
        let outcome = ClosedInvoice::close(period, invoice, &known, &mut ledger)?;
        let CloseOutcome::Closed(closed) = &outcome else {
            return Ok(outcome);
        };
        credits::add(&mut tx, tenant, &ledger, before, None).await?;
        sqlx::query("SELECT tenancy.close_period($1, $2, $3, $4, $5, $6)")
            .bind(tenant.as_uuid())
            .bind(Instant(window.start))
            .bind(Instant(window.end))
            .bind(closed.invoice.id())
            .bind(Json(closed.invoice.to_json()))
            .bind(Instant(closed.closed_at))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        commit(tx).await?;
        Ok(outcome)
    }

    async fn closed(
        &self,
        tenant: TenantId,
        start: Timestamp,
    ) -> Result<Option<ClosedInvoice>, BillingStoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(
            "SELECT i.invoice, (extract(epoch FROM i.closed_at) * 1000000)::bigint AS closed
             FROM tenancy.find_invoice($1, $2) AS i",
        );
        let query = query.bind(tenant.as_uuid()).bind(Instant(start));
        let found = fetch(&mut tx, query).await?;
        tx.give_back();
        Ok(found.into_iter().next())
    }

    async fn list_closed(
        &self,
        tenant: TenantId,
        after: Option<Timestamp>,
        most: u32,
    ) -> Result<Vec<ClosedInvoice>, BillingStoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(
            "SELECT i.invoice, (extract(epoch FROM i.closed_at) * 1000000)::bigint AS closed
             FROM tenancy.list_invoices($1, NULL, NULL, $2, $3) AS i ORDER BY i.period_start",
        );
        let query = query
            .bind(tenant.as_uuid())
            .bind(after.map(Instant))
            .bind(at_most(most));
        let listed = fetch(&mut tx, query).await?;
        tx.give_back();
        Ok(listed)
    }
}

async fn overlapping(
    tx: &mut session::Open,
    tenant: TenantId,
    window: Window,
) -> Result<Vec<ClosedInvoice>, BillingStoreError> {
    let query = sqlx::query(
        "SELECT i.invoice, (extract(epoch FROM i.closed_at) * 1000000)::bigint AS closed
         FROM tenancy.list_invoices($1, $2, $3, NULL, $4) AS i ORDER BY i.period_start",
    );
    let query = query
        .bind(tenant.as_uuid())
        .bind(Instant(window.start))
        .bind(Instant(window.end))
        .bind(OVERLAPPING);
    fetch(tx, query).await
}

async fn fetch(
    tx: &mut session::Open,
    query: Query<'_, sqlx::Postgres, PgArguments>,
) -> Result<Vec<ClosedInvoice>, BillingStoreError> {
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    rows.iter().map(closed_invoice).collect()
}

fn closed_invoice(row: &PgRow) -> Result<ClosedInvoice, BillingStoreError> {
    let Json(invoice): Json<Value> = column(row, "invoice").map_err(failed)?;
    let closed_at = column(row, "closed").map_err(failed)?;
    Ok(ClosedInvoice::new(
        DraftInvoice::from_json(&invoice)?,
        Timestamp::from_unix_micros(closed_at),
    ))
}
