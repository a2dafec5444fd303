//! Billing systems: signatures, Stripe's protocol as it was recorded, and files.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod files;
mod published;
mod stripe;
mod webhooks;
