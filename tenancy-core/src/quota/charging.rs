//! Charging: the limits that a request's costs are taken of, and how they are settled.

use std::{net::IpAddr, sync::Arc};

use super::{
    Algorithm, CountersError, Counting, Granted, Holder, MAX_TAKES, Meter, MeterKind, Operation,
    OperationId, QuotaService, Scope, Settle, Take, Taken, ThresholdReached,
    charged::RouteCharge,
    fields,
    of_key::{self, OwnLimits},
    overrides::{OfTenant, in_effect},
    rule::{Rule, RuleShape},
    service::Inner,
    taking::Taking,
    tenant_usage::Measure,
};
use crate::{
    Actor, Charge, ChargeRequest, Charger, Charging, Cost, Ending, Field, KeyId, Plan, Principal,
    ProjectId, Refusal, RefusalKind, RequestView, TenantContext, TenantId, TenantRecord, Timestamp,
};

/// One limit of which something is taken.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) rule: Arc<Rule>,
    pub(super) kind: MeterKind,
    pub(super) holder: Holder,
    pub(super) algorithm: Algorithm,
    pub(super) amount: u64,
    pub(super) settle: Option<fn(Ending, u64) -> u64>,
    /// Whether it may turn out to be another amount.
    pub(super) is_estimate: bool,
}

impl Due {
    pub(super) fn take(&self) -> Take<'_> {
        let mut take = Take::new(self.holder, &self.rule.name, self.algorithm, self.amount)
            .warning_at(&self.rule.warn_at);
        take.on_outage = self.rule.on_outage;
        take.is_estimate = self.is_estimate;
        take
    }
}

/// All limits of which one charge takes.
pub(super) struct Dues {
    pub(super) dues: Vec<Due>,
    pub(super) tenant: Option<TenantId>,
}

/// Who is charged.
///
/// What is known of a tenant lies apart in memory, and is read only for the limits that need it: among very many
/// tenants each piece has to be fetched.
#[derive(Clone, Copy)]
pub(super) struct Payer<'a> {
    pub(super) tenant: Option<TenantId>,
    pub(super) known: Known<'a>,
    /// The project that is asked about where nobody is calling.
    pub(super) asked_project: Option<ProjectId>,
    /// Whether the engine has plans.
    pub(super) has_plans: bool,
    pub(super) principal: Option<&'a Principal>,
    /// What the principal is limited to by itself.
    pub(super) own: &'a OwnLimits,
    pub(super) ip: Option<IpAddr>,
}

/// Where it stands what is known of a payer.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    Nothing,
    /// In the context of a request.
    In(&'a TenantContext),
    /// In a tenant's record, and in how it is measured.
    Of(&'a TenantRecord, &'a Measure),
}

impl<'a> Payer<'a> {
    /// The caller of a tenant.
    pub(super) fn of(context: &'a TenantContext) -> Self {
        Self {
            tenant: Some(context.tenant_id()),
            known: Known::In(context),
            asked_project: None,
            has_plans: context.tenancy().has_plans(),
            principal: Some(context.principal()),
            own: context.own_limits(),
            ip: context.client_ip(),
        }
    }

    /// Nobody yet.
    pub(super) const fn nobody() -> Self {
        Self {
            tenant: None,
            known: Known::Nothing,
            asked_project: None,
            has_plans: false,
            principal: None,
            own: &OwnLimits::None,
            ip: None,
        }
    }

    /// Who is charged for a request.
    fn of_request(request: &ChargeRequest<'a>) -> Self {
        let payer = match request.context() {
            Some(context) => Self::of(context),
            None => Self {
                principal: request.principal(),
                own: request.own_limits(),
                ..Self::nobody()
            },
        };
        Self {
            ip: request.client_ip,
            ..payer
        }
    }

