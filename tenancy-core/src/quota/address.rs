//! Limits of client addresses: taken of each request before anybody asks who calls.

use std::{net::IpAddr, sync::Arc};

use super::{
    Calendar, Counting, Granted, Holder, Limit, MAX_TAKES, Meter, MeterKind, Operation,
    QuotaService, Scope, Settle,
    charging::{Due, Dues, finish},
    rule::{Rule, RuleShape},
    service::Inner,
};
use crate::{Charge, Charging, ConfigError, Ending};

/// Reads the limits of addresses.
pub(super) fn rules(limits: Vec<Limit>, meters: &[Meter]) -> Result<Vec<Arc<Rule>>, ConfigError> {
    let mut rules: Vec<Arc<Rule>> = Vec::new();
    for limit in limits {
        let name = limit.clone().scope(Scope::Address).name();
        let wrong = |why: &str| ConfigError::new(format!("the limit of addresses `{name}`: {why}"));
        if !matches!(limit.scope, Scope::Tenant | Scope::Address) {
            return Err(wrong("it counts for addresses alone; remove `scope`"));
        }
        let own = Meter::consumed(&*limit.meter);
        let declared = meters.iter().find(|meter| meter.name() == own.name());
        let meter = declared.unwrap_or(&own).clone();
        let limit = limit.scope(Scope::Tenant).named(name.clone());
        let rule = Rule::of(&limit, &[meter], false).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(rule.shape, RuleShape::Rate(_) | RuleShape::Period(..)) {
            return Err(wrong(
                "give a `Limit::rate` or a `Limit::per_period` of at least 1: each request takes 1 of it",
            ));
        }
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(wrong(
                "two are called so; remove one, or give it a name of its own with `Limit::named`",
            ));
        }
        rules.push(Arc::new(Rule {
            scope: Scope::Address,
            ..rule
        }));
    }
    if rules.len() > MAX_TAKES {
        return Err(ConfigError::new(format!(
            "there are {} limits of addresses, and a request can take of {MAX_TAKES} at once; remove some",
            rules.len()
        )));
    }
    Ok(rules)
}

impl QuotaService {
    /// Whether addresses have limits.
    pub(crate) fn limits_addresses(&self) -> bool {
        !self.0.of_addresses.is_empty()
    }

    /// Takes one request of the limits of its address. The settlement gives it back if
    /// it is told of an answer with status 404, and of that alone.
    pub(crate) fn charge_address(&self, ip: Option<IpAddr>) -> Charging {
        let inner = &self.0;
        let now = inner.clock.now();
        let holder = Holder::address(ip);
        let due = |rule: &Arc<Rule>| {
            let window = |period| Calendar::window_of_utc(period, now);
            Some(Due {
                rule: Arc::clone(rule),
                kind: MeterKind::Consumed,
                holder,
                algorithm: rule.shape.algorithm(window)?,
                amount: 1,
                settle: None,
                is_estimate: false,
            })
        };
        let dues = inner.of_addresses.iter().filter_map(due).collect();
        let charge = Dues { dues, tenant: None };
        let operation = Operation::once();
        let taken = inner.take(operation, &charge.dues, now);
        let inner = Arc::clone(inner);
        let charged = move |answer| {
            let granted: Granted = inner.granted(answer, &charge, || None)?;
            let operation = operation.granted(&granted);
            Ok(Charge::new().settled_by(move |ending| inner.no_route(operation, &charge, ending)))
        };
        match taken {
            Counting::Ready(answer) => Charging::Ready(charged(answer)),
            // A client that leaves while its address is counted has sent a request all the same.
            Counting::Pending(answer) => {
                Charging::Pending(Box::pin(async move { charged(answer.await) }))
            }
        }
    }
}

impl Inner {
    /// Gives back what a request took for which there is no route.
    fn no_route(&self, operation: Operation, charge: &Dues, ending: Ending) {
        if !matches!(ending, Ending::Answered { status: 404, .. }) {
            return;
        }
        let settles: Vec<_> = charge
            .dues
            .iter()
            .map(|due| Settle::new(due.take(), 0))
            .collect();
        let now = self.clock.now();
        finish(self.counters.settle(operation, &settles, now));
    }
}
