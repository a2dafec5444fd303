//! Advice about plans: which one would cost a tenant less, and which one has room where it keeps reaching a limit.
//!
//! An [`UpgradeAdvisor`] prices the same usage by each plan, through the tiers, and compares the sums. The same usage has the same advice.
//! Whether to act on it is the application's to decide, or the plan's, by
//! [`PlanPrices::upgrade_automatically`](crate::price::PlanPrices::upgrade_automatically).

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use tenancy_core::{
    Admin, PlanVersion, StoreError, StoreErrorKind, TenantId, TenantRecord, quota::Window,
};

use crate::{
    Rollup, RollupQuery, exact,
    forecast::PeriodForecast,
    invoice::{DraftInvoice, Rating, RatingError, RatingErrorKind},
    price::{Currency, PlanPrices, PlanSegment, PriceBook, PriceVersion},
};

/// Why another plan is advised.
///
/// ```
/// use tenancy_usage::upgrade::UpgradeReason;
///
/// fn shown(reason: &UpgradeReason) -> String {
///     match reason {
///         UpgradeReason::Cheaper => "it would cost less".to_owned(),
///         UpgradeReason::Limit { meter, periods } => format!("the limit of {meter} was reached in {periods} periods"),
///         _ => String::new(),
///     }
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeReason {
    /// The usage would cost less.
    Cheaper,
    /// The tenant keeps reaching a limit of its plan, and the other has a higher one, or none.
    Limit {
        /// The meter that is limited.
        meter: Box<str>,
        /// In how many periods it was reached.
        periods: u32,
    },
}

/// Another plan, and what both cost for the same usage.
///
/// ```
/// use tenancy_usage::upgrade::UpgradeAdvice;
///
/// fn shown(advice: &UpgradeAdvice) -> String {
///     format!("{} costs {} {}, {} would cost {}", advice.from, advice.currency, advice.now, advice.to, advice.then)
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpgradeAdvice {
    /// Whom it is for.
    pub tenant: TenantId,
    /// The plan that the tenant has.
    pub from: Box<str>,
    /// The plan that is advised.
    pub to: Box<str>,
    /// Why.
    pub reason: UpgradeReason,
    /// The currency of both.
    pub currency: Currency,
    /// What the usage costs in the plan that the tenant has.
    pub now: Decimal,
    /// What it would cost in the other.
    pub then: Decimal,
    is_automatic: bool,
}

impl UpgradeAdvice {
    /// What would be saved; below 0 if the other plan costs more.
    #[must_use]
    pub fn saving(&self) -> Decimal {
        self.now - self.then
    }

    /// Whether the change is to be made without asking: the plan that the tenant has says so, and the other is no smaller one, by what
    /// both cost whatever is used. A change that saves money by giving something up is never made without asking.
    #[must_use]
    pub const fn is_automatic(&self) -> bool {
        self.is_automatic
    }

    /// Makes the change, if it [is to be made without asking](Self::is_automatic) and the tenant is still on the plan that the
    /// advice is about. The plan in `record` may name a version, such as `free@2`.
    ///
    /// What follows it is that of each change of plan: an entry of the trail, and an event `tenant.plan-changed` in the outbox, by which
    /// a billing system is told.
    ///
    /// # Errors
    /// As [`Admin::set_plan`] has them. If somebody else changes the plan meanwhile, that is no error, and nothing is changed.
    ///
    /// ```
    /// use tenancy_core::{StoreError, Tenancy, TenantRecord, danger};
    /// use tenancy_usage::upgrade::{UpgradeAdvice, UpgradeOutcome};
    ///
    /// # async fn example(tenancy: Tenancy, acme: TenantRecord, advice: UpgradeAdvice) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("automatic upgrade, as the plan says")?);
    /// if advice.carry_out(&admin, &acme).await? == UpgradeOutcome::Upgraded {
    ///     println!("{} is on {} now", acme.slug, advice.to);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn carry_out(
        &self,
        admin: &Admin,
        record: &TenantRecord,
    ) -> Result<UpgradeOutcome, StoreError> {
        if !self.is_automatic {
            return Ok(UpgradeOutcome::NotAutomatic);
        }
        let plan = record.plan.as_deref();
        let name = plan.map(|id| PlanVersion::parse_id(id).map_or(id, |(name, _)| name));
        if record.id != self.tenant || name != Some(&*self.from) {
            return Ok(UpgradeOutcome::OtherPlan);
        }
        match admin.replace_plan(record.id, plan, Some(&self.to)).await {
            Ok(()) => Ok(UpgradeOutcome::Upgraded),
            Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(UpgradeOutcome::OtherPlan),
            Err(error) => Err(error),
        }
    }
}