    fn record(&self) -> Option<&'a TenantRecord> {
        match self.known {
            Known::Nothing => None,
            Known::In(context) => Some(context.record()),
            Known::Of(record, _) => Some(record),
        }
    }

    /// The plan that the tenant counts as, if it is known.
    fn plan(&self) -> Option<&'a Plan> {
        match self.known {
            Known::Nothing => None,
            Known::In(context) => context.plan(),
            Known::Of(_, by) => by.plan.as_ref(),
        }
    }

    fn plan_name(&self) -> Option<&'a str> {
        match self.known {
            Known::Nothing => None,
            Known::In(context) => context.plan_name(),
            Known::Of(_, by) => by.plan_name.as_deref(),
        }
    }

    /// What is stored for the tenant in the place of limits of its plan.
    fn overrides(&self) -> Option<&'a OfTenant> {
        match self.known {
            Known::Nothing => None,
            Known::In(context) => context.limit_overrides(),
            Known::Of(_, by) => by.overrides.as_ref(),
        }
    }

    fn project(&self) -> Option<ProjectId> {
        match self.known {
            Known::In(context) => context.project_id(),
            Known::Nothing | Known::Of(..) => self.asked_project,
        }
    }

    /// Whose use of a limit it is; `None` if the limit does not concern it.
    fn holder(&self, scope: Scope) -> Option<Holder> {
        let tenant = self.tenant;
        let actor = self.principal.map(|principal| &principal.actor);
        match scope {
            // Taken before there is anybody to charge: see `address.rs`.
            Scope::Address => None,
            Scope::System => Some(Holder::system()),
            Scope::Tenant => tenant.map(Holder::tenant),
            Scope::Project => Some(Holder::project(tenant?, self.project()?)),
            Scope::Key => match actor {
                Some(Actor::Key(key)) => Some(Holder::key(tenant?, *key)),
                _ => None,
            },
            Scope::Caller => match actor {
                // The service's own work is nobody's who could be told to slow down.
                Some(actor) if actor.is_service_itself() => None,
                actor => Some(Holder::caller(tenant, actor, self.ip)),
            },
        }
    }
}

impl Inner {
    /// The limits of which costs are taken in a tenant, outside of a route.
    pub(super) fn due_in(
        &self,
        context: &TenantContext,
        costs: &[Cost],
        now: Timestamp,
    ) -> Result<Dues, Refusal> {
        self.due(Payer::of(context), costs, now)
    }

    /// The limits that concern a caller, whether its plan includes any of them or not.
    pub(super) fn usage_of(
        &self,
        payer: Payer<'_>,
        costs: &[Cost],
        now: Timestamp,
    ) -> Result<Vec<Due>, Refusal> {
        let mut dues = Vec::new();
        for cost in costs {
            if let Some(meter) = self.meter(cost.meter()) {
                self.each_due(payer, meter, 0, now, |due, _| {
                    dues.extend(due);
                    Ok(())
                })?;
                dues.extend(self.own_dues(payer, meter, 0, now));
            }
        }
        Ok(dues)
    }

    /// Whether a meter is one that the payer has nothing of.
    pub(super) fn has_nothing_of(
        &self,
        payer: Payer<'_>,
        meter: &Meter,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let mut has_nothing = payer.own.are_unusable();
        self.each_due(payer, meter, 0, now, |_, rule| {
            let concerns = payer.holder(rule.scope).is_some();
            has_nothing |= concerns && !rule.shape.includes_something();
            Ok(())
        })?;
        Ok(has_nothing)
    }

    fn due(&self, payer: Payer<'_>, costs: &[Cost], now: Timestamp) -> Result<Dues, Refusal> {
        let plan = || payer.plan_name();
        if !costs.is_empty() {
            payer.own.check()?;
        }
        let mut dues = Vec::with_capacity(costs.len());
        for cost in costs {
            let Some(meter) = self.meter(cost.meter()) else {
                return Err(unknown(cost.meter()));
            };
            if self
                .seats
                .as_ref()
                .is_some_and(|seats| seats.are(cost.meter()))
            {
                tracing::error!(
                    meter = cost.meter(),
                    "seats are counted by the members that there are; nothing else can take of them"
                );
                return Err(Refusal::new(
                    RefusalKind::Misconfigured,
                    "seats-are-counted",
                ));
            }
            let first = dues.len();
            let mut is_limited = false;
            self.each_due(payer, meter, cost.amount(), now, |due, rule| {
                is_limited = true;
                let concerns = payer.holder(rule.scope).is_some();
                if concerns && !rule.shape.includes_something() {
                    return Err(self.not_included(meter.name(), plan()));
                }
                if let Some(due) = due {
                    dues.push(due);
                }
                Ok(())
            })?;
            if !is_limited {
                if payer.tenant.is_some() {
                    return Err(self.not_included(meter.name(), plan()));
                }
                tracing::error!(
                    meter = meter.name(),
                    "a route without a tenant costs something that only tenants have limits of; give \
                     the meter a limit of `Scope::Caller` or `Scope::System`"
                );
                return Err(Refusal::new(
                    RefusalKind::Misconfigured,
                    "meter-needs-a-tenant",
                ));
            }
            // They only restrict: a meter that nothing else limits is not the payer's by them.
            if !payer.own.rules().is_empty() {
                dues.extend(self.own_dues(payer, meter, cost.amount(), now));
            }
            if meter.settlement().is_some() {
                cap(dues.get_mut(first..).unwrap_or_default());
            }
        }
        Ok(Dues {
            dues,
            tenant: payer.tenant,
        })
    }

