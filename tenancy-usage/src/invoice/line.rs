//! The lines of an invoice.

use rust_decimal::Decimal;
use tenancy_core::quota::Window;

use super::DraftInvoice;
use crate::{UsageDigest, credit::Draw, digest::Canonical};

/// What a line is for.
///
/// ```
/// use tenancy_usage::invoice::LineKind;
///
/// assert_eq!(LineKind::Minimum.as_str(), "minimum");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LineKind {
    /// What a plan costs whatever is used.
    Flat,
    /// Usage that is included and costs nothing.
    Included,
    /// Usage that a [grant](crate::credit::Grant) pays, and that costs nothing here.
    Granted,
    /// Usage that costs something, in one tier.
    Usage,
    /// What is missing to a minimum, of a meter or of the plan.
    Minimum,
    /// What late events and corrections change of an earlier period.
    Adjustment,
    /// What a credit pays; below 0.
    Credit,
}

impl LineKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Flat,
        Self::Included,
        Self::Granted,
        Self::Usage,
        Self::Minimum,
        Self::Adjustment,
        Self::Credit,
    ];

    /// Its name: `flat`, `included`, `granted`, `usage`, `minimum`, `adjustment` or `credit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Included => "included",
            Self::Granted => "granted",
            Self::Usage => "usage",
            Self::Minimum => "minimum",
            Self::Adjustment => "adjustment",
            Self::Credit => "credit",
        }
    }
}

/// One line of an invoice.
///
/// ```
/// use tenancy_usage::invoice::InvoiceLine;
///
/// /// 501 tokens at 0.002 each
/// fn shown(line: &InvoiceLine) -> String {
///     let price = line.unit_price.unwrap_or_default();
///     format!("{} {} at {price} each", line.quantity, line.unit)
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvoiceLine {
    /// What it is for.
    pub kind: LineKind,
    /// The plan; empty for credits.
    pub plan: Box<str>,
    /// The part of the period that it is about; of an adjustment, of the earlier period.
    pub window: Window,
    /// The meter, if it is about one.
    pub meter: Option<Box<str>>,
    /// What it is about, in words: the meter with the condition of its price, or the name of the amount.
    pub description: Box<str>,
    /// The number of the tier, from 1, where the price has tiers.
    pub tier: Option<u32>,
    /// How much.
    pub quantity: Decimal,
    /// The meter's unit; empty without a meter.
    pub unit: Box<str>,
    /// What a unit costs; of a package, a package; of a percentage, the percent.
    pub unit_price: Option<Decimal>,
    /// What the tier costs once.
    pub flat: Decimal,
    /// What it comes to, rounded to the currency's smallest unit.
    pub amount: Decimal,
    /// The digest of what it was computed from: the version of the prices, the plan, the times, and the rollups.
    ///
    /// The bytes are those of the format `invoice-input-1`, written as those of
    /// [`PriceVersion::digest`](crate::price::PriceVersion::digest): the name of the format, the version's digest (32 bytes, after their
    /// length), the plan, start and end of the period and of the segment in microseconds, the description, what was granted, and the
    /// number of rollups. Of each rollup: meter, project and key (16 bytes, after their length, or absent), the number of dimensions with
    /// name and value each, start and end, quantity, and events. Rollups are in the order of window, project, key and dimensions.
    pub input: UsageDigest,
}

impl InvoiceLine {
    pub(super) fn credit(invoice: &DraftInvoice, draw: &Draw) -> Self {
        let amount = invoice.currency.round(-draw.amount);
        Self {
            kind: LineKind::Credit,
            plan: Box::from(""),
            window: invoice.period,
            meter: None,
            description: format!("credit {}", draw.grant).into(),
            tier: None,
            quantity: Decimal::ONE,
            unit: Box::from(""),
            unit_price: None,
            flat: Decimal::ZERO,
            amount,
            input: Canonical::of("invoice-credit-1")
                .text(&draw.grant)
                .text(&invoice.id())
                .decimal(draw.amount)
                .end(),
        }
    }
}
