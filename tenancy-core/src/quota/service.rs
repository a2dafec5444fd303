//! `QuotaService`: the quotas of an engine that is built.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use serde::Serialize;

use super::{
    Calendar, Counting, GiveBack, LimitOverride, Meter, MeterKind, Operation, Period, Quotas,
    Reservation, Scope, Standing, Take, Window, address,
    charging::{Due, Payer, plan_of},
    fields, held_names,
    outage::{Fallback, Outages},
    overrides::{OfTenant, Overrides},
    quotas::{CalendarOf, OnThreshold},
    rule::{Rule, RuleShape},
    seats::Seats,
    taking::Taking,
};
use crate::{
    AuditSink, Clock, ConfigError, Cost, Plan, Refusal, TenantContext, TenantId, TenantRecord,
    Timestamp,
    plan::{Plans, Position},
};

/// The quotas of an engine: what is used and left, what is kept, and exceptions for single tenants. From
/// [`Tenancy::quotas`](crate::Tenancy::quotas); cheap to clone.
///
/// ```
/// use tenancy_core::{Cost, Refusal, TenantContext};
///
/// async fn create_project(context: &TenantContext) -> Result<(), Refusal> {
///     let Some(quotas) = context.tenancy().quotas() else { return Ok(()) };
///     // Refused with 402 if the plan has no room.
///     let reserved = quotas.reserve(context, &[Cost::new("projects", 1)]).await?;
///     // … insert the project; where that fails, dropping the reservation gives it back …
///     reserved.commit().await
/// }
/// # let _ = create_project;
/// ```
#[derive(Clone)]
pub struct QuotaService(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) meters: Vec<Meter>,
    pub(super) rules: Vec<Arc<Rule>>,
    /// The limits of each client address.
    pub(super) of_addresses: Vec<Arc<Rule>>,
    pub(super) counters: Fallback,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calendar: Option<CalendarOf>,
    pub(super) upgrade_url: Option<Box<str>>,
    pub(super) on_threshold: Option<OnThreshold>,
    pub(super) idempotency_key_header: Option<Box<str>>,
    pub(super) tells_fields: bool,
    pub(super) overrides: Overrides,
    /// Which meter is that of seats, if there is one.
    pub(super) seats: Option<Seats>,
    /// Each limit there is, in any plan: its meter and its scope. Plans may come later.
    limits: RwLock<Limits>,
}

/// Limits by name, each with its meter and its scope.
type Limits = HashMap<Arc<str>, (Arc<str>, Scope)>;