    /// Hands on each limit of a meter that stands in the payer's plan or holds for everybody, and what is due of it, if
    /// it counts for this payer.
    pub(super) fn each_due(
        &self,
        payer: Payer<'_>,
        meter: &Meter,
        amount: u64,
        now: Timestamp,
        mut each: impl FnMut(Option<Due>, &Rule) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let of_plan = match payer.tenant {
            Some(_) if payer.has_plans => match payer.plan() {
                Some(plan) => plan.rules(),
                None => return Err(self.not_included(meter.name(), payer.plan_name())),
            },
            _ => &[],
        };
        let overrides = payer.tenant.and_then(|tenant| self.overrides.of(tenant));
        let rules = of_plan.iter().chain(&self.rules);
        for rule in rules.filter(|rule| &*rule.meter == meter.name()) {
            if payer.tenant.is_none() && !matches!(rule.scope, Scope::Caller | Scope::System) {
                continue;
            }
            let rule = in_effect(overrides.as_ref(), &rule.name, now)
                .or_else(|| {
                    let stored = in_effect(payer.overrides(), &rule.name, now)?;
                    stored.replaces(rule).then_some(stored)
                })
                .unwrap_or(rule);
            let holder = payer.holder(rule.scope);
            let due =
                holder.and_then(|holder| self.due_of(payer, rule, holder, (meter, amount), now));
            each(due, rule)?;
        }
        Ok(())
    }

