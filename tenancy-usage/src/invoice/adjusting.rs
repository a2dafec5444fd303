//! What late events and corrections change of an earlier period.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use tenancy_core::Timestamp;

use super::{
    DraftInvoice, InvoiceLine, LineKind, Rating, RatingError, RatingErrorKind,
    rating::{error, overflow},
};
use crate::exact;

#[derive(Debug, Clone)]
pub(super) struct Adjusted<'b> {
    before: &'b DraftInvoice,
    after: &'b DraftInvoice,
}

/// What an adjustment is about: a plan, the start of its segment, and the line's description.
type About = (Box<str>, Timestamp, Box<str>);

impl<'b> Rating<'b> {
    /// Adds what has changed of an earlier period since it was closed: the difference between two computations of its invoice,
    /// through the same tiers. `before` is the one that was billed, or the `after` of the last adjustment of that period;
    /// `after` is computed from today's rollups.
    ///
    /// A difference below 0 gives back.
    pub fn adjust(mut self, before: &'b DraftInvoice, after: &'b DraftInvoice) -> Self {
        self.adjusted.push(Adjusted { before, after });
        self
    }

    pub(super) fn add_adjustments(&self, invoice: &mut DraftInvoice) -> Result<(), RatingError> {
        for Adjusted { before, after } in &self.adjusted {
            if (before.tenant, before.period) != (after.tenant, after.period)
                || before.tenant != invoice.tenant
                || before.period.end > invoice.period.start
            {
                return Err(error(
                    RatingErrorKind::Usage,
                    format!(
                        "{} and {} can't adjust {}; give two computations of one earlier period of the same tenant",
                        before.id(),
                        after.id(),
                        invoice.id()
                    ),
                ));
            }
            if before.version_digest != after.version_digest {
                return Err(error(
                    RatingErrorKind::Differs,
                    format!(
                        "{} was computed by version `{}` of the prices and again by version `{}`; compute it with the one that \
                         was billed",
                        before.id(),
                        before.version,
                        after.version
                    ),
                ));
            }
            if before.currency != invoice.currency || after.currency != invoice.currency {
                return Err(error(
                    RatingErrorKind::MixedCurrency,
                    format!(
                        "an adjustment is in {} and the invoice in {}; make an invoice for it alone",
                        before.currency, invoice.currency
                    ),
                ));
            }
            add(before, after, invoice)?;
        }
        Ok(())
    }
}

fn add(
    before: &DraftInvoice,
    after: &DraftInvoice,
    invoice: &mut DraftInvoice,
) -> Result<(), RatingError> {
    let mut changes = BTreeMap::<About, (Decimal, Decimal, InvoiceLine)>::new();
    let of = |of: &DraftInvoice, sign: Decimal, changes: &mut BTreeMap<About, _>| {
        let computed =
            |line: &&InvoiceLine| !matches!(line.kind, LineKind::Credit | LineKind::Adjustment);
        for line in of.lines.iter().filter(computed) {
            let about = (
                line.plan.clone(),
                line.window.start,
                line.description.clone(),
            );
            let (amount, quantity, shown) = changes
                .entry(about)
                .or_insert_with(|| (Decimal::ZERO, Decimal::ZERO, line.clone()));
            *amount = exact::sum(*amount, sign * line.amount)?;
            if line.meter.is_some() && line.kind != LineKind::Minimum {
                *quantity = exact::sum(*quantity, sign * line.quantity)?;
            }
            // What it was computed from in the end.
            *shown = line.clone();
        }
        Some(())
    };
    of(before, Decimal::NEGATIVE_ONE, &mut changes).ok_or_else(|| overflow("an adjustment"))?;
    of(after, Decimal::ONE, &mut changes).ok_or_else(|| overflow("an adjustment"))?;
    for ((plan, _, description), (amount, quantity, shown)) in changes {
        if amount.is_zero() && quantity.is_zero() {
            continue;
        }
        invoice.lines.push(InvoiceLine {
            kind: LineKind::Adjustment,
            plan,
            description: format!("{description}, {}", before.period.start).into(),
            tier: None,
            quantity: quantity.normalize(),
            unit_price: None,
            flat: Decimal::ZERO,
            amount: invoice.currency.round(amount),
            ..shown
        });
    }
    Ok(())
}
