//! The plan that a tenant counts as.

use super::{Decider, Interrupt, Step, refuse};
use crate::{
    Plan, PlanVersion, RefusalKind, TenantRecord,
    engine::load::{Load, StoredPlan, StoredPlanAnswer},
};

impl Decider<'_> {
    /// The plan that a tenant counts as; `None` if there are no plans, or if there is none of that name.
    pub(super) fn plan(&self, tenant: &TenantRecord) -> Step<Option<Plan>> {
        let Some(plans) = &self.engine.plans else {
            return Ok(None);
        };
        if let Some(plan) = plans.of(tenant) {
            return Ok(Some(plan));
        }
        let Some(name) = plans.name_of(tenant) else {
            return Ok(None);
        };
        if self.engine.stored_plans.is_some() && PlanVersion::parse_id(&name).is_some() {
            match self.loaded.get::<StoredPlan>(&name) {
                None if plans.cannot_use(&name) => {
                    return refuse(RefusalKind::Unavailable, "plan-unusable");
                }
                None => return Err(Interrupt::Load(Load::of::<StoredPlan>(name))),
                Some(StoredPlanAnswer::Is(plan)) => return Ok(Some(plan.clone())),
                // Not the tenant's fault: another process may serve it, and this one after an upgrade.
                Some(StoredPlanAnswer::Unusable) => {
                    return refuse(RefusalKind::Unavailable, "plan-unusable");
                }
                Some(StoredPlanAnswer::Missing) => {}
            }
        }
        tracing::warn!(tenant.id = %tenant.id, plan = %name, "unknown plan: nothing is permitted");
        Ok(None)
    }
}
