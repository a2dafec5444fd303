#![doc = include_str!("docs/overview.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod analytics;
pub mod anomaly;
pub mod billing;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod correction;
pub mod cost;
pub mod credit;
mod digest;
mod event;
mod exact;
pub mod forecast;
pub mod invoice;
mod meter;
mod metric;
mod name;
pub mod price;
mod recorder;
pub mod report;
mod requests;
mod retention;
mod rollup;
mod sink;
mod spool;
pub mod subscription;
pub mod threshold;
pub mod upgrade;
mod window;

pub use correction::{
    AppliedBackfill, AppliedCorrection, BackfillOutcome, CorrectionOutcome, RevertOutcome,
    UsageBackfill, UsageBackfills, UsageChange, UsageCorrection,
};
pub use digest::UsageDigest;
pub use event::{EventError, EventErrorKind, EventKey, EventTimes, UsageEvent};
pub use meter::{Aggregation, UsageMeter, UsageMeters};
pub use metric::{CustomMetric, CustomMetrics, DefinedMetric, MetricAuthor, MetricOutcome};
pub use recorder::{UsageRecorder, UsageRecorderBuilder, UsageSeries};
pub use requests::{FinishedRequest, RequestUsage};
pub use retention::{RetentionCuts, UsageRetention};
pub use rollup::{Rollup, RollupQuery};
/// The numbers of quantities and prices, of the crate `rust_decimal`.
pub use rust_decimal::Decimal;
pub use sink::{EventOutcome, MemoryUsage, UsageError, UsageErrorKind, UsageSink, UsageStatus};
pub use spool::{SpoolStatus, UsageSpool, UsageSpoolBuilder};
pub use window::{Resolution, UsageCalendar};