/// What became of an advice that was to be [carried out](UpgradeAdvice::carry_out).
///
/// ```
/// use tenancy_usage::upgrade::UpgradeOutcome;
///
/// /// Whether somebody has to be asked.
/// fn asks(outcome: UpgradeOutcome) -> bool {
///     outcome == UpgradeOutcome::NotAutomatic
/// }
/// # let _ = asks;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpgradeOutcome {
    /// The tenant is on the other plan.
    Upgraded,
    /// The plan does not say that its tenants are not asked, or the other one is smaller. Nothing is changed.
    NotAutomatic,
    /// The advice is about another plan than the tenant has by now, or about another tenant. Nothing is changed.
    OtherPlan,
}

/// Compares what plans cost.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::{
///     Decimal, Rollup, UsageMeter, UsageMeters,
///     price::{MeterPrice, PlanPrices, PriceBook, PriceVersion},
///     upgrade::UpgradeAdvisor,
/// };
///
/// let meters = UsageMeters::new([UsageMeter::count("exports")])?;
/// let version = PriceVersion::new("first", Timestamp::EPOCH)
///     .plan(PlanPrices::new("free").price(MeterPrice::per_unit("exports", 1)).upgrade_automatically())
///     .plan(PlanPrices::new("pro").flat("base fee", 29).price(MeterPrice::per_unit("exports", Decimal::new(1, 1))));
/// let book = PriceBook::builder("EUR").version(version).build(&meters)?;
///
/// let acme = TenantId::new();
/// let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
/// let used = |exports: i64| [Rollup::new(acme, "exports", month, exports, exports.unsigned_abs())];
///
/// let advisor = UpgradeAdvisor::new(&book, acme, month, "free").least_saving(5);
/// assert_eq!(advisor.advise(&used(30))?, None);
/// let advice = advisor.advise(&used(100))?.ok_or("no advice")?;
/// assert_eq!((&*advice.to, advice.now, advice.then), ("pro", 100.into(), 39.into()));
/// assert!(advice.is_automatic());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct UpgradeAdvisor<'b> {
    book: &'b PriceBook,
    tenant: TenantId,
    period: Window,
    plan: Box<str>,
    among: Option<Vec<Box<str>>>,
    least_saving: Decimal,
    least_periods: u32,
    /// By plan and meter; what is not here is not known.
    limits: BTreeMap<(Box<str>, Box<str>), Option<Decimal>>,
    reached: BTreeMap<Box<str>, u32>,
}

impl<'b> UpgradeAdvisor<'b> {
    /// Advises a tenant that has a plan, by what it uses in a billing period and the prices that are valid when the period begins.
    pub fn new(
        book: &'b PriceBook,
        tenant: TenantId,
        period: Window,
        plan: impl Into<Box<str>>,
    ) -> Self {
        Self {
            book,
            tenant,
            period,
            plan: plan.into(),
            among: None,
            least_saving: Decimal::ONE,
            least_periods: 2,
            limits: BTreeMap::new(),
            reached: BTreeMap::new(),
        }
    }

    /// The plans that may be advised: those that are sold to such tenants. Default: all plans of the book.
    pub fn among<P: Into<Box<str>>>(mut self, plans: impl IntoIterator<Item = P>) -> Self {
        self.among = Some(plans.into_iter().map(Into::into).collect());
        self
    }

