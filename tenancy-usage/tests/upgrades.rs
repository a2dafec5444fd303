//! Advice about plans, by what each would really cost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use std::sync::Arc;

use tenancy_core::{
    ManualClock, MemoryDirectory, Tenancy, TenantDirectory as _, TenantId, TenantKey, TenantRecord,
    Timestamp, danger,
    quota::{Calendar, Period, Window},
};
use tenancy_usage::{
    Decimal, MemoryUsage, Rollup, UsageEvent, UsageMeter, UsageMeters, UsageSink as _,
    forecast::PeriodForecast,
    invoice::RatingErrorKind,
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
    upgrade::{UpgradeAdvice, UpgradeAdvisor, UpgradeOutcome, UpgradeReason},
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn month() -> Window {
    Calendar::utc().window(Period::Month, NOW)
}

fn book() -> PriceBook {
    let meters = UsageMeters::new([
        UsageMeter::count("exports"),
        UsageMeter::sum("tokens").dimension("model"),
        UsageMeter::max("connections"),
    ])
    .unwrap();
    let version = PriceVersion::new("first", Timestamp::EPOCH)
        .plan(
            PlanPrices::new("free")
                .price(MeterPrice::per_unit("exports", 2).included(10))
                .price(MeterPrice::per_unit("tokens", Decimal::new(1, 2)))
                .upgrade_automatically(),
        )
        .plan(
            PlanPrices::new("pro")
                .flat("base fee", 29)
                .price(MeterPrice::graduated(
                    "exports",
                    [Tier::up_to(100, 0), Tier::rest(1)],
                ))
                .price(MeterPrice::per_unit("tokens", Decimal::new(5, 3)).when("model", "large"))
                .price(MeterPrice::per_unit("tokens", Decimal::new(1, 3))),
        )
        .plan(
            PlanPrices::new("team")
                .flat("base fee", 99)
                .price(MeterPrice::free("exports"))
                .price(MeterPrice::free("tokens"))
                .upgrade_automatically(),
        )
        .plan(
            PlanPrices::new("forgetful")
                .flat("base fee", 1)
                .price(MeterPrice::free("tokens")),
        )
        .plan(
            PlanPrices::new("dollars")
                .currency("USD")
                .price(MeterPrice::free("exports"))
                .price(MeterPrice::free("tokens")),
        );
    PriceBook::builder("EUR")
        .version(version)
        .build(&meters)
        .unwrap()
}

fn exports(tenant: TenantId, number: i64) -> [Rollup; 1] {
    [Rollup::new(
        tenant,
        "exports",
        month(),
        number,
        number.unsigned_abs(),
    )]
}

fn told(advice: Option<UpgradeAdvice>) -> Option<(String, String, String, bool)> {
    advice.map(|it| {
        (
            it.to.to_string(),
            it.now.to_string(),
            it.then.to_string(),
            it.is_automatic(),
        )
    })
}

fn expected(
    to: &str,
    now: &str,
    then: &str,
    automatic: bool,
) -> Option<(String, String, String, bool)> {
    Some((to.to_owned(), now.to_owned(), then.to_owned(), automatic))
}

#[test]
fn the_plan_that_costs_least_through_its_tiers_is_advised_and_only_for_a_saving_that_is_worth_it() {
    let (book, acme) = (book(), TenantId::new());
    let of = |plan: &str, number| {
        let advisor = UpgradeAdvisor::new(&book, acme, month(), plan).least_saving(10);
        told(advisor.advise(&exports(acme, number)).unwrap())
    };
    // 2 × 19 is 38, and 29 saves 9 alone.
    assert_eq!(of("free", 29), None);
    assert_eq!(of("free", 30), expected("pro", "40.00", "29.00", true));
    // 29 + 100 against 99, and 2 × 190.
    assert_eq!(of("free", 200), expected("team", "380.00", "99.00", true));
    assert_eq!(
        of("pro", 200),
        expected("team", "129.00", "99.00", false),
        "its plan does not say so"
    );
    assert_eq!(of("team", 200), None);
    assert_eq!(
        of("team", 0),
        expected("free", "99.00", "0.00", false),
        "what gives something up is asked for"
    );
    // No advice for nothing saved, whatever is asked.
    let advisor = UpgradeAdvisor::new(&book, acme, month(), "free").least_saving(0);
    assert_eq!(advisor.advise(&[]).unwrap(), None);
    assert_eq!(
        advisor
            .clone()
            .among(["forgetful", "dollars"])
            .advise(&exports(acme, 500))
            .unwrap(),
        None
    );
    let error = UpgradeAdvisor::new(&book, acme, month(), "gold")
        .advise(&[])
        .unwrap_err();
    assert_eq!(error.kind(), RatingErrorKind::UnknownPlan);
}

#[test]
fn a_limit_that_is_reached_again_and_again_is_a_reason_for_a_plan_with_room() {
    let (book, acme) = (book(), TenantId::new());
    let advisor = UpgradeAdvisor::new(&book, acme, month(), "free")
        .limit("free", "connections", Some(5.into()))
        .limit("pro", "connections", Some(50.into()))
        .limit("team", "connections", None);
    let used = exports(acme, 5);
    assert_eq!(
        advisor
            .clone()
            .reached("connections", 1)
            .advise(&used)
            .unwrap(),
        None
    );
    let advice = advisor
        .clone()
        .reached("connections", 2)
        .advise(&used)
        .unwrap()
        .unwrap();
    assert_eq!(
        advice.reason,
        UpgradeReason::Limit {
            meter: "connections".into(),
            periods: 2
        }
    );
    assert_eq!(
        (advice.saving(), told(Some(advice))),
        ((-29).into(), expected("pro", "0.00", "29.00", true))
    );
    // More connections than `pro` allows.
    let many = [Rollup::new(acme, "connections", month(), 60, 1)];
    let advice = advisor
        .clone()
        .reached("connections", 3)
        .advise(&many)
        .unwrap();
    assert_eq!(told(advice), expected("team", "0.00", "99.00", true));
    // Whose limit is not known is not advised for it.
    assert_eq!(advisor.reached("exports", 9).advise(&used).unwrap(), None);
}

#[tokio::test]
async fn usage_is_asked_for_as_every_plan_prices_it() {
    let (book, acme) = (book(), TenantId::new());
    let meters = UsageMeters::new([
        UsageMeter::count("exports"),
        UsageMeter::sum("tokens").dimension("model"),
        UsageMeter::max("connections"),
    ]);
    let sink = MemoryUsage::new(meters.unwrap()).clock(Arc::new(ManualClock::at(NOW)));
    for (id, model, tokens) in [("1", "large", 8_000), ("2", "small", 12_000)] {
        let event = UsageEvent::new(acme, "tokens", "test", id, NOW).quantity(tokens);
        sink.record(&[event.dimension("model", model)])
            .await
            .unwrap();
    }
    let advisor = UpgradeAdvisor::new(&book, acme, month(), "free");
    let mut usage = Vec::new();
    for query in advisor.queries() {
        usage.extend(sink.rollups(&query).await.unwrap());
    }
    // 20,000 × 0.01; and 29 + 8,000 × 0.005 + 12,000 × 0.001.
    let pro = advisor.clone().among(["pro"]).advise(&usage).unwrap();
    assert_eq!(told(pro), expected("pro", "200.00", "81.00", true));

    let days = vec![Decimal::from(1_000); 42];
    let forecast = PeriodForecast::of("tokens", &days, 7, 14_000.into(), 17).unwrap();
    let advice = advisor
        .among(["team"])
        .advise_by_forecast(&[forecast])
        .unwrap();
    assert_eq!(told(advice), expected("team", "310.00", "99.00", true));
}

#[cfg(feature = "toml")]
#[test]
fn a_plan_says_in_toml_that_it_upgrades_automatically() {
    let meters = UsageMeters::new([UsageMeter::count("exports")]).unwrap();
    let text = |flag: &str| {
        format!(
            "currency = \"EUR\"\n[versions.v1]\nfrom = 2027-01-01T00:00:00Z\n[versions.v1.plans.free]\n{flag}\n\
             meters.exports = {{ per_unit = 1 }}\n[versions.v1.plans.pro]\nflat = {{ fee = 5 }}\nmeters.exports = \"free\"\n"
        )
    };
    let acme = TenantId::new();
    for (flag, automatic) in [
        ("upgrade_automatically = true", true),
        ("upgrade_automatically = false", false),
        ("", false),
    ] {
        let book = tenancy_usage::price::PriceBookBuilder::from_toml(&text(flag))
            .unwrap()
            .build(&meters)
            .unwrap();
        let advisor = UpgradeAdvisor::new(&book, acme, month(), "free");
        assert_eq!(
            told(advisor.advise(&exports(acme, 50)).unwrap()),
            expected("pro", "50.00", "5.00", automatic)
        );
    }
    let error =
        tenancy_usage::price::PriceBookBuilder::from_toml(&text("upgrade_automatically = 1"))
            .unwrap_err();
    assert!(
        error.to_string().contains("line 5") && error.to_string().contains("true or false"),
        "{error}"
    );
}

/// Only where the plan says so, only the tenant that it is for, and only while it is on the plan that was compared.
#[tokio::test]
async fn an_upgrade_without_asking_is_made_once_and_overwrites_nobody() {
    let directory = MemoryDirectory::new();
    let tenancy = Tenancy::builder(directory.clone())
        .established_principals()
        .build()
        .unwrap();
    let admin = tenancy.admin(danger::service("a test").unwrap());
    let mut ids = Vec::new();
    for slug in ["acme", "globex"] {
        let record = TenantRecord::new(slug.parse().unwrap(), slug);
        admin.create_tenant(&record).await.unwrap();
        admin.set_plan(record.id, Some("free@1")).await.unwrap();
        ids.push(record.id);
    }
    let (acme, globex) = (ids[0], ids[1]);
    let record = async |id| {
        let found = directory.find_tenant(&TenantKey::Id(id)).await.unwrap();
        found.unwrap()
    };
    let book = book();
    let exports = [Rollup::new(acme, "exports", month(), 60, 60)];
    let advice = |plan| {
        let advisor = UpgradeAdvisor::new(&book, acme, month(), plan).among(["pro", "free"]);
        advisor.advise(&exports).unwrap().unwrap()
    };
    let upgrade = advice("free");
    assert!(upgrade.is_automatic(), "{upgrade:?}");

    let other = upgrade.carry_out(&admin, &record(globex).await).await;
    assert_eq!(other.unwrap(), UpgradeOutcome::OtherPlan);
    // An operator has moved the tenant since its record was read.
    let stale = record(acme).await;
    admin.set_plan(acme, Some("team")).await.unwrap();
    let overtaken = upgrade.carry_out(&admin, &stale).await;
    assert_eq!(overtaken.unwrap(), UpgradeOutcome::OtherPlan);
    assert_eq!(record(acme).await.plan.as_deref(), Some("team"));

    admin.set_plan(acme, Some("free@2")).await.unwrap();
    let seen = record(acme).await;
    for outcome in [UpgradeOutcome::Upgraded, UpgradeOutcome::OtherPlan] {
        assert_eq!(upgrade.carry_out(&admin, &seen).await.unwrap(), outcome);
    }
    assert_eq!(record(acme).await.plan.as_deref(), Some("pro"));
    assert_eq!(record(globex).await.plan.as_deref(), Some("free@1"));

    // The tenants of `pro` are asked.
    let none = [Rollup::new(acme, "exports", month(), 0, 0)];
    let advisor = UpgradeAdvisor::new(&book, acme, month(), "pro").among(["free"]);
    let smaller = advisor.advise(&none).unwrap().unwrap();
    let asked = smaller.carry_out(&admin, &record(acme).await).await;
    assert_eq!(asked.unwrap(), UpgradeOutcome::NotAutomatic);
    assert_eq!(record(acme).await.plan.as_deref(), Some("pro"));
}
