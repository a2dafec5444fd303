//! Giving back in a transaction of the application.

use std::fmt;

use super::OperationId;

/// What is given back when a transaction of the application commits: from
/// [`QuotaService::prepare_give_back`](super::QuotaService::prepare_give_back). Where no transaction confirms it within a
/// minute, nothing is given back.
///
/// ```
/// use tenancy_core::{Cost, Refusal, TenantContext};
///
/// async fn remove_project(context: &TenantContext) -> Result<(), Refusal> {
///     let Some(quotas) = context.tenancy().quotas() else { return Ok(()) };
///     let freed = quotas.prepare_give_back(context, &Cost::new("projects", 1)).await?;
///     // … delete the project and hand this to the transaction …
/// #   drop(freed);
///     Ok(())
/// }
/// # let _ = remove_project;
/// ```
#[must_use = "nothing is given back unless a transaction confirms it"]
pub struct GiveBack {
    operation: OperationId,
    limits: usize,
}

impl GiveBack {
    pub(super) const fn new(operation: OperationId, limits: usize) -> Self {
        Self { operation, limits }
    }

    /// By what id the counters know it.
    #[must_use]
    pub const fn operation(&self) -> OperationId {
        self.operation
    }

    /// To how many limits something is given back.
    #[must_use]
    pub const fn limits(&self) -> usize {
        self.limits
    }
}

impl fmt::Debug for GiveBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GiveBack")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
