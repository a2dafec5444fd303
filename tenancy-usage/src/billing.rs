//! Billing systems: customers and usage out, signed webhooks in.
//!
//! A [`BillingProvider`] is told who the customers are and what they used, in batches that may be sent again. [`FileBilling`] is one
//! that writes files; [`StripeMeters`] speaks with Stripe's meters through a [`BillingTransport`] of yours. [`WebhookSecret`] verifies
//! what a billing system sends, and [`stripe_update`] reads what it says of a subscription.

mod error;
mod file;
mod provider;
mod stripe;
mod stripe_event;
mod transport;
mod webhook;

pub use error::{BillingError, BillingErrorKind, WebhookError, WebhookErrorKind};
pub use file::FileBilling;
pub use provider::{BillingProvider, Customer, CustomerId, ReportOutcome, UsageReport};
pub use stripe::StripeMeters;
pub use stripe_event::stripe_update;
pub use transport::{BillingRequest, BillingResponse, BillingTransport};
pub use webhook::WebhookSecret;