    /// What is due of the limits that the payer's key has of its own. Unlike a plan's limits of keys they are known also
    /// where the route has no tenant: they stand in the key's record, which names its tenant.
    fn own_dues<'a>(
        &'a self,
        payer: Payer<'a>,
        meter: &'a Meter,
        amount: u64,
        now: Timestamp,
    ) -> impl Iterator<Item = Due> + 'a {
        let rules = payer.own.rules();
        let key = payer.principal.filter(|_| !rules.is_empty());
        let own = key.and_then(of_key::whose).map(|key| (key, rules));
        own.into_iter().flat_map(move |(key, rules)| {
            let rules = rules.iter().filter(|rule| &*rule.meter == meter.name());
            rules.filter_map(move |rule| {
                let holder = self.own_holder(payer, rule, key);
                self.due_of(payer, rule, holder, (meter, amount), now)
            })
        })
    }

    /// Whose use of a key's own limit it is. Where the tenant is not looked up, its calendar is not known: its periods are
    /// then those of UTC, and counted apart, because one counter can't be in two periods.
    fn own_holder(
        &self,
        payer: Payer<'_>,
        rule: &Rule,
        (tenant, key): (TenantId, KeyId),
    ) -> Holder {
        let is_by_period = matches!(rule.shape, RuleShape::Period(..));
        if is_by_period && self.calendar.is_some() && payer.record().is_none() {
            Holder::own_of_key_by_utc(tenant, key)
        } else {
            Holder::own_of_key(tenant, key)
        }
    }

    /// What is due of a limit; nothing if it is not counted.
    fn due_of(
        &self,
        payer: Payer<'_>,
        rule: &Arc<Rule>,
        holder: Holder,
        (meter, amount): (&Meter, u64),
        now: Timestamp,
    ) -> Option<Due> {
        let window = |period| self.window(payer.record(), period, now);
        Some(Due {
            rule: Arc::clone(rule),
            kind: meter.kind(),
            holder,
            algorithm: rule.shape.algorithm(window)?,
            amount,
            settle: meter.settlement(),
            is_estimate: meter.settlement().is_some(),
        })
    }

    /// Asks the counters for all that is due.
    pub(super) fn take(
        &self,
        operation: Operation,
        dues: &[Due],
        now: Timestamp,
    ) -> Counting<Taken> {
        match dues {
            // What most requests cost.
            [due] => self.counters.take(operation, &[due.take()], now),
            _ => {
                let takes: Vec<_> = dues.iter().map(Due::take).collect();
                self.counters.take(operation, &takes, now)
            }
        }
    }

    /// The outcome of a take: granted, or the refusal that says why not.
    #[inline]
    pub(super) fn granted<'p>(
        &self,
        answer: Result<Taken, CountersError>,
        charge: &Dues,
        plan: impl FnOnce() -> Option<&'p str>,
    ) -> Result<Granted, Refusal> {
        match answer {
            Ok(Taken::Granted(granted)) => {
                self.tell_thresholds(&granted, charge);
                Ok(granted)
            }
            Ok(Taken::Denied(denied)) => {
                let refusal = self.refusal(&denied, charge, plan());
                let fields = self
                    .tells_fields
                    .then(|| fields::of_denied(charge, &denied));
                let fields = fields.flatten().into_iter().flatten();
                Err(fields.fold(refusal, |refusal, (name, value)| {
                    refusal.with_field(name, value)
                }))
            }
            Err(error) => Err(self.no_answer(&error)),
        }
    }

    fn tell_thresholds(&self, granted: &Granted, charge: &Dues) {
        for crossed in &granted.crossed {
            let standing = granted.standings.iter().nth(crossed.take);
            let (Some(due), Some(standing)) = (charge.dues.get(crossed.take), standing) else {
                continue;
            };
            let reached = ThresholdReached {
                tenant: charge.tenant,
                meter: &due.rule.meter,
                limit: &due.rule.name,
                percent: crossed.percent,
                standing: *standing,
            };
            match &self.on_threshold {
                Some(told) => told(&reached),
                None => {
                    let tenant = reached.tenant.map(|tenant| tenant.to_string());
                    tracing::info!(
                        tenant.id = tenant,
                        limit = reached.limit,
                        percent = reached.percent,
                        "a limit is nearly used up"
                    );
                }
            }
        }
    }

    /// The id of a charge: of the client's own, if it sends one and all that is charged is counted by period.
    fn operation(&self, request: &ChargeRequest<'_>, dues: &[Due]) -> Operation {
        let by_period = |due: &Due| matches!(due.algorithm, Algorithm::Period(..));
        // What costs nothing has nothing to be remembered for.
        let costs = |due: &Due| due.amount > 0 || due.settle.is_some();
        match &self.idempotency_key_header {
            Some(name) if dues.iter().any(costs) && dues.iter().all(by_period) => {
                repeatable(name, request).unwrap_or_else(Operation::once)
            }
            _ => Operation::once(),
        }
    }

    /// Gives back what was taken for a request that went no further.
    pub(super) fn give_up(&self, operation: Operation, dues: &[Due]) {
        let settles: Vec<_> = dues.iter().map(|due| Settle::new(due.take(), 0)).collect();
        let now = self.clock.now();
        finish(self.counters.settle(operation, &settles, now));
    }

    /// Tells the counters how what was taken has ended.
    pub(super) fn settle(&self, operation: Operation, dues: &[Due], ending: Ending) {
        let refused = is_refused(ending);
        let succeeded = match ending {
            Ending::Answered { status, .. } | Ending::CutOff { status, .. } => status < 400,
            _ => false,
        };
        let actual = |due: &Due| match due.kind {
            // Refused by a layer further inside, or by the handler in the same way: a denial takes nothing.
            _ if refused => Some(0),
            MeterKind::Consumed => due.settle.map(|settle| settle(ending, due.amount)),
            MeterKind::Concurrent => Some(0),
            MeterKind::Held => Some(if succeeded { due.amount } else { 0 }),
        };
        let settles: Vec<_> = dues
            .iter()
            .filter_map(|due| Some(Settle::new(due.take(), actual(due)?)))
            .collect();
        if !settles.is_empty() {
            let now = self.clock.now();
            finish(self.counters.settle(operation, &settles, now));
        }
    }
}

/// Whether a layer further inside has refused, or the handler, or the resource has no such method: then everything is
/// given back.
const fn is_refused(ending: Ending) -> bool {
    matches!(
        ending,
        Ending::Answered {
            status: 402 | 405 | 429 | 503,
            ..
        }
    )
}

/// The refusal of what is of a meter that nobody declared.
pub(super) fn unknown(meter: &str) -> Refusal {
    tracing::error!(
        meter,
        "a cost is of a meter that was never declared; declare it with `Quotas::meter`"
    );
    Refusal::new(RefusalKind::Misconfigured, "meter-unknown")
}

/// The plan that a tenant counts as, if there are plans.
pub(super) fn plan_of(context: &TenantContext) -> Option<&str> {
    context.plan_name()
}

/// An estimate is at most what the smallest of its limits can ever admit.
fn cap(dues: &mut [Due]) {
    let smallest = dues.iter().filter_map(|due| due.algorithm.capacity()).min();
    for due in dues {
        due.amount = due.amount.min(smallest.unwrap_or(due.amount));
    }
}

