//! Custom metrics: their definitions, in the schema `tenancy`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sqlx::{
    postgres::PgRow,
    types::{Json, Uuid},
};
use tenancy_core::{TenantId, Timestamp};
use tenancy_usage::{
    Aggregation, CustomMetric, CustomMetrics, DefinedMetric, MetricAuthor, MetricOutcome,
    UsageError,
};

use super::{
    Inner, PgUsage, column,
    correcting::{entry, entry_row},
    instant::Instant,
    unavailable,
};

#[async_trait]
impl CustomMetrics for PgUsage {
    async fn define_metric(
        &self,
        metric: &CustomMetric,
        author: &MetricAuthor,
    ) -> Result<MetricOutcome, UsageError> {
        metric.check(&self.inner.meters)?;
        author.check()?;
        let mut tx = self.inner.begin().await?;
        let most = i32::try_from(CustomMetric::MOST).unwrap_or(i32::MAX);
        let outcome: i16 =
            sqlx::query_scalar("SELECT tenancy.define_metric($1, $2, $3, $4, $5, $6, $7, $8, $9)")
                .bind(author.owner().map(|tenant| tenant.as_uuid()))
                .bind(metric.name())
                .bind(metric.meter())
                .bind(metric.aggregation().as_str())
                .bind(Json(metric.chosen()))
                .bind(most)
                .bind(author.actor().to_string())
                .bind(Instant(self.inner.clock.now()))
                .bind(
                    self.inner
                        .told(author, "usage.define-metric", metric.name()),
                )
                .fetch_one(&mut *tx)
                .await
                .map_err(unavailable)?;
        let outcome = match outcome {
            0 => MetricOutcome::Defined,
            1 => MetricOutcome::Redefined,
            2 => MetricOutcome::Unchanged,
            _ => return Err(CustomMetric::too_many()),
        };
        tx.commit().await.map_err(unavailable)?;
        Ok(outcome)
    }

    async fn remove_metric(&self, name: &str, author: &MetricAuthor) -> Result<bool, UsageError> {
        author.check()?;
        if name.contains('\0') {
            return Ok(false);
        }
        let mut tx = self.inner.begin().await?;
        let was_there: bool = sqlx::query_scalar("SELECT tenancy.remove_metric($1, $2, $3)")
            .bind(author.owner().map(|tenant| tenant.as_uuid()))
            .bind(name)
            .bind(self.inner.told(author, "usage.remove-metric", name))
            .fetch_one(&mut *tx)
            .await
            .map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        Ok(was_there)
    }

    async fn list_metrics(&self, tenant: TenantId) -> Result<Vec<DefinedMetric>, UsageError> {
        let mut tx = self.inner.begin().await?;
        let rows = sqlx::query(
            "SELECT m.owner, m.name, m.meter, m.aggregation, m.chosen, m.by_whom,
                 (extract(epoch FROM m.defined_at) * 1000000)::bigint AS defined
             FROM tenancy.list_metrics($1) AS m",
        )
        .bind(tenant.as_uuid())
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        tx.give_back();
        let mut told = Vec::with_capacity(rows.len());
        for row in &rows {
            // A newer release may know other aggregations, which this one can't tell.
            told.extend(metric(row).map_err(unavailable)?);
        }
        Ok(told)
    }
}

impl Inner {
    /// The entry of the trail.
    fn told(
        &self,
        author: &MetricAuthor,
        action: &'static str,
        name: &str,
    ) -> Json<serde_json::Value> {
        let owner = author
            .owner()
            .unwrap_or_else(|| TenantId::from_uuid(Uuid::nil()));
        let mut entry = entry(
            self.clock.now(),
            owner,
            action,
            author.actor(),
            author.reason(),
        );
        entry.tenant = author.owner();
        Json(entry_row(&entry.about("usage-metric", name)))
    }
}

fn metric(row: &PgRow) -> Result<Option<DefinedMetric>, sqlx::Error> {
    let owner: Uuid = column(row, "owner")?;
    let (name, meter) = (
        column::<String>(row, "name")?,
        column::<String>(row, "meter")?,
    );
    let aggregation: String = column(row, "aggregation")?;
    let known = Aggregation::ALL
        .into_iter()
        .find(|known| known.as_str() == aggregation);
    let Some(aggregation) = known else {
        return Ok(None);
    };
    let mut metric = CustomMetric::new(name, meter, aggregation);
    let Json(chosen): Json<BTreeMap<String, BTreeSet<String>>> = column(row, "chosen")?;
    for (dimension, values) in chosen {
        metric = metric.only(dimension, values);
    }
    Ok(Some(DefinedMetric {
        owner: (!owner.is_nil()).then(|| TenantId::from_uuid(owner)),
        metric,
        by: column::<String>(row, "by_whom")?.into(),
        defined_at: Timestamp::from_unix_micros(column(row, "defined")?),
    }))
}
