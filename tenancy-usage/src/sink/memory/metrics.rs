//! Custom metrics in memory.

use std::{collections::BTreeMap, sync::PoisonError};

use async_trait::async_trait;
use tenancy_core::TenantId;

use super::MemoryUsage;
use crate::{CustomMetric, CustomMetrics, DefinedMetric, MetricAuthor, MetricOutcome, UsageError};

/// By owner and name.
pub(super) type Metrics = BTreeMap<(Option<TenantId>, Box<str>), DefinedMetric>;

#[async_trait]
impl CustomMetrics for MemoryUsage {
    async fn define_metric(
        &self,
        metric: &CustomMetric,
        author: &MetricAuthor,
    ) -> Result<MetricOutcome, UsageError> {
        metric.check(&self.meters)?;
        author.check()?;
        let owner = author.owner();
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let count = metrics.keys().filter(|(of, _)| *of == owner).count();
        let key = (owner, metric.name().into());
        let outcome = match metrics.get(&key) {
            Some(known) if known.metric == *metric => return Ok(MetricOutcome::Unchanged),
            Some(_) => MetricOutcome::Redefined,
            None if count >= CustomMetric::MOST => return Err(CustomMetric::too_many()),
            None => MetricOutcome::Defined,
        };
        let defined = DefinedMetric {
            owner,
            metric: metric.clone(),
            by: author.actor().to_string().into(),
            defined_at: self.clock.now(),
        };
        metrics.insert(key, defined);
        Ok(outcome)
    }

    async fn remove_metric(&self, name: &str, author: &MetricAuthor) -> Result<bool, UsageError> {
        author.check()?;
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(metrics.remove(&(author.owner(), name.into())).is_some())
    }

    async fn list_metrics(&self, tenant: TenantId) -> Result<Vec<DefinedMetric>, UsageError> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let told = metrics.values();
        let told = told.filter(|it| it.owner.is_none_or(|owner| owner == tenant));
        Ok(told.cloned().collect())
    }
}
