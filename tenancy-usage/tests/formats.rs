//! Formats that are stored stay as they are. The digests were computed by a program in Python, from the documentation alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use tenancy_core::{
    TenantId, Timestamp,
    quota::{Calendar, Period},
};
use tenancy_usage::{
    Decimal, Rollup, UsageEvent, UsageMeter, UsageMeters,
    invoice::Rating,
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
};

fn tenant() -> TenantId {
    "0190a6e4-2b3c-7d4e-8f50-617283940516".parse().unwrap()
}

#[test]
fn the_digest_of_an_event() {
    let project = "0190a6e4-2b3c-7d4e-8f50-617283940517".parse().unwrap();
    let event = UsageEvent::new(tenant(), "tokens", "gateway", "1", Timestamp::EPOCH)
        .quantity(Decimal::new(150, 2))
        .project(project)
        .job("nightly")
        .dimension("model", "large");
    assert_eq!(
        event.digest().to_string(),
        "dc34407eaf41a4b759f817940613e76cf2f228eb565ec69c84c12623d8aeaf0f"
    );
}

#[test]
fn the_digests_of_a_version_and_of_a_line() {
    let meters = UsageMeters::new([UsageMeter::sum("tokens")]).unwrap();
    let tiers = [
        Tier::up_to(1_000, 0),
        Tier::rest(Decimal::new(2, 3)).flat(3),
    ];
    let plan = PlanPrices::new("pro")
        .flat("base fee", 29)
        .price(MeterPrice::graduated("tokens", tiers).included(100));
    let valid_from = Timestamp::from_unix_seconds(1_800_000_000);
    let version = |from| PriceVersion::new("first", from).plan(plan.clone());
    let book = |from| {
        PriceBook::builder("EUR")
            .version(version(from))
            .build(&meters)
            .unwrap()
    };
    let digest = book(valid_from).version("first").unwrap().digest();
    assert_eq!(
        digest.to_string(),
        "8a3c70a0db51e0a3afbbdd9f70aa4fdb9be51712b235bdba7017a0acb1a56de2"
    );
    // A month that begins then or later is billed by it.
    let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_802_000_000));
    let usage = Rollup::new(tenant(), "tokens", month, 1_500, 12);
    let invoice = Rating::new(&book(valid_from), tenant(), month)
        .plan("pro", [usage])
        .rate()
        .unwrap();
    assert_eq!(invoice.version_digest, digest);
    let digests: Vec<_> = invoice
        .lines
        .iter()
        .filter(|it| it.meter.is_some())
        .map(|it| it.input.to_string())
        .collect();
    let expected = "b07be500862d176b5f19051bb7c8a28984d19a902202e166e4749d71daae24a2";
    // What is included, and two tiers.
    assert_eq!(digests, [expected, expected, expected]);
}
