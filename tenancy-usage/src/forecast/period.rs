//! What a billing period will come to, in units and in money.

use rust_decimal::{
    Decimal,
    prelude::{FromPrimitive as _, ToPrimitive as _},
};
use tenancy_core::{TenantId, quota::Window};

use super::{Forecast, ForecastError};
use crate::{
    Rollup, UsageEvent,
    invoice::{Rating, RatingError},
    price::PriceBook,
};

/// What a meter that adds up will come to at the end of a billing period.
///
/// ```
/// use tenancy_usage::{Decimal, forecast::PeriodForecast};
///
/// // Six full weeks; 14,000 of it in this period, which has ten days left.
/// let days: Vec<Decimal> = (0..42).map(|_| Decimal::from(1_000)).collect();
/// let forecast = PeriodForecast::of("tokens", &days, 7, 14_000.into(), 10)?;
/// assert_eq!(forecast.expected, 24_000.into());
/// assert!(forecast.low <= forecast.expected && forecast.expected <= forecast.high);
/// # Ok::<(), tenancy_usage::forecast::ForecastError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PeriodForecast {
    /// The meter.
    pub meter: Box<str>,
    /// What was used in the period already.
    pub used: Decimal,
    /// What it will come to.
    pub expected: Decimal,
    /// Above what it will come to in 9 of 10 cases, if errors are as before; never below what was used.
    pub low: Decimal,
    /// Below what it will come to in 9 of 10 cases.
    pub high: Decimal,
    /// The forecast of the days that are left.
    pub rest: Forecast,
}

/// What a billing period will cost: see [`PeriodForecast::price`].
///
/// ```
/// use tenancy_usage::forecast::PricedForecast;
///
/// fn shown(priced: &PricedForecast) -> String {
///     format!("{} so far, {} at the end ({} to {})", priced.so_far, priced.expected, priced.low, priced.high)
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PricedForecast {
    /// What the period would cost if nothing more were used.
    pub so_far: Decimal,
    /// What it will cost.
    pub expected: Decimal,
    /// With each meter at its low end.
    pub low: Decimal,
    /// With each meter at its high end.
    pub high: Decimal,
}

impl PeriodForecast {
    /// Forecasts the days that are left, from all full days before, the oldest first; those of this period are among them. `used` is what
    /// the full days of this period have used. A day that is under way counts as one that is left, with nothing of it in the history or in
    /// `used`.
    ///
    /// # Errors
    /// A [`ForecastError`], as [`Forecast::of`] has it.
    pub fn of(
        meter: impl Into<Box<str>>,
        days: &[Decimal],
        season: usize,
        used: Decimal,
        days_left: usize,
    ) -> Result<Self, ForecastError> {
        let days: Vec<_> = days
            .iter()
            .map(|day| day.to_f64().unwrap_or(f64::NAN))
            .collect();
        let rest = Forecast::of(&days, season, days_left)?;
        let with = |more: f64| {
            let more = Decimal::from_f64(more).unwrap_or(UsageEvent::MAX_TOTAL);
            let sum = used.saturating_add(more.round_dp(UsageEvent::MAX_DECIMALS));
            sum.min(UsageEvent::MAX_TOTAL).max(used)
        };
        Ok(Self {
            meter: meter.into(),
            used,
            expected: with(rest.total),
            low: with(rest.low),
            high: with(rest.high),
            rest,
        })
    }

    /// What the period will cost, through the tiers of the plan: with what was used so far, and with what each meter will come to.
    ///
    /// # Errors
    /// A [`RatingError`], as [`Rating::rate`] has it.
    pub fn price(
        book: &PriceBook,
        tenant: TenantId,
        period: Window,
        plan: &str,
        meters: &[Self],
    ) -> Result<PricedForecast, RatingError> {
        let total = |quantity: fn(&Self) -> Decimal| {
            let usage = meters
                .iter()
                .map(|it| Rollup::new(tenant, it.meter.clone(), period, quantity(it), 0));
            let invoice = Rating::new(book, tenant, period).plan(plan, usage).rate()?;
            Ok(invoice.total())
        };
        Ok(PricedForecast {
            so_far: total(|it| it.used)?,
            expected: total(|it| it.expected)?,
            low: total(|it| it.low)?,
            high: total(|it| it.high)?,
        })
    }
}