/// An operation that the client names. Whose it is, what it asks for and what it costs belong to the name.
fn repeatable(header: &str, request: &ChargeRequest<'_>) -> Option<Operation> {
    let Field::One(id) = request.request.header(header) else {
        return None;
    };
    if id.is_empty() || id.len() > 128 {
        return None;
    }
    let view: &dyn RequestView = request.request;
    let tenant = request
        .context()
        .map(|context| context.tenant_id().to_string());
    let actor = request.principal()?.actor.to_string();
    // With what layers outside of this one took, which is another charge of the same request.
    let costs: Vec<_> = (request.costs.iter())
        .map(|cost| {
            let before = request.taken_before(cost.meter());
            (cost.meter(), format!("{}+{before}", cost.amount()))
        })
        .collect();
    let project = request.context().and_then(TenantContext::project_id);
    let project = project.map(|project| project.to_string());
    let own = [
        tenant.as_deref().unwrap_or(""),
        project.as_deref().unwrap_or(""),
        &actor,
        view.method(),
        view.path(),
        id,
    ];
    let of_costs = costs
        .iter()
        .flat_map(|(meter, amount)| [*meter, amount.as_str()]);
    let parts = own.into_iter().chain(of_costs);
    Some(Operation::repeatable(OperationId::of(parts)))
}

/// Waits for a change that nobody waits for, in a task.
pub(super) fn finish<T: Send + 'static>(counting: Counting<T>) {
    let log = |error: CountersError| {
        tracing::error!(%error, "what a request has taken could not be settled");
    };
    match counting {
        Counting::Ready(Ok(_)) => {}
        Counting::Ready(Err(error)) => log(error),
        Counting::Pending(answer) => match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    if let Err(error) = answer.await {
                        log(error);
                    }
                });
            }
            Err(_) => log(CountersError::unavailable(
                "there is no runtime to ask it in",
            )),
        },
    }
}

impl Charger for QuotaService {
    fn knows(&self, meter: &str) -> bool {
        self.has_meter(meter)
    }

    fn charge(&self, request: &ChargeRequest<'_>) -> Charging {
        let inner = &self.0;
        let now = inner.clock.now();
        let charge = match inner.due(Payer::of_request(request), request.costs, now) {
            Ok(charge) => charge,
            Err(refusal) => return refusal.into(),
        };
        if charge.dues.is_empty() {
            return Charge::new().into();
        }
        if charge.dues.len() > MAX_TAKES {
            return inner.no_answer(&CountersError::Malformed).into();
        }
        let operation = inner.operation(request, &charge.dues);
        let taken = inner.take(operation, &charge.dues, now);
        let inner = Arc::clone(inner);
        match taken {
            Counting::Ready(answer) => {
                let plan = || request.context().and_then(plan_of);
                Charging::Ready(charged(inner, operation, charge, answer, plan))
            }
            Counting::Pending(answer) => {
                let plan = request.context().and_then(plan_of).map(Box::<str>::from);
                let mut taking = Taking::new(answer, inner, operation, charge);
                Charging::Pending(Box::pin(async move {
                    let answer = taking.answer().await;
                    let (inner, charge) = taking.into_parts();
                    let plan = || plan.as_deref();
                    charged(inner, operation, charge, answer, plan)
                }))
            }
        }
    }
}

/// What the engine is told of a charge.
#[inline]
fn charged<'p>(
    inner: Arc<Inner>,
    operation: Operation,
    charge: Dues,
    answer: Result<Taken, CountersError>,
    plan: impl FnOnce() -> Option<&'p str>,
) -> Result<Charge, Refusal> {
    let granted = inner.granted(answer, &charge, plan)?;
    let mut told = Charge::new();
    if inner.tells_fields {
        let fields = fields::of_granted(&charge, granted.standings.iter());
        for (name, value) in fields.into_iter().flatten() {
            told = told.field(name, value);
        }
    }
    Ok(told.of_limits(RouteCharge {
        inner,
        operation: operation.granted(&granted),
        dues: charge.dues,
        standings: granted.standings,
        repeated: granted.repeated,
    }))
}

impl RuleShape {
    /// Whether another plan would help where this is used up, and waiting would not.
    pub(super) const fn is_paid_for(&self) -> bool {
        match self {
            Self::Period(_, period) => !period.is_short(),
            Self::Held(..) => true,
            _ => false,
        }
    }
}
