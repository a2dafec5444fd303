//! Subscriptions: where a tenant stands with its payments, by what a billing system says.
//!
//! ```text
//! trial ──▶ active ⇄ past due ──(grace)──▶ suspended for billing
//!   │         │         │                         │
//!   └─────────┴─────────┴────────────┬────────────┘
//!                                    ▼
//!                                cancelled
//! ```
//!
//! What a billing system says comes late, twice and out of order. The newest version of its object holds, whatever the order in which
//! updates come; one that comes again changes nothing. An operator's suspension of the tenant is a state of its own
//! ([`TenantStatus`](tenancy_core::TenantStatus)), which no payment lifts: see [`ServiceAccess`].

mod access;
mod state;
mod stored;
mod update;

pub use access::ServiceAccess;
pub use state::{Applied, Subscription, SubscriptionState};
pub use update::{ObjectVersion, SubscriptionStatus, SubscriptionUpdate};
