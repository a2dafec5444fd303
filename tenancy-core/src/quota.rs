//! Limits: how much of what a tenant may use, and what it has used. Rates, quotas of calendar periods, what runs at
//! once, and what is kept.
//!
//! ```text
//! Meter ─declared in─▶ Quotas ─────────────┐
//! Limit ─stands in───▶ PlanBook or Quotas ─┤
//! Cost  ─stands in───▶ RoutePolicy ────────┴─▶ QuotaService ─all or nothing─▶ Counters
//! ```
//!
//! * [`Quotas`] declares what is counted, and is given to an engine. [`QuotaService`] is what handlers ask.
//! * [`Limit`] says how much there is, [`Scope`] for whom, [`Overage`] what happens beyond it.
//! * [`Counters`] keep what is used: [`MemoryCounters`] in one process, `tenancy_sqlx::PgCounters` in PostgreSQL.
//! * [`LeasedCounters`] stand before counters behind a network, and debit ahead. [`OnOutage`] says what a request
//!   gets while counters do not answer.
//! * [`Bucket`], [`Count`], [`Leases`] and [`Holdings`] are the decisions: pure, without a clock of their own.
//! * [`Calendar`] says when a tenant's hours, days, months and years begin.
//!
//! What a denied request asked for is never taken, of none of its limits.

mod address;
mod calendar;
mod ceiling;
mod charged;
mod charging;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod count;
mod counters;
mod fields;
mod gcra;
mod give_back;
mod held_names;
mod holdings;
mod importing;
mod leased;
mod leases;
mod limit;
mod limit_json;
mod memory;
mod meter;
mod of_context;
mod of_key;
mod operation;
mod outage;
mod overrides;
mod owned;
mod period;
mod quotas;
mod refusing;
mod reservation;
mod rule;
mod scope;
mod seats;
mod service;
mod standing;
mod stored;
mod taking;
mod tenant_usage;
#[cfg(test)]
mod tests;
mod throttle;

pub use calendar::Calendar;
pub use ceiling::Ceiling;
pub(crate) use charged::RouteCharge;
pub use charged::{ChargedLimit, ChargedLimits};
pub use count::Count;
pub use counters::{
    Algorithm, Counters, CountersError, Counting, Crossed, Denied, Granted, Holder, MAX_TAKES,
    Settle, Settled, Standings, Take, Taken,
};
pub use gcra::{Bucket, Rate};
pub use give_back::GiveBack;
pub(crate) use held_names::check_beside as check_held_names;
pub use holdings::Holdings;
pub use leased::{LeasedCounters, LeasedCountersBuilder};
pub use leases::{Concurrency, Leases};
pub use limit::{Limit, MAX_AMOUNT, Overage};
pub use memory::MemoryCounters;
pub use meter::{Meter, MeterKind};
pub use of_context::MeterQuota;
pub(crate) use of_context::of as of_context;
pub(crate) use of_key::{OwnLimits, check as check_key_limits, check_new as check_new_key_limits};
pub use operation::{Operation, OperationId};
pub use outage::{OnOutage, Outages};
pub use overrides::LimitOverride;
pub(crate) use overrides::OfTenant;
pub use owned::OwnedTake;
pub use period::{Period, Window};
pub use quotas::{Quotas, ThresholdReached};
pub use reservation::Reservation;
pub(crate) use rule::Rule;
pub use scope::Scope;
pub(crate) use seats::{Seats, SeatsDue};
pub use service::{LimitUsage, QuotaService};
pub use standing::{Denial, Standing, Wait};
pub use stored::{LimitOverrideDirectory, LimitOverrideStore};
pub(crate) use tenant_usage::Measure;
pub use tenant_usage::TenantUsage;
pub(crate) use throttle::{Throttle, Throttled};
