//! Where custom metrics are kept.

use async_trait::async_trait;
use tenancy_core::{TenantId, Timestamp};

use super::{CustomMetric, MetricAuthor};
use crate::{UsageError, UsageSink};

/// A custom metric, as it was defined.
///
/// ```
/// use tenancy_usage::DefinedMetric;
///
/// fn line(of: &DefinedMetric) -> String {
///     let whose = if of.owner.is_some() { "own" } else { "of the service" };
///     format!("{} ({whose}), since {}", of.metric.name(), of.defined_at)
/// }
/// # let _ = line;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinedMetric {
    /// Whose it is; `None` if operators have defined it for all tenants.
    pub owner: Option<TenantId>,
    /// What it tells.
    pub metric: CustomMetric,
    /// Who defined it last, such as `user:…`.
    pub by: Box<str>,
    /// When.
    pub defined_at: Timestamp,
}

/// What became of a definition.
///
/// ```
/// use tenancy_usage::MetricOutcome;
///
/// assert_ne!(MetricOutcome::Defined, MetricOutcome::Redefined);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricOutcome {
    /// There was none of its name.
    Defined,
    /// It takes the place of another of its name.
    Redefined,
    /// It is as it was.
    Unchanged,
}

/// A sink that keeps [custom metrics](CustomMetric).
///
/// ```
/// use tenancy_core::{TenantId, quota::Window};
/// use tenancy_usage::{CustomMetrics, UsageError};
///
/// async fn print(usage: &dyn CustomMetrics, tenant: TenantId, month: Window) -> Result<(), UsageError> {
///     for defined in usage.list_metrics(tenant).await? {
///         for told in usage.rollups(&defined.metric.total(tenant, month)).await? {
///             println!("{}: {}", defined.metric.name(), told.quantity);
///         }
///     }
///     Ok(())
/// }
/// # let _ = print;
/// ```
#[async_trait]
pub trait CustomMetrics: UsageSink {
    /// Defines a metric, or defines it anew: a tenant's, or one of the operators for all tenants. A tenant's and one for all
    /// may have the same name; both are listed.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidMetric`](crate::UsageErrorKind::InvalidMetric) if
    /// [it can't be told](CustomMetric::check), if there is no room for more, or no reason;
    /// [`Unavailable`](crate::UsageErrorKind::Unavailable) if it is not known what became of it.
    async fn define_metric(
        &self,
        metric: &CustomMetric,
        author: &MetricAuthor,
    ) -> Result<MetricOutcome, UsageError>;

    /// Removes a metric, and says whether there was one. What was counted stays.
    ///
    /// # Errors
    /// As [`define_metric`](Self::define_metric).
    async fn remove_metric(&self, name: &str, author: &MetricAuthor) -> Result<bool, UsageError>;

    /// The metrics that a tenant is told: those for all tenants, then its own, by name.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Unavailable`](crate::UsageErrorKind::Unavailable).
    async fn list_metrics(&self, tenant: TenantId) -> Result<Vec<DefinedMetric>, UsageError>;
}
