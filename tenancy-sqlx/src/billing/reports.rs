//! Reports on their way to a billing system.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tenancy_core::{TenantId, Timestamp};
use tenancy_usage::billing::{
    BillingStoreError, CustomerId, QueueOutcome, ReportOutcome, ReportStore, StuckReport,
    UsageReport, check_text,
};

use super::{PgBilling, at_most, commit, failed};
use crate::usage::{Instant, column};

#[async_trait]
impl ReportStore for PgBilling {
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
        let texts = |of: fn(&UsageReport) -> &str| -> Vec<String> {
            reports.iter().map(|report| of(report).to_owned()).collect()
        };
        let mut tx = self.begin().await?;
        let outcomes: Vec<i16> =
            sqlx::query_scalar("SELECT tenancy.queue_reports($1, $2, $3, $4, $5, $6, $7)")
                .bind(tenant.as_uuid())
                .bind(provider)
                .bind(texts(|report| &report.id))
                .bind(texts(|report| report.customer.as_str()))
                .bind(texts(|report| &report.meter))
                .bind(reports.iter().map(|it| it.quantity).collect::<Vec<_>>())
                .bind(reports.iter().map(|it| Instant(it.at)).collect::<Vec<_>>())
                .fetch_one(&mut *tx)
                .await
                .map_err(failed)?;
        commit(tx).await?;
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            0 => QueueOutcome::Queued,
            1 => QueueOutcome::AlreadyQueued,
            3 => QueueOutcome::UnknownCustomer,
            _ => QueueOutcome::Conflict,
        });
        Ok(outcomes.collect())
    }

    async fn take_reports(
        &self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<UsageReport>, BillingStoreError> {
        let now = self.clock.now();
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT r.customer, r.meter, r.quantity, r.id, (extract(epoch FROM r.at) * 1000000)::bigint AS at
             FROM tenancy.take_reports($1, $2, $3, $4, $5, $6) AS r",
        )
        .bind(provider)
        .bind(at_most(most))
        .bind(Instant(now))
        .bind(Instant(now + StuckReport::HELD))
        .bind(Instant(now - StuckReport::REMEMBERED))
        .bind(StuckReport::FORGOTTEN)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
        let reports = rows.iter().map(report).collect::<Result<_, _>>()?;
        // Before they are sent, so that it is known that they may have been.
        commit(tx).await?;
        Ok(reports)
    }

    async fn settle_reports(
        &self,
        provider: &str,
        outcomes: &[(Box<str>, ReportOutcome)],
    ) -> Result<(), BillingStoreError> {
        let ids = outcomes.iter().map(|(id, _)| id.to_string());
        let reasons = outcomes.iter().map(|(_, outcome)| match outcome {
            // PostgreSQL has no place for a NUL.
            ReportOutcome::Refused(why) => Some(why.replace('\0', " ")),
            _ => None,
        });
        let mut tx = self.begin().await?;
        sqlx::query("SELECT tenancy.settle_reports($1, $2, $3)")
            .bind(provider)
            .bind(ids.collect::<Vec<_>>())
            .bind(reasons.collect::<Vec<_>>())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        commit(tx).await
    }

    async fn stuck_reports(
        &self,
        provider: &str,
        most: u32,
    ) -> Result<Vec<StuckReport>, BillingStoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT r.tenant_id, r.customer, r.meter, r.quantity, r.id, r.why,
                 (extract(epoch FROM r.at) * 1000000)::bigint AS at
             FROM tenancy.list_stuck_reports($1, $2) AS r ORDER BY r.number",
        )
        .bind(provider)
        .bind(at_most(most))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
        tx.give_back();
        let stuck = rows.iter().map(|row| {
            let tenant = TenantId::from_uuid(column(row, "tenant_id").map_err(failed)?);
            let why: Option<String> = column(row, "why").map_err(failed)?;
            Ok(StuckReport::new(
                tenant,
                report(row)?,
                why.unwrap_or_default(),
            ))
        });
        stuck.collect()
    }

    async fn requeue_report(&self, provider: &str, id: &str) -> Result<bool, BillingStoreError> {
        let mut tx = self.begin().await?;
        let was_stuck: bool = sqlx::query_scalar("SELECT tenancy.requeue_report($1, $2)")
            .bind(provider)
            .bind(id)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed)?;
        commit(tx).await?;
        Ok(was_stuck)
    }
}

fn report(row: &PgRow) -> Result<UsageReport, BillingStoreError> {
    let text = |name| column::<String>(row, name).map_err(failed);
    let at = column(row, "at").map_err(failed)?;
    Ok(UsageReport::new(
        CustomerId::new(text("customer")?),
        text("meter")?,
        column::<tenancy_usage::Decimal>(row, "quantity").map_err(failed)?,
        Timestamp::from_unix_micros(at),
        text("id")?,
    ))
}
