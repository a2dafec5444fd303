#![doc = include_str!("docs/overview.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod digest;
mod event;
mod meter;
mod name;
mod recorder;
mod rollup;
mod sink;
mod window;

pub use digest::UsageDigest;
pub use event::{EventError, EventErrorKind, EventKey, EventTimes, UsageEvent};
pub use meter::{Aggregation, UsageMeter, UsageMeters};
pub use recorder::{UsageRecorder, UsageRecorderBuilder, UsageSeries};
pub use rollup::{Rollup, RollupQuery};
/// The numbers of quantities and prices, of the crate `rust_decimal`.
pub use rust_decimal::Decimal;
pub use sink::{EventOutcome, MemoryUsage, UsageError, UsageErrorKind, UsageSink, UsageStatus};
pub use window::{Resolution, UsageCalendar};
