//! What usage costs: books that can't be meant, the edges of tiers, and invoices beside a second, naive program.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod books;
mod edges;
mod histories;
mod invoices;
mod naive;
mod written;

use tenancy_core::{
    ConfigError, TenantId, Timestamp,
    quota::{Calendar, Period, Window},
};
use tenancy_usage::{
    Decimal, Rollup, UsageMeter, UsageMeters,
    invoice::{DraftInvoice, Rating},
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion},
};

/// 2027-01-15T08:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn month() -> Window {
    Calendar::utc().window(Period::Month, NOW)
}

fn meters() -> UsageMeters {
    UsageMeters::new([
        UsageMeter::sum("tokens")
            .dimension("model")
            .dimension("region"),
        UsageMeter::count("requests"),
        UsageMeter::max("connections").dimension("zone"),
    ])
    .unwrap()
}

fn book_of(plan: PlanPrices) -> Result<PriceBook, ConfigError> {
    let version = PriceVersion::new("first", Timestamp::EPOCH).plan(plan);
    PriceBook::builder("EUR").version(version).build(&meters())
}

fn book(price: MeterPrice) -> PriceBook {
    book_of(PlanPrices::new("pro").price(price)).unwrap()
}

fn tokens(tenant: TenantId, quantity: &str) -> Rollup {
    Rollup::new(tenant, "tokens", month(), d(quantity), 1)
}

/// The invoice of a month with so many tokens.
fn invoice(book: &PriceBook, quantity: &str) -> DraftInvoice {
    let tenant = TenantId::new();
    let rating = Rating::new(book, tenant, month());
    rating
        .plan("pro", [tokens(tenant, quantity)])
        .rate()
        .unwrap()
}
