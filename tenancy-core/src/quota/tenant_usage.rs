//! `TenantUsage`: what a tenant has used and left, for operators.

use super::{LimitUsage, QuotaService, Scope, charging::Payer};
use crate::{Refusal, TenantRecord, plan::Plans};

/// What a tenant has used of its limits, what is left, and when it is back: from
/// [`Admin::usage`](crate::Admin::usage).
///
/// ```
/// use tenancy_core::quota::TenantUsage;
///
/// /// Whom to call before they call.
/// fn is_nearly_out(tenant: &TenantUsage) -> bool {
///     tenant.limits.iter().any(|limit| limit.standing.used * 10 >= limit.standing.limit * 9)
/// }
/// # let _ = is_nearly_out;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TenantUsage {
    /// The tenant's record.
    pub record: TenantRecord,
    /// The plan that it counts as; `None` if there is none.
    pub plan: Option<String>,
    /// Where each limit of the tenant as a whole stands. Those of single callers, keys and projects are not among them,
    /// nor what is not counted. None if its plan is not in the book.
    pub limits: Vec<LimitUsage>,
}

impl QuotaService {
    /// What a tenant has used, without anybody who calls.
    pub(crate) async fn usage_of(
        &self,
        record: TenantRecord,
        plans: Option<&Plans>,
    ) -> Result<TenantUsage, Refusal> {
        let is_in_the_book = plans.is_none_or(|plans| plans.rules(&record).is_some());
        let limits = if is_in_the_book {
            let payer = Payer::tenant(&record, plans);
            self.0.usage(payer, |scope| scope == Scope::Tenant).await?
        } else {
            Vec::new()
        };
        let plan = plans.and_then(|plans| plans.name(&record));
        Ok(TenantUsage {
            plan: plan.map(str::to_owned),
            limits,
            record,
        })
    }
}
