//! Whose a custom metric is, and who defines it.

use tenancy_core::{Actor, TenantContext, TenantId};

use crate::{UsageError, correction::check_reason};

/// Whose a [custom metric](crate::CustomMetric) is, and who defines or removes it.
///
/// ```
/// use tenancy_core::TenantContext;
/// use tenancy_usage::{Aggregation, CustomMetric, CustomMetrics, MetricAuthor, UsageError};
///
/// /// Behind a route that asks for a permission.
/// async fn define(usage: &dyn CustomMetrics, context: &TenantContext) -> Result<(), UsageError> {
///     let metric = CustomMetric::new("failed-exports", "exports", Aggregation::Count).only("outcome", ["failed"]);
///     usage.define_metric(&metric, &MetricAuthor::in_context(context)).await?;
///     Ok(())
/// }
/// # let _ = define;
/// ```
///
/// # Security
/// Nothing here checks a permission. Guard the route that calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct MetricAuthor {
    owner: Option<TenantId>,
    actor: Actor,
    reason: Box<str>,
}

impl MetricAuthor {
    /// The caller of a request, for the tenant of the context, and so for no other.
    pub fn in_context(context: &TenantContext) -> Self {
        Self {
            owner: Some(context.tenant_id()),
            actor: context.principal().actor.clone(),
            reason: "defined by the tenant".into(),
        }
    }

    /// An operator or a job, for one tenant, for this reason.
    pub fn for_tenant(tenant: TenantId, actor: Actor, reason: impl Into<Box<str>>) -> Self {
        Self {
            owner: Some(tenant),
            ..Self::for_all(actor, reason)
        }
    }

    /// An operator or a job, for all tenants, for this reason: each of them is told the metric, of its own events.
    pub fn for_all(actor: Actor, reason: impl Into<Box<str>>) -> Self {
        Self {
            owner: None,
            actor,
            reason: reason.into(),
        }
    }

    /// The tenant whose the metric is; `None` if it is for all.
    #[must_use]
    pub const fn owner(&self) -> Option<TenantId> {
        self.owner
    }

    /// Who defines it.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether there is a reason that can be kept; for stores.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`InvalidMetric`](crate::UsageErrorKind::InvalidMetric).
    pub fn check(&self) -> Result<(), UsageError> {
        let reason = check_reason(&self.reason);
        reason.map_err(|error| UsageError::invalid_metric(error.to_string()))
    }
}
