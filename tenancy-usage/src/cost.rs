//! Cost: what a tenant's usage costs *you*, its part of what is shared, and what is left of its revenue.
//!
//! What a unit costs you stands in a price book of its own, with one plan: a rate card. The [`Rating`](crate::invoice::Rating) of a
//! tenant's rollups by it is the tenant's direct cost, with the same lines and digests as an invoice. What all tenants share, such
//! as a database, is [divided](SharedCost) by a driver. The [`Margin`] is what is left.
//!
//! ```
//! use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
//! use tenancy_usage::{
//!     Decimal, Rollup, UsageMeter, UsageMeters,
//!     cost::{Margin, SharedCost},
//!     invoice::Rating,
//!     price::{Currency, MeterPrice, PlanPrices, PriceBook, PriceVersion},
//! };
//!
//! let meters = UsageMeters::new([UsageMeter::sum("tokens")])?;
//! let book = |plan: PlanPrices| {
//!     PriceBook::builder("EUR").version(PriceVersion::new("2027", Timestamp::EPOCH).plan(plan)).build(&meters)
//! };
//! let prices = book(PlanPrices::new("pro").price(MeterPrice::per_unit("tokens", Decimal::new(3, 2))))?;
//! let costs = book(PlanPrices::new("cost").price(MeterPrice::per_unit("tokens", Decimal::new(1, 2))))?;
//!
//! let (acme, globex) = (TenantId::new(), TenantId::new());
//! let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
//! let usage = Rollup::new(acme, "tokens", month, 1_000, 10);
//! let revenue = Rating::new(&prices, acme, month).plan("pro", [usage.clone()]).rate()?;
//! let direct = Rating::new(&costs, acme, month).plan("cost", [usage]).rate()?;
//!
//! let database = SharedCost::new("database", Currency::new("EUR")?, 10);
//! let parts = database.divide([(acme, 1_000.into()), (globex, 2_000.into())])?;
//! let margin = Margin::of(&revenue, &direct, parts.of(acme))?;
//! assert_eq!(margin.left.to_string(), "16.67"); // 30.00 - 10.00 - 3.33
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod margin;
mod shared;

pub use margin::Margin;
pub use shared::{SharedCost, SharedParts};
