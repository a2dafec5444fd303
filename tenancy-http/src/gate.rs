//! A route's policy in effect: what is checked after the decision, and what is taken once.

use std::sync::Arc;

use tenancy_core::{
    Charging, ConfigError, Cost, PermissionId, Refusal, RefusalKind, RequestView, RouteNeeds,
    RoutePolicy, Tenancy, TenantContext, TenantId,
};

use crate::{AdmissionDecision, DecisionLookup, Error};

/// Lets requests through that hold what a [`RoutePolicy`] asks for, and has them charged; an adapter calls
/// it after the decision and before the inner service.
#[derive(Debug, Clone)]
pub struct Gate {
    tenancy: Tenancy,
    permission: Option<PermissionId>,
    policy: Arc<RoutePolicy>,
}

/// What a request has been charged, for it to carry: a request is charged once for each meter.
#[derive(Debug, Clone, Default)]
pub struct Charged(Vec<Taken>);

/// What was taken of one meter.
#[derive(Debug, Clone)]
struct Taken {
    tenancy: Tenancy,
    /// Whose it is; `None` where the request has no tenant, and who calls was charged.
    tenant: Option<TenantId>,
    cost: Cost,
}

impl Gate {
    /// A gate for a policy of this engine.
    ///
    /// # Errors
    /// A [`ConfigError`] that names what was never declared: see [`Tenancy::check_policy`].
    pub fn new(tenancy: &Tenancy, policy: RoutePolicy) -> Result<Self, ConfigError> {
        tenancy.check_policy(&policy)?;
        let permission = policy.required_permission();
        Ok(Self {
            tenancy: tenancy.clone(),
            permission: permission.and_then(|name| tenancy.permissions().id(name)),
            policy: Arc::new(policy),
        })
    }

    /// The engine.
    #[must_use]
    pub const fn tenancy(&self) -> &Tenancy {
        &self.tenancy
    }

    /// What the decision is made for.
    pub fn needs(&self) -> RouteNeeds {
        self.policy.needs()
    }

    /// Checks permission and feature, and records a refusal.
    ///
    /// # Errors
    /// Status 403 if the caller lacks the permission or the plan the feature, 401 or 400 if there is no
    /// tenant, 500 if no decision of this engine stands before.
    pub fn check(&self, asking: DecisionLookup<'_>) -> Result<(), Error> {
        if self.permission.is_none() && self.policy.required_feature().is_none() {
            return Ok(());
        }
        let context = asking.tenant_of(&self.tenancy)?;
        if let Some(permission) = self.permission {
            context.require_id(permission)?;
        }
        if let Some(feature) = self.policy.required_feature() {
            context.require_feature(feature)?;
        }
        Ok(())
    }

    /// Takes what the policy costs and the request has not been charged before; `None` if that is nothing.
    ///
    /// `charged` is what the request carries. It is told of the charge at once: a request whose charge is
    /// refused or given up goes no further.
    pub fn charge(
        &self,
        decision: Option<&AdmissionDecision>,
        charged: &mut Charged,
        request: &dyn RequestView,
    ) -> Option<Charging> {
        let context = decision.and_then(AdmissionDecision::context);
        let tenant = context.map(TenantContext::tenant_id);
        let (due, before) = charged.add(&self.tenancy, tenant, self.policy.costs());
        if due.is_empty() {
            return None;
        }
        let Some(decision) = decision else {
            tracing::error!("a request is to be charged that nobody has decided about");
            let refusal = Refusal::new(RefusalKind::Misconfigured, "tenancy-layer-missing");
            return Some(refusal.into());
        };
        let admitted = decision.admitted();
        let tenancy = &self.tenancy;
        Some(tenancy.charge_rest(&admitted, &due, &before, request))
    }
}

