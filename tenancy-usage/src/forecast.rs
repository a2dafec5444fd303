//! Forecasts: what a period will come to, with how wrong such forecasts were before.
//!
//! A [`Forecast`] continues a series of equal steps, such as days, by the median of four [methods](ForecastMethod). Its interval
//! comes from its own errors at earlier times, and it tells those errors beside the plainest method's ([`Backtest`]). With less
//! than two seasons of history it goes on at the mean rate, and says so ([`Confidence::Low`]).
//!
//! A [`PeriodForecast`] adds a forecast to what was used already, and [prices](PeriodForecast::price) the sum through the tiers:
//! the last days of a month cost what their tier says, and not what the first ones did.
//!
//! Forecasts are floating-point estimates. Nothing that is billed comes from here.

mod backtest;
mod ensemble;
pub(crate) mod numbers;
mod period;
mod robust;
mod seasonal;
mod smoothing;
mod theta;

pub use backtest::Backtest;
pub use ensemble::{Confidence, Forecast, ForecastError, ForecastMethod};
pub use period::{PeriodForecast, PricedForecast};
