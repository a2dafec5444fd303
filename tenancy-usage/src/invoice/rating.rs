//! Computes an invoice.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use tenancy_core::{TenantId, quota::Window};

use super::{
    DraftInvoice, InvoiceLine, LineKind, RatingError, RatingErrorKind, Unpriced,
    adjusting::Adjusted,
    charge::{self, Part, Share},
    input,
};
use crate::{
    Aggregation, Rollup, UsageDigest, UsageMeter, exact,
    price::{Currency, MeterPrice, PlanPrices, PlanSegment, PriceBook, PriceVersion},
};

/// What an invoice is computed from: a price book, a tenant and its billing period, the plans that it had, and its usage.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::{
///     MemoryUsage, UsageMeter, UsageMeters, UsageSink,
///     invoice::{DraftInvoice, Rating},
///     price::PriceBook,
/// };
///
/// /// The invoice of a tenant that came into the month with the plan `free`, and changed to `pro` in it.
/// async fn invoice(
///     book: &PriceBook,
///     sink: &dyn UsageSink,
///     tenant: TenantId,
///     upgrade: Timestamp,
/// ) -> Result<DraftInvoice, Box<dyn std::error::Error>> {
///     let month = Calendar::utc().window(Period::Month, upgrade);
///     let mut rating = Rating::new(book, tenant, month);
///     for segment in book.segments(month, "free", &[(upgrade, "pro")]) {
///         let mut usage = Vec::new();
///         for query in book.queries(tenant, month, &segment) {
///             usage.extend(sink.rollups(&query).await?);
///         }
///         rating = rating.segment(segment, usage);
///     }
///     Ok(rating.rate()?)
/// }
/// # let _ = invoice;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Rating<'b> {
    book: &'b PriceBook,
    tenant: TenantId,
    period: Window,
    segments: Vec<(PlanSegment, Vec<Rollup>)>,
    granted: BTreeMap<Box<str>, Decimal>,
    pub(super) adjusted: Vec<Adjusted<'b>>,
}

impl<'b> Rating<'b> {
    /// The invoice of a tenant for a period, whose prices are those of the version that is valid when it begins.
    pub fn new(book: &'b PriceBook, tenant: TenantId, period: Window) -> Self {
        Self {
            book,
            tenant,
            period,
            segments: Vec::new(),
            granted: BTreeMap::new(),
            adjusted: Vec::new(),
        }
    }

    /// The tenant had this plan for the whole period, and used this.
    pub fn plan(self, plan: impl Into<Box<str>>, usage: impl IntoIterator<Item = Rollup>) -> Self {
        let segment = PlanSegment::new(plan, self.period);
        self.segment(segment, usage)
    }

    /// The tenant had a plan for a part of the period, and used this meanwhile. All [segments](PriceBook::segments) together
    /// are the period.
    pub fn segment(
        mut self,
        segment: PlanSegment,
        usage: impl IntoIterator<Item = Rollup>,
    ) -> Self {
        self.segments.push((segment, usage.into_iter().collect()));
        self
    }

    /// So much of a meter is paid by grants of its units: it comes off after what is included, segment by segment and price by price,
    /// until there is none left. May be called several times; the sum counts.
    ///
    /// How much a ledger should give is what an invoice without grants has [billed](DraftInvoice::billed):
    ///
    /// ```
    /// use tenancy_core::Timestamp;
    /// use tenancy_usage::{
    ///     credit::{CreditLedger, GrantUnit},
    ///     invoice::{DraftInvoice, Rating},
    /// };
    ///
    /// fn with_grants(
    ///     rating: &Rating<'_>,
    ///     ledger: &mut CreditLedger,
    ///     at: Timestamp,
    /// ) -> Result<DraftInvoice, Box<dyn std::error::Error>> {
    ///     let without = rating.clone().rate()?;
    ///     let unit = GrantUnit::Meter("tokens".into());
    ///     let draws = ledger.draw(&unit, without.billed("tokens"), at, &without.id())?;
    ///     let granted: rust_decimal::Decimal = draws.iter().map(|draw| draw.amount).sum();
    ///     Ok(rating.clone().granted("tokens", granted).rate()?)
    /// }
    /// # let _ = with_grants;
    /// ```
    pub fn granted(mut self, meter: impl Into<Box<str>>, quantity: impl Into<Decimal>) -> Self {
        let sum = self.granted.entry(meter.into()).or_default();
        *sum = sum.saturating_add(quantity.into());
        self
    }

