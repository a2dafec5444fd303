//! What a quantity costs by one price. Nothing is rounded here but what a part of a period scales.

use rust_decimal::Decimal;
use tenancy_core::quota::Window;

use super::LineKind;
use crate::{
    UsageEvent, exact,
    price::{Currency, MeterPrice, Model, Proration, Tier},
};

/// A part of a period, in seconds of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    part: i64,
    whole: i64,
}

impl Share {
    /// The part that these windows are; `None` if the period has no end that can be computed with, or one of them has no length.
    pub(super) fn of(windows: &[Window], period: Window, proration: Proration) -> Option<Self> {
        let seconds = |of: Window| {
            let (start, end) = (of.start.as_unix_seconds(), of.end.as_unix_seconds());
            end.checked_sub(start).filter(|length| *length > 0)
        };
        let whole = seconds(period)?;
        let part = match proration {
            Proration::Full => whole,
            Proration::ByTime | Proration::LastPlan => windows
                .iter()
                .try_fold(0_i64, |sum, window| sum.checked_add(seconds(*window)?))?,
        };
        Some(Self { part, whole })
    }

    pub(super) fn amount(self, amount: Decimal, currency: Currency) -> Option<Decimal> {
        exact::share(amount, self.part, self.whole, currency.minor_digits())
    }

    fn quantity(self, quantity: Decimal) -> Option<Decimal> {
        exact::share(quantity, self.part, self.whole, UsageEvent::MAX_DECIMALS)
    }
}

/// What a line will say.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) kind: LineKind,
    pub(super) tier: Option<u32>,
    pub(super) quantity: Decimal,
    pub(super) unit_price: Option<Decimal>,
    pub(super) flat: Decimal,
    /// With every digit.
    pub(super) amount: Decimal,
}

/// What a quantity costs, part by part; `None` where it can't be computed without rounding.
pub(super) fn parts(
    price: &MeterPrice,
    quantity: Decimal,
    granted: Decimal,
    share: Share,
    currency: Currency,
) -> Option<Vec<Part>> {
    let included = share.quantity(price.included)?.min(quantity);
    let beyond = exact::sum(quantity, -included)?;
    let granted = granted.min(beyond);
    let rest = exact::sum(beyond, -granted)?;
    let mut parts = Vec::new();
    for (kind, quantity) in [(LineKind::Included, included), (LineKind::Granted, granted)] {
        if quantity > Decimal::ZERO {
            parts.push(Part {
                kind,
                tier: None,
                quantity,
                unit_price: None,
                flat: Decimal::ZERO,
                amount: Decimal::ZERO,
            });
        }
    }
    if rest.is_zero() {
        return Some(parts);
    }
    let mut push = |tier, quantity, unit_price, flat, amount| {
        parts.push(Part {
            kind: LineKind::Usage,
            tier,
            quantity,
            unit_price: Some(unit_price),
            flat,
            amount,
        });
    };
    match &price.model {
        Model::Free => push(None, rest, Decimal::ZERO, Decimal::ZERO, Decimal::ZERO),
        Model::PerUnit(unit_price) => {
            let amount = exact::product(rest, *unit_price)?;
            push(None, rest, *unit_price, Decimal::ZERO, amount);
        }
        Model::Package { size, price } => {
            let amount = exact::product(exact::packages(rest, *size)?, *price)?;
            push(None, rest, *price, Decimal::ZERO, amount);
        }
        Model::Percentage(percent) => {
            let part = exact::product(*percent, Decimal::new(1, 2))?;
            let amount = exact::product(rest, part)?;
            push(None, rest, *percent, Decimal::ZERO, amount);
        }
        Model::Graduated(tiers) => {
            let mut edge = Decimal::ZERO;
            for (number, tier) in (1..).zip(tiers) {
                let end = end_of(tier, share)?.map_or(rest, |end| end.min(rest));
                if end > edge {
                    let (quantity, flat) =
                        (exact::sum(end, -edge)?, share.amount(tier.flat, currency)?);
                    let amount = exact::sum(exact::product(quantity, tier.unit_price)?, flat)?;
                    push(Some(number), quantity, tier.unit_price, flat, amount);
                    edge = end;
                }
            }
        }
        Model::Volume(tiers) => {
            for (number, tier) in (1..).zip(tiers) {
                if end_of(tier, share)?.is_none_or(|end| rest <= end) {
                    let flat = share.amount(tier.flat, currency)?;
                    let amount = exact::sum(exact::product(rest, tier.unit_price)?, flat)?;
                    push(Some(number), rest, tier.unit_price, flat, amount);
                    break;
                }
            }
        }
    }
    Some(parts)
}

/// Where a tier ends in a part of a period; the outer `None` is an overflow.
fn end_of(tier: &Tier, share: Share) -> Option<Option<Decimal>> {
    match tier.up_to {
        Some(end) => share.quantity(end).map(Some),
        None => Some(None),
    }
}
