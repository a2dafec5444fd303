//! Price books: what usage costs.
//!
//! A [`PriceBook`] has [versions](PriceVersion), each valid from an instant on. A version has [plans](PlanPrices), and a plan
//! has a [price](MeterPrice) for each meter. A version never changes: what changes is a new version.
//!
//! A rate card of what usage costs *you* is a second book, with one plan: [`cost`](crate::cost) has what comes to it.
//!
//! ```
//! use tenancy_core::Timestamp;
//! use tenancy_usage::{
//!     Decimal, UsageMeter, UsageMeters,
//!     price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
//! };
//!
//! let meters = UsageMeters::new([UsageMeter::count("requests"), UsageMeter::sum("tokens")])?;
//! let pro = PlanPrices::new("pro")
//!     .flat("base fee", 29)
//!     .price(MeterPrice::graduated("requests", [
//!         Tier::up_to(1_000_000, 0),
//!         Tier::rest(Decimal::new(2, 6)), // 0.000002
//!     ]))
//!     .price(MeterPrice::per_unit("tokens", Decimal::new(1, 5)).included(100_000));
//! let book = PriceBook::builder("EUR")
//!     .version(PriceVersion::new("2027-01", Timestamp::from_unix_seconds(1_798_761_600)).plan(pro))
//!     .build(&meters)?;
//! assert!(book.version_at(Timestamp::EPOCH).is_none());
//! # Ok::<(), tenancy_core::ConfigError>(())
//! ```

mod book;
mod check;
mod currency;
mod meter_price;
mod plan_prices;
#[cfg(feature = "toml")]
mod reading;
mod segment;
mod tier;
mod version;

pub use book::{PriceBook, PriceBookBuilder};
pub use currency::Currency;
pub use meter_price::MeterPrice;
pub(crate) use meter_price::Model;
pub use plan_prices::{PlanPrices, Proration};
pub use segment::PlanSegment;
pub use tier::Tier;
pub use version::PriceVersion;
