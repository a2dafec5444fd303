//! A forecast costs what its tiers say.

use tenancy_core::{
    TenantId, Timestamp,
    quota::{Calendar, Period},
};
use tenancy_usage::{
    Decimal, UsageMeter, UsageMeters,
    forecast::PeriodForecast,
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
};

#[test]
fn the_rest_of_a_month_is_priced_by_the_tier_that_it_is_in() {
    let meters =
        UsageMeters::new([UsageMeter::sum("tokens"), UsageMeter::count("requests")]).unwrap();
    let tiers = [Tier::up_to(15_000, 0), Tier::rest(Decimal::new(1, 2))];
    let plan = PlanPrices::new("pro")
        .flat("base fee", 29)
        .price(MeterPrice::graduated("tokens", tiers));
    let plan = plan.price(MeterPrice::per_unit("requests", Decimal::new(5, 1)));
    let version = PriceVersion::new("first", Timestamp::EPOCH).plan(plan);
    let book = PriceBook::builder("EUR")
        .version(version)
        .build(&meters)
        .unwrap();
    let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
    let days = vec![Decimal::from(1_000); 42];
    let tokens = PeriodForecast::of("tokens", &days, 7, 14_000.into(), 17).unwrap();
    let requests = PeriodForecast::of("requests", &[1.into(); 42], 7, 14.into(), 17).unwrap();
    assert_eq!(
        (tokens.expected, requests.expected),
        (31_000.into(), 31.into())
    );
    let priced =
        PeriodForecast::price(&book, TenantId::new(), month, "pro", &[tokens, requests]).unwrap();
    // At the rate so far it would be (29 + 7) × 31 / 14, or 29 + 7 × 31 / 14: both miss the second tier.
    assert_eq!(priced.so_far.to_string(), "36.00");
    assert_eq!(priced.expected.to_string(), "204.50");
    assert!(priced.low <= priced.expected && priced.expected <= priced.high);
}
