//! Margins.

use rust_decimal::Decimal;
use tenancy_core::TenantId;

use crate::{
    exact,
    invoice::{DraftInvoice, RatingError, RatingErrorKind},
    price::Currency,
};

/// What is left of a tenant's revenue in a period.
///
/// ```
/// use tenancy_usage::cost::Margin;
///
/// /// Whom we pay to use the service.
/// fn costs_more_than_it_pays(margin: &Margin) -> bool {
///     margin.left.is_sign_negative()
/// }
/// # let _ = costs_more_than_it_pays;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Margin {
    /// Whose.
    pub tenant: TenantId,
    /// The currency of all amounts.
    pub currency: Currency,
    /// What the invoice is of, before credits.
    pub revenue: Decimal,
    /// What the tenant's own usage costs.
    pub direct: Decimal,
    /// The tenant's parts of what is shared.
    pub shared: Decimal,
    /// The revenue without both costs; below 0 if they are more.
    pub left: Decimal,
    /// What is left in percent of the revenue, rounded half to even to two digits; `None` without a revenue.
    pub percent: Option<Decimal>,
}

impl Margin {
    /// The margin of an invoice, by the tenant's direct cost and its parts of shared costs, in the invoice's currency.
    ///
    /// # Errors
    /// A [`RatingError`] if both are not of one tenant, period and currency, or don't add up without rounding.
    pub fn of(
        revenue: &DraftInvoice,
        direct: &DraftInvoice,
        shared: Decimal,
    ) -> Result<Self, RatingError> {
        if (revenue.tenant, revenue.period) != (direct.tenant, direct.period) {
            return Err(RatingError::new(
                RatingErrorKind::Usage,
                format!(
                    "the invoice is {} and the cost {}; give both of one tenant and period",
                    revenue.id(),
                    direct.id()
                ),
            ));
        }
        if revenue.currency != direct.currency {
            return Err(RatingError::new(
                RatingErrorKind::MixedCurrency,
                format!(
                    "the invoice is in {} and the cost in {}; make a rate card in the currency of the prices",
                    revenue.currency, direct.currency
                ),
            ));
        }
        let (currency, income, outlay) = (revenue.currency, revenue.subtotal(), direct.subtotal());
        let left = exact::total([income, -outlay, -shared]).ok_or_else(|| {
            RatingError::new(
                RatingErrorKind::Overflow,
                "the margin has more digits than can be computed without rounding (28)",
            )
        })?;
        let percent = left
            .checked_mul(Decimal::ONE_HUNDRED)
            .and_then(|hundredfold| hundredfold.checked_div(income))
            .map(|percent| percent.round_dp(2));
        Ok(Self {
            tenant: revenue.tenant,
            currency,
            revenue: income,
            direct: outlay,
            shared: currency.round(shared),
            left: currency.round(left),
            percent,
        })
    }
}
