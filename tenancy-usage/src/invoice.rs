//! Draft invoices: what the usage of a billing period costs, line by line, with digests of what it was computed from.
//!
//! [`Rating`] computes a [`DraftInvoice`] from a price book, the plans that a tenant had, and rollups. Anybody who has the
//! same computes the same, to the digit: [`DraftInvoice::check_same`].
//!
//! A [`BillingPeriod`] is open, then closing while late events still come in, then closed. What comes later is an
//! [adjustment](Rating::adjust) on the next invoice.

mod adjusting;
mod charge;
mod csv;
mod error;
mod input;
mod json;
mod line;
mod period;
mod rating;
mod reading;

use rust_decimal::Decimal;
use tenancy_core::{TenantId, Timestamp, quota::Window};

pub use error::{RatingError, RatingErrorKind};
pub use line::{InvoiceLine, LineKind};
pub use period::{BillingPeriod, ClosedPeriod, PeriodError, PeriodState};
pub use rating::Rating;

use crate::{
    UsageDigest,
    credit::{CreditLedger, GrantUnit, LedgerError},
    exact,
    price::Currency,
};

/// What a billing period costs a tenant: a draft, for the system that makes the real invoice, with taxes and a number.
///
/// Each line is rounded to the currency's smallest unit, half to even, and the total is the sum of the lines.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::{
///     Decimal, Rollup, UsageMeter, UsageMeters,
///     invoice::Rating,
///     price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
/// };
///
/// let meters = UsageMeters::new([UsageMeter::count("requests")])?;
/// let pro = PlanPrices::new("pro").flat("base fee", 29).price(MeterPrice::graduated(
///     "requests",
///     [Tier::up_to(1_000, 0), Tier::rest(Decimal::new(2, 3))],
/// ));
/// let version = PriceVersion::new("first", Timestamp::EPOCH).plan(pro);
/// let book = PriceBook::builder("EUR").version(version).build(&meters)?;
///
/// let acme = TenantId::new();
/// let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
/// let usage = Rollup::new(acme, "requests", month, 1_501, 1_501);
/// let invoice = Rating::new(&book, acme, month).plan("pro", [usage]).rate()?;
/// // 29 + 501 × 0.002, half to even
/// assert_eq!(invoice.total().to_string(), "30.00");
/// assert_eq!(invoice.lines.len(), 3);
/// assert!(invoice.to_csv().contains("usage,pro,requests"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct DraftInvoice {
    /// Who pays.
    pub tenant: TenantId,
    /// For which period.
    pub period: Window,
    /// The name of the version of the price book.
    pub version: Box<str>,
    /// The digest of that version.
    pub version_digest: UsageDigest,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The lines: by segment of the period its flat amounts, its meters and its minimum; then adjustments, then credits.
    pub lines: Vec<InvoiceLine>,
    /// Usage that no price of its plan is for. It costs nothing, and somebody should know.
    pub unpriced: Vec<Unpriced>,
}

/// Usage that no price of the plan is for: see [`DraftInvoice::unpriced`].
///
/// ```
/// use tenancy_usage::invoice::DraftInvoice;
///
/// fn warn(invoice: &DraftInvoice) {
///     for usage in &invoice.unpriced {
///         eprintln!("plan {} has no price for {} of {}", usage.plan, usage.quantity, usage.meter);
///     }
/// }
/// # let _ = warn;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpriced {
    /// The plan.
    pub plan: Box<str>,
    /// The meter.
    pub meter: Box<str>,
    /// How much was used.
    pub quantity: Decimal,
}

impl DraftInvoice {
    /// What is due: the sum of all lines. Below 0 where adjustments give back more than the period costs; then grant the rest
    /// as a credit.
    #[must_use]
    pub fn total(&self) -> Decimal {
        self.sum(|_| true)
    }

    /// The sum of all lines but credits.
    #[must_use]
    pub fn subtotal(&self) -> Decimal {
        self.sum(|line| line.kind != LineKind::Credit)
    }