    /// Computes it.
    ///
    /// # Errors
    /// A [`RatingError`]: see [`RatingErrorKind`].
    pub fn rate(mut self) -> Result<DraftInvoice, RatingError> {
        self.segments
            .sort_by_key(|(segment, _)| segment.window.start);
        self.check_segments()?;
        let version = self.version()?;
        self.check_granted()?;
        let mut granted = self.granted.clone();
        let mut invoice: Option<DraftInvoice> = None;
        for stay in self.stays() {
            let plan = self.plan_of(version, stay.plan)?;
            let currency = plan.currency.ok_or_else(|| {
                error(
                    RatingErrorKind::UnknownPlan,
                    format!("plan `{}` has no currency", plan.name),
                )
            })?;
            let invoice = invoice.get_or_insert_with(|| DraftInvoice {
                tenant: self.tenant,
                period: self.period,
                version: version.name().into(),
                version_digest: version.digest(),
                currency,
                lines: Vec::new(),
                unpriced: Vec::new(),
            });
            if invoice.currency != currency {
                return Err(error(
                    RatingErrorKind::MixedCurrency,
                    format!(
                        "plan `{}` is in {currency}, and the plan before it in this period in {}; make an invoice for each, and \
                         change between them when a period begins",
                        plan.name, invoice.currency
                    ),
                ));
            }
            let rated = Segment {
                rating: &self,
                plan,
                window: stay.whole,
                share: self.share(&stay.windows, version)?,
                currency,
                version: invoice.version_digest,
                usage: stay.usage.iter().flat_map(|part| part.iter()).collect(),
            };
            for (window, usage) in stay.windows.iter().zip(&stay.usage) {
                rated.check_usage(*window, usage)?;
            }
            rated.add_to(invoice, &mut granted)?;
        }
        let mut invoice = invoice.ok_or_else(|| {
            let text = "the period has no plan; give the one that the tenant had";
            error(RatingErrorKind::Segments, text)
        })?;
        self.add_adjustments(&mut invoice)?;
        if exact::total(invoice.lines.iter().map(|line| line.amount)).is_none() {
            return Err(overflow("the total"));
        }
        Ok(invoice)
    }

    /// The plans of the period, each once: who leaves a plan and comes back to it has had it for the time of both.
    fn stays(&self) -> Vec<Stay<'_>> {
        let mut stays: Vec<Stay<'_>> = Vec::new();
        for (segment, usage) in &self.segments {
            let known = stays.iter_mut().find(|stay| *stay.plan == *segment.plan);
            match known {
                Some(stay) => {
                    stay.whole = Window::new(stay.whole.start, segment.window.end);
                    stay.windows.push(segment.window);
                    stay.usage.push(usage);
                }
                None => stays.push(Stay {
                    plan: &segment.plan,
                    whole: segment.window,
                    windows: vec![segment.window],
                    usage: vec![usage],
                }),
            }
        }
        stays
    }

    fn version(&self) -> Result<&'b PriceVersion, RatingError> {
        let start = self.period.start;
        self.book.version_at(start).ok_or_else(|| {
            let text = format!(
                "no version of the prices is valid at {start}; add one that begins then or before"
            );
            error(RatingErrorKind::NoVersion, text)
        })
    }

    fn plan_of<'v>(
        &self,
        version: &'v PriceVersion,
        plan: &str,
    ) -> Result<&'v PlanPrices, RatingError> {
        version.plan_named(plan).ok_or_else(|| {
            let text = format!(
                "version `{}` of the prices has no plan `{plan}`; add its prices in a new version, or correct the name",
                version.name()
            );
            error(RatingErrorKind::UnknownPlan, text)
        })
    }

    fn share(&self, windows: &[Window], version: &PriceVersion) -> Result<Share, RatingError> {
        Share::of(windows, self.period, version.proration).ok_or_else(|| {
            let text = "a segment of the period has no length; give it one of a second or more";
            error(RatingErrorKind::Segments, text)
        })
    }

    fn check_granted(&self) -> Result<(), RatingError> {
        for (meter, quantity) in &self.granted {
            let is_known = self.book.meter(meter).is_some();
            if !is_known || *quantity < Decimal::ZERO {
                return Err(error(
                    RatingErrorKind::Usage,
                    format!(
                        "{quantity} of `{meter}` are granted; give 0 or more of a usage meter that is declared"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_segments(&self) -> Result<(), RatingError> {
        let mut edge = self.period.start;
        for (segment, _) in &self.segments {
            let start = segment.window.start;
            if start != edge {
                return Err(error(
                    RatingErrorKind::Segments,
                    format!(
                        "the segment of plan `{}` begins at {start}, and it should at {edge}; give segments that follow on each \
                         other, as `PriceBook::segments` makes them",
                        segment.plan
                    ),
                ));
            }
            edge = segment.window.end;
        }
        if edge != self.period.end {
            return Err(error(
                RatingErrorKind::Segments,
                format!(
                    "the segments end at {edge}, and the period at {}; give the plan of the rest",
                    self.period.end
                ),
            ));
        }
        Ok(())
    }
}

/// The parts of the period in which a tenant had one plan, and what it used in each.
struct Stay<'a> {
    plan: &'a str,
    /// From the first moment to the last.
    whole: Window,
    windows: Vec<Window>,
    usage: Vec<&'a Vec<Rollup>>,
}

/// All that a plan prices of the period, with all that prices it.
struct Segment<'a> {
    rating: &'a Rating<'a>,
    plan: &'a PlanPrices,
    window: Window,
    share: Share,
    currency: Currency,
    version: UsageDigest,
    usage: Vec<&'a Rollup>,
}

/// From what a line is computed.
struct Inputs<'a> {
    rollups: &'a [&'a Rollup],
    granted: Decimal,
}

impl Inputs<'_> {
    const NONE: Self = Self {
        rollups: &[],
        granted: Decimal::ZERO,
    };
}

