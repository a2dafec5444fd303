//! The plan that a tenant counts as, and what it has in the place of its limits.

use super::{Decider, Interrupt, Step, refuse};
use crate::{
    Plan, PlanVersion, RefusalKind, TenantId, TenantRecord,
    engine::load::{Load, OverridesOf, StoredPlan, StoredPlanAnswer},
    quota::OfTenant,
};

impl Decider<'_> {
    /// What the tenant has in the place of limits of its plan; `None` if none are stored.
    pub(super) fn overrides(&self, tenant: TenantId) -> Step<Option<OfTenant>> {
        if self.engine.stored_overrides.is_none() {
            return Ok(None);
        }
        match self.known::<OverridesOf>(&tenant)? {
            Some(known) => Ok(known),
            None => Err(Interrupt::Load(Load::of::<OverridesOf>(tenant))),
        }
    }

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
