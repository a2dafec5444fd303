//! Billing systems: customers and usage out, signed webhooks in.
//!
//! A [`BillingProvider`] is told who the customers are and what they used, in batches that may be sent again. [`FileBilling`] is one
//! that writes files; [`StripeMeters`] speaks with Stripe's meters through a [`BillingTransport`] of yours. [`WebhookSecret`] verifies
//! what a billing system sends, and [`stripe_update`] reads what it says of a subscription. A [`BillingStore`] keeps what was told,
//! closed, granted, heard and reported: [`MemoryBilling`], or `PgBilling` of `tenancy-sqlx`. [`receive`] is one call for webhooks, and
//! [`report_due`] one for a job.

mod error;
mod file;
mod provider;
mod store;
mod stripe;
mod stripe_event;
mod transport;
mod webhook;

pub use error::{BillingError, BillingErrorKind, WebhookError, WebhookErrorKind};
pub use file::FileBilling;
pub use provider::{BillingProvider, Customer, CustomerId, ReportOutcome, UsageReport};
pub use store::{
    BillingStore, BillingStoreError, BillingStoreErrorKind, BindOutcome, CloseOutcome,
    ClosedInvoice, CreditStore, GrantOutcome, MemoryBilling, PeriodStore, QueueOutcome, ReportRun,
    ReportStore, StoredSubscription, StuckReport, SubscriptionStore, ThresholdStore, UpdateOutcome,
    WebhookOutcome, check_text, receive, report_due,
};
pub use stripe::StripeMeters;
pub use stripe_event::stripe_update;
pub use transport::{BillingRequest, BillingResponse, BillingTransport};
pub use webhook::WebhookSecret;