impl QuotaService {
    pub(crate) fn new(
        quotas: Quotas,
        rules: Vec<Arc<Rule>>,
        plans: Option<&Plans>,
        clock: Arc<dyn Clock>,
        audit: Arc<dyn AuditSink>,
        seats: Option<Seats>,
    ) -> Result<Self, ConfigError> {
        let limits = limits_with(&Limits::new(), &quotas.meters, &rules, plans)?;
        let of_addresses = address::rules(quotas.per_address, &quotas.meters)?;
        let inner = Inner {
            meters: quotas.meters,
            rules,
            of_addresses,
            counters: Fallback::new(quotas.counters, Arc::clone(&clock), audit),
            clock,
            calendar: quotas.calendar,
            upgrade_url: quotas.upgrade_url,
            on_threshold: quotas.on_threshold,
            idempotency_key_header: quotas.idempotency_key_header,
            tells_fields: quotas.tells_fields,
            overrides: Overrides::default(),
            seats,
            limits: RwLock::new(limits),
        };
        if let Some(seats) = &inner.seats {
            seats.check(&inner)?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Makes sure that further plans fit the meters and the limits that there are.
    pub(crate) fn check_plans(&self, plans: &Plans) -> Result<(), ConfigError> {
        self.limits_with(plans).map(drop)
    }

    /// Takes further plans, if they fit.
    pub(crate) fn take_plans(&self, plans: &Plans) -> Result<(), ConfigError> {
        let limits = self.limits_with(plans)?;
        let mut known = self
            .0
            .limits
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.extend(limits);
        Ok(())
    }

    fn limits_with(&self, plans: &Plans) -> Result<Limits, ConfigError> {
        let inner = &self.0;
        let known = inner.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits_with(&known, &inner.meters, &inner.rules, Some(plans))
    }

    pub(crate) fn meters(&self) -> &[Meter] {
        &self.0.meters
    }

    /// Gives a tenant a limit of its own, in the place of the one of that name. It counts from the next request on,
    /// in this process, for as long as the process runs. What is used stays used. For all processes and for good
    /// there is [`Admin::put_limit_override`](crate::Admin::put_limit_override); this one goes first.
    ///
    /// # Errors
    /// A [`ConfigError`] if no plan has a limit of that name, or it is one of another meter or scope.
    pub fn put_override(&self, tenant: TenantId, with: LimitOverride) -> Result<(), ConfigError> {
        let rule = self.checked_override(&with)?;
        self.0.overrides.put(tenant, Arc::new(rule), with.until);
        Ok(())
    }

    /// The rule of an override, if there is a limit whose place it can take.
    pub(crate) fn checked_override(&self, with: &LimitOverride) -> Result<Rule, ConfigError> {
        let rule = Rule::of(&with.limit, &self.0.meters, true)?;
        let limits = self.0.limits.read().unwrap_or_else(PoisonError::into_inner);
        match limits.get(&rule.name) {
            Some((meter, scope)) if *meter == rule.meter && *scope == rule.scope => {}
            Some((meter, _)) => {
                return Err(ConfigError::new(format!(
                    "the limit `{}` is one of the meter `{meter}`, of another scope or meter than what is to \
                     take its place",
                    rule.name
                )));
            }
            None => {
                return Err(ConfigError::new(format!(
                    "there is no limit `{}` to take the place of; give the limit the name of the one that \
                     it replaces with `Limit::named`",
                    rule.name
                )));
            }
        }
        drop(limits);
        Ok(rule)
    }

    /// An override whose limit has the name of the one whose place it takes, as it is stored.
    pub(crate) fn named_override(
        &self,
        with: &LimitOverride,
    ) -> Result<LimitOverride, ConfigError> {
        let rule = self.checked_override(with)?;
        let limit = with.limit.clone().named(&*rule.name);
        Ok(LimitOverride {
            limit,
            ..with.clone()
        })
    }

    /// The overrides of a tenant that were read. One that this program can't use is left out.
    pub(crate) fn overrides_of(&self, tenant: TenantId, stored: &[LimitOverride]) -> OfTenant {
        let read = |with: &LimitOverride| Rule::of(&with.limit, &self.0.meters, true);
        let rules = stored.iter().filter_map(|with| match read(with) {
            Ok(rule) => Some((Arc::new(rule), with.until)),
            Err(error) => {
                tracing::error!(
                    tenant.id = %tenant, %error,
                    "a stored override can't be used by this program; the plan's own limit counts"
                );
                None
            }
        });
        rules.collect()
    }

    /// Takes an override back.
    pub fn remove_override(&self, tenant: TenantId, limit: &str) {
        self.0.overrides.remove(tenant, limit);
    }

    /// Where the limits stand that concern this caller: those that its next request is charged against, and the same
    /// numbers. Limits of the [whole service](Scope::System) are left out, because others' use is in them.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer, and 403 if the tenant's plan is not in the book.
    ///
    /// ```
    /// # async fn handler(context: &tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// if let Some(quotas) = context.tenancy().quotas() {
    ///     for limit in quotas.usage(context).await? {
    ///         println!("{}: {} of {} used", limit.name, limit.standing.used, limit.standing.limit);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn usage(&self, context: &TenantContext) -> Result<Vec<LimitUsage>, Refusal> {
        let of_others = |scope| scope == Scope::System;
        self.0
            .usage(Payer::of(context), |scope| !of_others(scope))
            .await
    }

    /// Takes so much for a caller, outside of what its route costs: a project that is to be created, a job of a queue,
    /// an estimate of tokens. All of it or nothing.
    ///
    /// # Errors
    /// A [`Refusal`] as a route's costs would give.
    pub async fn reserve(
        &self,
        context: &TenantContext,
        costs: &[Cost],
    ) -> Result<Reservation, Refusal> {
        let inner = &self.0;
        let now = inner.clock.now();
        let mut charge = inner.due_in(context, costs, now)?;
        // Its commit may say another amount.
        charge
            .dues
            .iter_mut()
            .for_each(|due| due.is_estimate = true);
        let operation = Operation::once();
        let taken = inner.take(operation, &charge.dues, now);
        let (answer, charge) = match taken {
            Counting::Ready(answer) => (answer, charge),
            Counting::Pending(answer) => {
                let mut taking = Taking::new(answer, Arc::clone(inner), operation, charge);
                let answer = taking.answer().await;
                (answer, taking.into_parts().1)
            }
        };
        let granted = inner.granted(answer, &charge, || plan_of(context))?;
        let operation = operation.granted(&granted);
        Ok(Reservation::new(Arc::clone(inner), operation, charge.dues))
    }

    /// Gives back what a tenant has kept of a meter: a project that was removed. The id makes a repetition give it back
    /// once: use the id of what was removed.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer.
    pub async fn give_back(
        &self,
        context: &TenantContext,
        kept: &Cost,
        id: super::OperationId,
    ) -> Result<(), Refusal> {
        let inner = &self.0;
        let now = inner.clock.now();
        let dues = inner.usage_of(Payer::of(context), std::slice::from_ref(kept), now)?;
        let takes = held_of(&dues, kept.amount());
        // Another tenant, or another meter, may have something of the same id.
        let tenant = context.tenant_id().to_string();
        let id = format!("{:032x}", id.as_u128());
        let id = super::OperationId::of([tenant.as_str(), kept.meter(), &id]);
        let answer = inner
            .counters
            .store()
            .give_back(id, &takes, now)
            .answer()
            .await;
        answer.map(drop).map_err(|error| inner.no_answer(&error))
    }

    /// Prepares to give back what a tenant has kept of a meter, in a transaction of the application: the removal of a row
    /// and what it gives back commit together, or not at all. Only where the counters are in the application's database.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer, or are elsewhere.
    pub async fn prepare_give_back(
        &self,
        context: &TenantContext,
        kept: &Cost,
    ) -> Result<GiveBack, Refusal> {
        let inner = &self.0;
        let now = inner.clock.now();
        let dues = inner.usage_of(Payer::of(context), std::slice::from_ref(kept), now)?;
        let takes = held_of(&dues, kept.amount());
        let limits = if kept.amount() == 0 { 0 } else { takes.len() };
        let id = super::OperationId::unique();
        let prepared = inner.counters.store().prepare_give_back(id, &takes, now);
        match prepared.answer().await {
            Ok(()) => Ok(GiveBack::new(id, limits)),
            Err(error) => Err(inner.no_answer(&error)),
        }
    }

    /// What outages of the counters have done since the engine was built, and whether there is one now.
    ///
    /// While there is one, [`usage`](Self::usage) is refused with 503, and requests get what their limits say
    /// ([`Limit::on_outage`](super::Limit::on_outage)). The log is told of its begin and its end. So is the audit
    /// trail, as `quota.outage-begin` and `quota.outage-end`, whose details have the numbers.
    #[must_use]
    pub fn outages(&self) -> Outages {
        self.0.counters.outages()
    }

    /// Where a tenant can choose another plan.
    pub(crate) fn upgrade_url(&self) -> Option<&str> {
        self.0.upgrade_url.as_deref()
    }

    /// The fields that tell of limits.
    pub(crate) const FIELDS: [&str; 2] = [fields::POLICY, fields::LIMIT];

    /// Whether responses tell of limits.
    pub(crate) fn tells_fields(&self) -> bool {
        self.0.tells_fields
    }

    /// Whether a plan has a limit of this name, or the quotas have.
    pub(super) fn has_limit(&self, name: &str) -> bool {
        let limits = self.0.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.contains_key(name)
    }

    /// Whether there is a meter of this name.
    #[must_use]
    pub fn has_meter(&self, name: &str) -> bool {
        self.0.meter(name).is_some()
    }
}

impl Inner {
    /// Where the limits of these scopes stand that concern somebody.
    pub(super) async fn usage(
        &self,
        payer: Payer<'_>,
        of_scope: impl Fn(Scope) -> bool,
    ) -> Result<Vec<LimitUsage>, Refusal> {
        let now = self.clock.now();
        let costs: Vec<_> = (self.meters.iter().map(|meter| Cost::new(meter.name(), 0))).collect();
        let mut dues = self.usage_of(payer, &costs, now)?;
        dues.retain(|due| of_scope(due.rule.scope));
        let mut usage = Vec::new();
        for some in dues.chunks(super::MAX_TAKES) {
            let asked = {
                let takes: Vec<_> = some.iter().map(Due::take).collect();
                self.counters.store().standings(&takes, now)
            };
            let standings = asked.answer().await;
            let standings = standings.map_err(|error| self.no_answer(&error))?;
            let each = some.iter().zip(standings.iter());
            usage.extend(each.map(|(due, standing)| LimitUsage {
                name: due.rule.name.to_string(),
                meter: due.rule.meter.to_string(),
                unit: due.rule.unit.to_string(),
                scope: due.rule.scope,
                standing: *standing,
            }));
        }
        self.with_seats(payer.tenant, usage, now).await
    }