    fn sum(&self, which: impl Fn(&InvoiceLine) -> bool) -> Decimal {
        let lines = self.lines.iter().filter(|line| which(line));
        // The rating made sure that they add up.
        let sum = exact::total(lines.map(|line| line.amount)).unwrap_or(Decimal::MAX);
        self.currency.round(sum)
    }

    /// How much of a meter costs something on this invoice: beyond what is included and granted.
    #[must_use]
    pub fn billed(&self, meter: &str) -> Decimal {
        let usage = self
            .lines
            .iter()
            .filter(|line| line.kind == LineKind::Usage);
        let of_meter = usage.filter(|line| line.meter.as_deref() == Some(meter));
        // They are parts of one sum.
        of_meter.map(|line| line.quantity).sum()
    }

    /// What the invoice is known by: its tenant and the start of its period. There is one for each.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.tenant, self.period.start)
    }

    /// Pays as much as credits cover: grants of money in this currency, in the [ledger's order](CreditLedger). A credit that is
    /// larger than what is due stays for the next invoice. Done twice for one invoice, it takes once.
    ///
    /// # Errors
    /// A [`LedgerError`] if credits were taken for this invoice when another amount was due.
    pub fn apply_credits(
        &mut self,
        ledger: &mut CreditLedger,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let due = self.subtotal();
        self.lines.retain(|line| line.kind != LineKind::Credit);
        let unit = GrantUnit::Money(self.currency);
        // What was taken when something was due is not forgotten where nothing is any more.
        if due <= Decimal::ZERO && ledger.drawn_for(&unit, &self.id()).is_none() {
            return Ok(());
        }
        for draw in ledger.draw(&unit, due.max(Decimal::ZERO), at, &self.id())? {
            let line = InvoiceLine::credit(self, &draw);
            self.lines.push(line);
        }
        Ok(())
    }

    /// Makes sure that an invoice that was computed again is the same: the version of the prices, what each line was computed
    /// from, and what came out. Credits are left out, because they are not computed from usage.
    ///
    /// # Errors
    /// A [`RatingError`] of the kind [`Differs`](RatingErrorKind::Differs) that names the first line that is another, and
    /// whether its usage is.
    pub fn check_same(&self, again: &Self) -> Result<(), RatingError> {
        let differs = |text: String| Err(RatingError::new(RatingErrorKind::Differs, text));
        if (self.tenant, self.period) != (again.tenant, again.period) {
            return differs(format!(
                "one invoice is {}, the other {}",
                self.id(),
                again.id()
            ));
        }
        if self.version_digest != again.version_digest {
            return differs(format!(
                "one invoice is by version `{}` of the prices, the other by version `{}`, and what they say differs",
                self.version, again.version
            ));
        }
        if self.unpriced != again.unpriced {
            return differs("what no price is for differs".to_owned());
        }
        let computed = |it: &Self| {
            let lines = it.lines.iter().filter(|it| it.kind != LineKind::Credit);
            lines.cloned().collect::<Vec<_>>()
        };
        let (ours, theirs) = (computed(self), computed(again));
        let pairs = ours.iter().zip(&theirs).enumerate();
        let differing = || pairs.clone().filter(|(_, (one, other))| one != other);
        // What is included may have another usage and costs nothing: the first amount that differs says more.
        let by_amount = differing().find(|(_, (one, other))| one.amount != other.amount);
        if let Some((place, (one, other))) = by_amount.or_else(|| differing().next()) {
            let why = if one.input == other.input {
                "from the same usage"
            } else {
                "its usage is another"
            };
            return differs(format!(
                "line {} ({}) differs, {why}: {} before, {} now",
                place + 1,
                other.description,
                one.amount,
                other.amount
            ));
        }
        if ours.len() != theirs.len() {
            return differs(format!(
                "it has {} lines before, {} now",
                ours.len(),
                theirs.len()
            ));
        }
        Ok(())
    }
}