impl Segment<'_> {
    /// Whether what was used in one part of the period is usage of it.
    fn check_usage(&self, window: Window, usage: &[Rollup]) -> Result<(), RatingError> {
        let error = |text: String| Err(error(RatingErrorKind::Usage, text));
        for (place, rollup) in usage.iter().enumerate() {
            let meter = &rollup.meter;
            if rollup.tenant != self.rating.tenant {
                return error(format!(
                    "a rollup of `{meter}` is of tenant {}, and the invoice of {}; ask for its own",
                    rollup.tenant, self.rating.tenant
                ));
            }
            let Window { start, end, .. } = rollup.window;
            if start < window.start || end > window.end {
                return error(format!(
                    "a rollup of `{meter}` is of {start} to {end}, and the plan `{}` of {} to {}; ask as `PriceBook::queries` \
                     does",
                    self.plan.name, window.start, window.end
                ));
            }
            let Some(declared) = self.rating.book.meter(meter) else {
                return error(format!(
                    "there is no usage meter `{meter}`; build the price book with the meters that the sink has"
                ));
            };
            let before = usage.get(..place).unwrap_or_default();
            let is_again = before.iter().any(|other| {
                other.meter == *meter
                    && self.price_of(other).map(MeterPrice::label)
                        == self.price_of(rollup).map(MeterPrice::label)
            });
            if is_again && !declared.aggregation().adds_up() {
                return error(format!(
                    "there are two rollups of `{meter}`, which does not add up; ask for one of the whole segment, as \
                     `PriceBook::queries` does"
                ));
            }
        }
        Ok(())
    }

    /// The price of a rollup: the one whose condition it meets, else the one without a condition.
    fn price_of(&self, rollup: &Rollup) -> Option<&MeterPrice> {
        let mut of_meter = self
            .plan
            .prices
            .iter()
            .filter(|price| price.meter == rollup.meter);
        let meets = |price: &&MeterPrice| {
            let condition = price.when.as_ref();
            condition.is_some_and(|(name, value)| rollup.dimensions.get(name) == Some(value))
        };
        let conditional = of_meter.clone().find(meets);
        conditional.or_else(|| of_meter.find(|price| price.when.is_none()))
    }

    fn add_to(
        &self,
        invoice: &mut DraftInvoice,
        granted: &mut BTreeMap<Box<str>, Decimal>,
    ) -> Result<(), RatingError> {
        let first = invoice.lines.len();
        for flat in &self.plan.flats {
            let amount = self.amount(flat.amount, &flat.name)?;
            let mut line = self.line(LineKind::Flat, &flat.name, &Inputs::NONE);
            line.amount = amount;
            invoice.lines.push(line);
        }
        for price in &self.plan.prices {
            let left = granted.entry(price.meter.clone()).or_default();
            self.add_price(price, invoice, left)?;
        }
        let minimum = self.amount(self.plan.minimum, "the minimum")?;
        let own = invoice.lines.get(first..).unwrap_or_default();
        let so_far = exact::total(own.iter().map(|line| line.amount));
        let so_far = so_far.ok_or_else(|| overflow(&self.plan.name))?;
        if so_far < minimum {
            let mut line = self.line(LineKind::Minimum, "minimum", &Inputs::NONE);
            line.amount = self.currency.round(minimum - so_far);
            invoice.lines.push(line);
        }
        for rollup in self
            .usage
            .iter()
            .copied()
            .filter(|it| self.price_of(it).is_none())
        {
            self.note_unpriced(rollup, invoice);
        }
        Ok(())
    }

    fn add_price(
        &self,
        price: &MeterPrice,
        invoice: &mut DraftInvoice,
        granted: &mut Decimal,
    ) -> Result<(), RatingError> {
        let label = price.label();
        let is_own = |rollup: &&Rollup| {
            self.price_of(rollup)
                .is_some_and(|own| std::ptr::eq(own, price))
        };
        let rollups: Vec<_> = self.usage.iter().copied().filter(is_own).collect();
        let quantity = self.quantity(price, &rollups);
        let quantity = quantity.ok_or_else(|| overflow(&label))?;
        let parts = charge::parts(price, quantity, *granted, self.share, self.currency);
        let parts = parts.ok_or_else(|| overflow(&label))?;
        let taken = parts.iter().find(|part| part.kind == LineKind::Granted);
        let taken = taken.map(|part| part.quantity).unwrap_or_default();
        *granted -= taken;
        let inputs = Inputs {
            rollups: &rollups,
            granted: taken,
        };
        let mut sum = Decimal::ZERO;
        for part in &parts {
            let line = self.line_of(part, price, &label, &inputs);
            sum = exact::sum(sum, line.amount).ok_or_else(|| overflow(&label))?;
            invoice.lines.push(line);
        }
        let minimum = self.amount(price.minimum, &label)?;
        if sum < minimum {
            let mut line = self.line(LineKind::Minimum, &label, &inputs);
            line.meter = Some(price.meter.clone());
            line.amount = self.currency.round(minimum - sum);
            invoice.lines.push(line);
        }
        Ok(())
    }

    /// What rollups of one meter come to, of which there are several for dimensions and for parts of the period; `None` where the
    /// sum can't be told without rounding.
    fn quantity(&self, price: &MeterPrice, rollups: &[&Rollup]) -> Option<Decimal> {
        let quantities = rollups.iter().map(|it| it.quantity);
        let meter = self.rating.book.meter(&price.meter);
        match meter.map(UsageMeter::aggregation) {
            Some(Aggregation::Max) => Some(quantities.max().unwrap_or_default()),
            Some(Aggregation::Min) => Some(quantities.min().unwrap_or_default()),
            Some(Aggregation::Latest) => {
                let last = rollups.iter().max_by_key(|it| it.window.end);
                Some(last.map(|it| it.quantity).unwrap_or_default())
            }
            _ => exact::total(quantities),
        }
    }

    fn line_of(
        &self,
        part: &Part,
        price: &MeterPrice,
        label: &str,
        inputs: &Inputs<'_>,
    ) -> InvoiceLine {
        let unit = self.rating.book.meter(&price.meter);
        InvoiceLine {
            meter: Some(price.meter.clone()),
            tier: part.tier,
            quantity: part.quantity.normalize(),
            unit: unit.map(|it| it.unit_name()).unwrap_or_default().into(),
            unit_price: part.unit_price.map(|it| it.normalize()),
            flat: part.flat.normalize(),
            amount: self.currency.round(part.amount),
            ..self.line(part.kind, label, inputs)
        }
    }

    /// A line about something, of nothing yet.
    fn line(&self, kind: LineKind, about: &str, inputs: &Inputs<'_>) -> InvoiceLine {
        let period = self.rating.period;
        let (plan, window) = (&self.plan.name, self.window);
        InvoiceLine {
            kind,
            plan: plan.clone(),
            window,
            meter: None,
            description: about.into(),
            tier: None,
            quantity: Decimal::ONE,
            unit: Box::from(""),
            unit_price: None,
            flat: Decimal::ZERO,
            amount: self.currency.round(Decimal::ZERO),
            input: input::digest(
                self.version,
                plan,
                period,
                window,
                about,
                inputs.granted,
                inputs.rollups,
            ),
        }
    }

    fn amount(&self, amount: Decimal, about: &str) -> Result<Decimal, RatingError> {
        let amount = self.share.amount(amount, self.currency);
        let amount = amount.ok_or_else(|| overflow(about))?;
        Ok(self.currency.round(amount))
    }

    fn note_unpriced(&self, rollup: &Rollup, invoice: &mut DraftInvoice) {
        let known = invoice.unpriced.iter_mut();
        let mut same = known.filter(|it| it.meter == rollup.meter && it.plan == self.plan.name);
        match same.next() {
            Some(unpriced) => {
                unpriced.quantity = unpriced.quantity.saturating_add(rollup.quantity);
            }
            None => invoice.unpriced.push(Unpriced {
                plan: self.plan.name.clone(),
                meter: rollup.meter.clone(),
                quantity: rollup.quantity,
            }),
        }
    }
}

pub(super) fn error(kind: RatingErrorKind, text: impl Into<String>) -> RatingError {
    RatingError::new(kind, text)
}

pub(super) fn overflow(about: &str) -> RatingError {
    let text = format!(
        "`{about}` has more digits than can be computed without rounding (28); count in a larger unit, or give the price fewer \
         digits"
    );
    error(RatingErrorKind::Overflow, text)
}