    pub(super) fn meter(&self, name: &str) -> Option<&Meter> {
        self.meters.iter().find(|meter| meter.name() == name)
    }

    /// The period of a tenant's calendar.
    pub(super) fn window(
        &self,
        tenant: Option<&TenantRecord>,
        period: Period,
        now: Timestamp,
    ) -> Window {
        match (&self.calendar, tenant) {
            (Some(of), Some(tenant)) => of(tenant).window(period, now),
            _ => Calendar::window_of_utc(period, now),
        }
    }
}

/// All limits that there are with these plans, if they fit each other and those that are known.
fn limits_with(
    known: &Limits,
    meters: &[Meter],
    own: &[Arc<Rule>],
    plans: Option<&Plans>,
) -> Result<Limits, ConfigError> {
    check_covered(meters, own, plans)?;
    if let Some(plans) = plans {
        held_names::check(plans)?;
    }
    let of_plans = plans.into_iter().flat_map(Plans::each);
    let of_plans = of_plans.flat_map(|(plan, at)| plan.rules().iter().map(move |rule| (rule, at)));
    let all = own
        .iter()
        .map(|rule| (rule, Position::NONE))
        .chain(of_plans);
    let mut limits = known.clone();
    for (rule, at) in all {
        let is = (Arc::clone(&rule.meter), rule.scope);
        let before = limits.insert(Arc::clone(&rule.name), is.clone());
        if before.is_some_and(|before| before != is) {
            return Err(at.error(format_args!(
                "two limits of different meters or scopes are called `{}`; give one another name \
                 with `Limit::named`",
                rule.name
            )));
        }
    }
    let own = own.iter().find_map(|own| {
        let mut each = plans.into_iter().flat_map(Plans::each);
        let is_own = |(plan, _): &(&Plan, _)| plan.rules().iter().any(|rule| rule.name == own.name);
        Some((own, each.find(is_own)?))
    });
    if let Some((own, (plan, at))) = own {
        return Err(at.error(format_args!(
            "the limit `{}` stands in the quotas and in the plan `{}`, and would be counted twice; \
             remove one, or give it a name of its own with `Limit::named`",
            own.name,
            plan.name()
        )));
    }
    Ok(limits)
}

/// So much of each limit of something held.
fn held_of(dues: &[Due], amount: u64) -> Vec<Take<'_>> {
    let held = dues.iter().filter(|due| due.kind == MeterKind::Held);
    let mut takes: Vec<_> = held.map(Due::take).collect();
    for take in &mut takes {
        take.amount = amount;
    }
    takes
}