impl Charged {
    /// Adds costs, and says how much of each has not been charged yet, and what was taken before of those meters.
    fn add(
        &mut self,
        tenancy: &Tenancy,
        tenant: Option<TenantId>,
        costs: &[Cost],
    ) -> (Vec<Cost>, Vec<Cost>) {
        let (mut due, mut all_before) = (Vec::new(), Vec::new());
        for cost in costs {
            let before = self.0.iter_mut().find(|taken| {
                taken.tenancy.is(tenancy)
                    && taken.tenant == tenant
                    && taken.cost.meter() == cost.meter()
            });
            let already = before.as_ref().map_or(0, |taken| taken.cost.amount());
            let rest = cost.amount().saturating_sub(already);
            if rest == 0 {
                continue;
            }
            due.push(Cost::new(cost.meter(), rest));
            match before {
                Some(taken) => {
                    all_before.push(Cost::new(cost.meter(), already));
                    taken.cost = cost.clone();
                }
                None => self.0.push(Taken {
                    tenancy: tenancy.clone(),
                    tenant,
                    cost: cost.clone(),
                }),
            }
        }
        (due, all_before)
    }
}

#[cfg(test)]
mod tests {
    use tenancy_core::{
        Charge, ChargeRequest, Charger, MemoryDirectory, PermissionRegistry, PlanBook, SystemRole,
        jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    };

    use super::*;

    #[derive(Debug)]
    struct Exports;

    impl Charger for Exports {
        fn knows(&self, meter: &str) -> bool {
            meter == "exports"
        }

        fn charge(&self, _: &ChargeRequest<'_>) -> Charging {
            Charge::new().into()
        }
    }

    fn engine(charges: bool) -> Tenancy {
        let key = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
        let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key);
        let permissions =
            PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer);
        let builder = Tenancy::builder(MemoryDirectory::new())
            .authenticator(tokens.build().unwrap())
            .plans(PlanBook::new().plan("pro", ["*"]).features("pro", ["sso"]))
            .permissions(permissions.build().unwrap());
        if charges {
            builder.charger(Exports).build().unwrap()
        } else {
            builder.build().unwrap()
        }
    }

    #[test]
    fn a_policy_that_asks_for_what_there_is_not_is_not_built() {
        let tenant = || RoutePolicy::new(RouteNeeds::tenant());
        let anonymous = RoutePolicy::new(RouteNeeds::tenant().or_anonymous());
        let central = || RoutePolicy::new(RouteNeeds::central());
        for (policy, charges, said) in [
            (
                tenant().permission("notes:burn"),
                true,
                "`notes:burn`, which was never declared",
            ),
            (tenant().feature("beer"), true, "`beer`, which no plan has"),
            (
                tenant().cost("exports", 1),
                false,
                "give the engine a `charger`",
            ),
            (
                tenant().cost("imports", 1),
                true,
                "`imports`, which the engine's charger",
            ),
            (
                tenant().cost("exports", 1).cost("exports", 2),
                true,
                "`exports` twice",
            ),
            (
                anonymous.permission("notes:read"),
                true,
                "admits anonymous callers",
            ),
            (central().permission("notes:read"), true, "central route"),
            (central().feature("sso"), true, "central route"),
        ] {
            let error = Gate::new(&engine(charges), policy).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        for policy in [
            tenant()
                .permission("notes:read")
                .feature("sso")
                .cost("exports", 1),
            central().cost("exports", 1),
        ] {
            assert!(Gate::new(&engine(true), policy).is_ok());
        }
    }

    #[test]
    fn a_meter_is_charged_once_and_with_the_highest_amount() {
        let (one, other) = (engine(true), engine(true));
        let mut charged = Charged::default();
        let mut add_for = |engine: &Tenancy, tenant, amount| {
            let (due, _) = charged.add(engine, tenant, &[Cost::new("exports", amount)]);
            due.iter().map(Cost::amount).sum::<u64>()
        };
        let mut add = |engine: &Tenancy, amount| add_for(engine, None, amount);
        assert_eq!(add(&one, 3), 3);
        assert_eq!(add(&one, 3), 0);
        assert_eq!(add(&one, 2), 0);
        assert_eq!(add(&one, 10), 7);
        assert_eq!(add(&one, 10), 0);
        assert_eq!(add(&other, 3), 3);
        assert_eq!(add(&other, 0), 0);
        // Who calls has been charged, and a tenant has not.
        assert_eq!(add_for(&one, Some(TenantId::new()), 3), 3);
    }
}
