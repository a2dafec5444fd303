//! Where billing is kept: what was told, closed, granted, heard and reported, once each, for all processes.

mod check;
mod credits;
mod error;
mod memory;
mod periods;
mod receiving;
mod reports;
mod subscriptions;
mod thresholds;

pub use check::check_text;
pub use credits::{CreditStore, GrantOutcome};
pub use error::{BillingStoreError, BillingStoreErrorKind};
pub use memory::MemoryBilling;
pub use periods::{CloseOutcome, ClosedInvoice, PeriodStore};
pub use receiving::{WebhookOutcome, receive};
pub use reports::{QueueOutcome, ReportRun, ReportStore, StuckReport, report_due};
pub use subscriptions::{BindOutcome, StoredSubscription, SubscriptionStore, UpdateOutcome};
pub use thresholds::ThresholdStore;

/// All that is kept of billing: each store that has the five parts is one.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_usage::billing::{BillingStore, MemoryBilling};
///
/// let billing: Arc<dyn BillingStore> = Arc::new(MemoryBilling::new());
/// # let _ = billing;
/// ```
///
/// # Security
/// A store reads and writes what is any tenant's. Take the tenant of a question from a context, or from an operator's word, and never
/// from what a caller has sent.
pub trait BillingStore:
    ThresholdStore + PeriodStore + SubscriptionStore + CreditStore + ReportStore
{
}

impl<S> BillingStore for S where
    S: ThresholdStore + PeriodStore + SubscriptionStore + CreditStore + ReportStore + ?Sized
{
}