/// Each plan has to say something about each meter about which the quotas say nothing.
fn check_covered(
    meters: &[Meter],
    own: &[Arc<Rule>],
    plans: Option<&Plans>,
) -> Result<(), ConfigError> {
    let says =
        |rules: &[Arc<Rule>], meter: &Meter| rules.iter().any(|rule| &*rule.meter == meter.name());
    for meter in meters.iter().filter(|meter| !says(own, meter)) {
        let name = meter.name();
        let Some(plans) = plans else {
            return Err(ConfigError::new(format!(
                "nothing limits the meter `{name}`; give it a limit with `Quotas::limit`, if only \
                 `Limit::unlimited`, or give the engine `plans` that do"
            )));
        };
        if let Some((plan, at)) = plans.each().find(|(plan, _)| !says(plan.rules(), meter)) {
            return Err(at.error(format_args!(
                "plan `{}` says nothing about the meter `{name}`; add a limit with \
                 `PlanBook::limits`: `Limit::unlimited` or `Limit::not_included`, if nothing else",
                plan.name()
            )));
        }
    }
    Ok(())
}

/// Where one limit stands, for a caller.
///
/// ```
/// use tenancy_core::quota::LimitUsage;
///
/// fn is_nearly_used_up(limit: &LimitUsage) -> bool {
///     limit.standing.used * 10 >= limit.standing.limit * 9
/// }
/// # let _ = is_nearly_used_up;
/// ```
///
/// As JSON, for a page that shows it: `name`, `meter`, `unit`, `scope`, and beside them the members of its
/// [`Standing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitUsage {
    /// The limit's name: `exports-monthly`.
    pub name: String,
    /// Its meter: `exports`.
    pub meter: String,
    /// The unit in which it counts: that of the meter.
    pub unit: String,
    /// For whom it counts.
    pub scope: Scope,
    /// What is used and left, in that unit.
    #[serde(flatten)]
    pub standing: Standing,
}

impl RuleShape {
    /// Whether a plan includes any of it.
    pub(super) const fn includes_something(&self) -> bool {
        !matches!(self, Self::NotIncluded)
    }
}

impl fmt::Debug for QuotaService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaService")
            .field("meters", &self.0.meters)
            .field("counters", &self.0.counters)
            .finish_non_exhaustive()
    }
}
