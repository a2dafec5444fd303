//! Putting a route's policy into effect: what it asks for must exist, and what it costs is taken.

use crate::engine::{Tenancy, facts::ClientInfo, refusal_log::Refused};
use crate::{
    Admitted, ChargeRequest, Charging, ConfigError, Cost, Refusal, RequestView, RoutePolicy,
    TenantNeed,
};

/// Whether a policy asks for what there is.
pub(in crate::engine) fn check_policy(
    engine: &Tenancy,
    policy: &RoutePolicy,
) -> Result<(), ConfigError> {
    let needs = policy.needs();
    let of_tenants = [
        ("permission", policy.required_permission()),
        ("feature", policy.required_feature()),
    ];
    for (what, name) in of_tenants {
        if let (Some(name), TenantNeed::Central) = (name, needs.tenant_need()) {
            return Err(ConfigError::new(format!(
                "a policy asks for the {what} `{name}` on a central route, which has no tenant; \
                     remove it or declare the route with `RouteNeeds::tenant()`"
            )));
        }
    }
    if let Some(name) = policy.required_permission() {
        if engine.permissions().id(name).is_none() {
            return Err(ConfigError::new(format!(
                "a policy asks for the permission `{name}`, which was never declared; add it to \
                     the `PermissionRegistry`"
            )));
        }
        if needs.admits_anonymous() {
            return Err(ConfigError::new(format!(
                "a policy asks for the permission `{name}` and admits anonymous callers, who hold \
                     none; remove one of the two"
            )));
        }
    }
    if let Some(name) = policy.required_feature()
        && !engine.has_feature(name)
    {
        return Err(ConfigError::new(format!(
            "a policy asks for the feature `{name}`, which no plan has; add it with \
                 `PlanBook::features`"
        )));
    }
    check_costs(engine, policy.costs())
}

fn check_costs(engine: &Tenancy, costs: &[Cost]) -> Result<(), ConfigError> {
    let mut before: Vec<&str> = Vec::new();
    for cost in costs {
        let meter = cost.meter();
        if before.contains(&meter) {
            return Err(ConfigError::new(format!(
                "a policy takes of the meter `{meter}` twice; keep one of the costs"
            )));
        }
        before.push(meter);
        match &engine.inner().charger {
            None => {
                return Err(ConfigError::new(format!(
                    "a policy takes of the meter `{meter}`, and nothing takes what requests cost; \
                         give the engine a `charger`"
                )));
            }
            Some(charger) if !charger.knows(meter) => {
                return Err(ConfigError::new(format!(
                    "a policy takes of the meter `{meter}`, which the engine's charger does not \
                         know; declare it there"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Takes what a request costs, beyond what was taken before.
pub(in crate::engine) fn charge(
    engine: &Tenancy,
    admitted: &Admitted,
    costs: (&[Cost], &[Cost]),
    request: &dyn RequestView,
) -> Charging {
    let Some(charger) = &engine.inner().charger else {
        tracing::error!("a request is to be charged, and the engine has no charger");
        let kind = crate::RefusalKind::Misconfigured;
        return Refusal::new(kind, "charger-missing").into();
    };
    let ip = engine.identification().proxies().client_ip(request);
    let asked = ChargeRequest::new(admitted, costs, request, ip);
    // Whatever the charger: what a key is limited to by itself, and can't be counted, is not to be had for nothing.
    let charging = match asked.own_limits().check() {
        Ok(()) => charger.charge(&asked),
        Err(refusal) => refusal.into(),
    };
    recorded(charging, || Charged {
        engine: engine.clone(),
        admitted: Some(admitted.clone()),
        caller: ClientInfo::of(engine.inner(), request),
    })
}

/// Takes what a request costs its address.
pub(in crate::engine) fn charge_address(
    engine: &Tenancy,
    request: &dyn RequestView,
) -> Option<Charging> {
    let quotas = engine.quotas().filter(|quotas| quotas.limits_addresses())?;
    let ip = engine.identification().proxies().client_ip(request);
    let charging = quotas.charge_address(ip);
    Some(recorded(charging, || Charged {
        engine: engine.clone(),
        admitted: None,
        caller: ClientInfo::of(engine.inner(), request),
    }))
}

/// The same, with its refusal recorded.
fn recorded(charging: Charging, charged: impl FnOnce() -> Charged) -> Charging {
    if let Charging::Ready(Ok(charge)) = charging {
        return charge.into();
    }
    let charged = charged();
    match charging {
        Charging::Ready(outcome) => {
            Charging::Ready(outcome.map_err(|refusal| charged.refused(refusal)))
        }
        Charging::Pending(charging) => Charging::Pending(Box::pin(async move {
            charging.await.map_err(|refusal| charged.refused(refusal))
        })),
    }
}

/// Whom a refused charge is recorded about.
struct Charged {
    engine: Tenancy,
    /// `None` before anybody has asked who calls.
    admitted: Option<Admitted>,
    caller: ClientInfo,
}

impl Charged {
    fn refused(self, refusal: Refusal) -> Refusal {
        if refusal.kind() == crate::RefusalKind::Unavailable {
            return self.engine.inner().refusals.add(refusal);
        }
        let mut refused = Refused::of(refusal);
        match &self.admitted {
            Some(Admitted::Tenant(context)) => {
                refused.tenant = Some(context.tenant_id());
                refused.note_caller(context.principal());
            }
            Some(Admitted::NoTenant(Some(principal))) => refused.note_caller(principal),
            Some(Admitted::NoTenant(None)) | None => {}
        }
        let log = &self.engine.inner().refusals;
        log.record("request.charge", refused, &self.caller)
    }
}