    /// How much has to be saved in the period for advice, in the plan's currency. Default: 1.
    pub fn least_saving(mut self, amount: impl Into<Decimal>) -> Self {
        self.least_saving = amount.into();
        self
    }

    /// How much a plan allows of a meter in a period; `None` for as much as one likes. Tell it for each plan that has a limit of the meter,
    /// such as that of the [plan book](tenancy_core::PlanBook). A plan is not advised for usage that is above its limit, nor for a limit that
    /// is not told.
    pub fn limit(
        mut self,
        plan: impl Into<Box<str>>,
        meter: impl Into<Box<str>>,
        limit: Option<Decimal>,
    ) -> Self {
        self.limits.insert((plan.into(), meter.into()), limit);
        self
    }

    /// In how many of the last periods the tenant has reached the limit that its plan has of a meter.
    pub fn reached(mut self, meter: impl Into<Box<str>>, periods: u32) -> Self {
        self.reached.insert(meter.into(), periods);
        self
    }

    /// In how many periods a limit has to be reached for advice. Default: 2, because everybody reaches a limit once. 0 is 1.
    pub const fn least_periods(mut self, periods: u32) -> Self {
        self.least_periods = if periods == 0 { 1 } else { periods };
        self
    }

    /// What to ask a sink for: the usage of the period, told apart by each dimension that the price of a plan goes by.
    #[must_use]
    pub fn queries(&self) -> Vec<RollupQuery> {
        let mut queries = BTreeMap::<Box<str>, RollupQuery>::new();
        let plans = self.version().into_iter().flat_map(PriceVersion::plans);
        for plan in plans {
            let segment = PlanSegment::new(plan.name.clone(), self.period);
            for query in self.book.queries(self.tenant, self.period, &segment) {
                let known = queries.entry(query.meter.clone()).or_insert_with(|| {
                    RollupQuery::total(self.tenant, query.meter.clone(), self.period)
                });
                for dimension in query.by_dimensions {
                    if !known.by_dimensions.contains(&dimension) {
                        known.by_dimensions.push(dimension);
                    }
                }
            }
        }
        queries.into_values().collect()
    }

    /// The advice for what was used, as the [queries](Self::queries) tell it; `None` if the plan is right. Give the usage of a whole period: for
    /// the first days of one, a plan without a base fee is always the cheapest.
    ///
    /// A limit that is reached again and again comes first: of the plans with room there, the one that costs least is advised, even if it
    /// costs more than now. Else it is the plan that costs least, if the saving is large enough. Of plans that cost the same, it is the first
    /// in the book. Plans of another currency are left out, and so are those that have no price for something that is used and priced now,
    /// because they only seem cheap.
    ///
    /// # Errors
    /// A [`RatingError`], as [`Rating::rate`] has it: if the book has not the tenant's plan, for instance.
    pub fn advise(&self, usage: &[Rollup]) -> Result<Option<UpgradeAdvice>, RatingError> {
        let own = self.own()?;
        let now = self.rate(own, usage)?;
        let mut others = Vec::new();
        for plan in self.version().into_iter().flat_map(PriceVersion::plans) {
            if self.may_be_advised(plan, own) && self.has_room(plan, usage) {
                let then = self.rate(plan, usage)?;
                if is_as_complete(&then, &now) {
                    others.push((plan, then.total()));
                }
            }
        }
        // Stable: of equal ones the first in the book stays the first.
        others.sort_by_key(|(_, total)| *total);
        let advice = |(plan, then): &(&PlanPrices, Decimal), reason| UpgradeAdvice {
            tenant: self.tenant,
            from: own.name.clone(),
            to: plan.name.clone(),
            reason,
            currency: now.currency,
            now: now.total(),
            then: *then,
            is_automatic: own.upgrades_automatically && base(plan) >= base(own),
        };
        for (meter, periods) in &self.reached {
            let roomier = others.iter().find(|(plan, _)| self.is_roomier(plan, meter));
            if let Some(other) = roomier.filter(|_| *periods >= self.least_periods) {
                let (meter, periods) = (meter.clone(), *periods);
                return Ok(Some(advice(other, UpgradeReason::Limit { meter, periods })));
            }
        }
        let is_worth_it = |(_, then): &&(&PlanPrices, Decimal)| {
            let saving = now.total() - *then;
            saving > Decimal::ZERO && saving >= self.least_saving
        };
        let cheapest = others.first().filter(is_worth_it);
        Ok(cheapest.map(|other| advice(other, UpgradeReason::Cheaper)))
    }

