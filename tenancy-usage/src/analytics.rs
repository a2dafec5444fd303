//! Analytics: what operators and tenants ask of usage, as queries with typed results, over any [`UsageSink`](crate::UsageSink).
//!
//! An [`Analytics`] reads rollups, so that an answer costs by windows and not by events. Each method asks one question:
//!
//! | question | answer |
//! |---|---|
//! | how much, and how much more than before? | [`total`](Analytics::total), [`series`](Analytics::series), [`growth`](Analytics::growth) |
//! | how many requests succeeded, and how long did they take? | [`outcomes`](Analytics::outcomes), [`durations`](Analytics::durations), [`routes`](Analytics::routes) |
//! | when in the week? | [`heat_map`](Analytics::heat_map) |
//! | does it rise, and has its level moved? | [`Trend`], [`DriftDetector`] |
//! | which tenants begin, stay and go? | [`lifecycle`](Analytics::lifecycle) |
//! | how is usage spread over tenants, and who moved most? | [`distribution`](Analytics::distribution), [`movers`](Analytics::movers) |
//! | how does a tenant compare with others, without showing them? | [`benchmark`](Analytics::benchmark) |
//!
//! Quantities are exact [decimals](rust_decimal::Decimal). Ratios, slopes and quantiles are estimates in floating point: nothing is billed by them.
//! Where there is nothing to divide by, an answer is `None`. No answer is infinite or no number.
//!
//! # Security
//! What is asked of one tenant is answered from its rollups alone. What is asked of many takes the tenants from the caller, and is for
//! operators: it says which tenant used how much. Only a [`Benchmark`] is made to be shown to tenants.

mod benchmark;
mod distribution;
mod drift;
mod durations;
mod growth;
mod heat_map;
mod laplace;
mod lifecycle;
mod movers;
mod outcomes;
mod reading;
mod routes;
mod series;
mod totals;
mod trend;

pub use benchmark::{Benchmark, BenchmarkRules, Standing};
pub use distribution::Distribution;
pub use drift::{Drift, DriftDetector};
pub use durations::{Durations, Percentile};
pub use growth::Growth;
pub use heat_map::{HeatCell, HeatMap};
pub use lifecycle::{Cohort, Lifecycle, LifecycleWindow};
pub use movers::{Mover, Movers};
pub use outcomes::RequestOutcomes;
pub use reading::Analytics;
pub use routes::RouteUsage;
pub use series::SeriesStep;
pub use totals::{Change, UsageTotal};
pub use trend::{Trend, TrendDirection};