    /// The advice for what the period will come to. As [`PeriodForecast::price`], it knows each meter as a whole: the price without a
    /// condition counts.
    ///
    /// # Errors
    /// As [`advise`](Self::advise) has them.
    pub fn advise_by_forecast(
        &self,
        forecasts: &[PeriodForecast],
    ) -> Result<Option<UpgradeAdvice>, RatingError> {
        let usage = forecasts
            .iter()
            .map(|it| Rollup::new(self.tenant, it.meter.clone(), self.period, it.expected, 0));
        self.advise(&usage.collect::<Vec<_>>())
    }

    fn version(&self) -> Option<&'b PriceVersion> {
        self.book.version_at(self.period.start)
    }

    fn own(&self) -> Result<&'b PlanPrices, RatingError> {
        let plan = self
            .version()
            .and_then(|version| version.plan_named(&self.plan));
        plan.ok_or_else(|| {
            let text = format!(
                "the prices of {} have no plan `{}`; add its prices, or correct the name",
                self.period.start, self.plan
            );
            RatingError::new(RatingErrorKind::UnknownPlan, text)
        })
    }

    fn rate(&self, plan: &PlanPrices, usage: &[Rollup]) -> Result<DraftInvoice, RatingError> {
        let rating = Rating::new(self.book, self.tenant, self.period);
        rating.plan(plan.name.clone(), usage.iter().cloned()).rate()
    }

    fn may_be_advised(&self, plan: &PlanPrices, own: &PlanPrices) -> bool {
        let is_sold = self
            .among
            .as_ref()
            .is_none_or(|plans| plans.contains(&plan.name));
        is_sold && plan.name != own.name && plan.currency == own.currency
    }

    fn limit_of(&self, plan: &PlanPrices, meter: &str) -> Option<&Option<Decimal>> {
        self.limits.get(&(plan.name.clone(), meter.into()))
    }

    /// Whether what is used is within the limits that are known of a plan.
    fn has_room(&self, plan: &PlanPrices, usage: &[Rollup]) -> bool {
        let mut limits = self.limits.iter().filter(|((of, _), _)| *of == plan.name);
        limits.all(|((_, meter), limit)| {
            let of_meter = usage.iter().filter(|it| it.meter == *meter);
            let used = exact::total(of_meter.map(|it| it.quantity)).unwrap_or(Decimal::MAX);
            limit.is_none_or(|limit| used <= limit)
        })
    }

    /// Whether a plan is known to allow more of a meter than the tenant's own.
    fn is_roomier(&self, plan: &PlanPrices, meter: &str) -> bool {
        let own = self.limits.get(&(self.plan.clone(), meter.into()));
        match (self.limit_of(plan, meter), own) {
            (Some(None), Some(Some(_))) => true,
            (Some(Some(other)), Some(Some(own))) => other > own,
            _ => false,
        }
    }
}

/// What a plan costs whatever is used.
fn base(plan: &PlanPrices) -> Decimal {
    let flats = exact::total(plan.flats.iter().map(|flat| flat.amount));
    flats.unwrap_or(Decimal::MAX).max(plan.minimum)
}

/// Whether an invoice prices all that another does.
fn is_as_complete(invoice: &DraftInvoice, other: &DraftInvoice) -> bool {
    let is_used = |it: &&crate::invoice::Unpriced| it.quantity > Decimal::ZERO;
    let mut unpriced = invoice.unpriced.iter().filter(is_used);
    unpriced.all(|it| other.unpriced.iter().any(|known| known.meter == it.meter))
}
