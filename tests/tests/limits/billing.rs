//! Periods that begin when somebody has paid: full again at the anchor, by the clock alone.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tenancy_core::{
    PlanBook, SystemRole, Timestamp,
    key::{IssuedKey, NewKey},
    quota::{Calendar, Limit, Meter, Period, Quotas},
    testing::{TestTenant, service},
};

use crate::world::{Setup, World, on_both, problem, status};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// 2026-12-17T10:00:00Z: when both tenants have paid first, one for a month and one for a year.
const PAID: Timestamp = Timestamp::from_unix_seconds(1_797_501_600);

/// 2027-01-16T09:00:00Z, a day and an hour before the next payment.
const BEGINS: Timestamp = Timestamp::from_unix_seconds(1_800_090_000);

fn quotas() -> Quotas {
    let billed = Calendar::utc().billed_from(PAID);
    Quotas::new()
        .meter(Meter::consumed("exports"))
        .upgrade_url("https://notes.example/plans")
        .calendar(move |_| billed.clone())
}

fn plans() -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .limits("free", [Limit::per_period("exports", 3, Period::Month)])
        .plan("pro", ["*"])
        .limits(
            "pro",
            [
                Limit::per_period("exports", 2, Period::Month),
                Limit::per_period("exports", 23, Period::Year).named("exports-of-the-year"),
            ],
        )
        .for_tenants_without_plan("free")
}

fn setup() -> Setup {
    Setup {
        plans,
        begins: Some(BEGINS),
        ..crate::world::with(quotas)
    }
}

/// Keys don't expire, as tokens do.
async fn key(world: &World, tenant: &TestTenant) -> anyhow::Result<IssuedKey> {
    let creator = tenant.member(SystemRole::Admin).await?;
    let new = NewKey::new(tenant.record().id, creator, "nightly", std::iter::empty());
    Ok(world.tenancy.keys()?.by(service()).issue(new).await?)
}

fn export(world: &World, slug: &str, key: &IssuedKey) -> RequestBuilder {
    let request = world.ask(slug, Method::POST, "/export");
    request.bearer_auth(key.expose())
}

#[tokio::test]
async fn who_has_paid_again_is_served_at_the_anchor_without_any_message() -> anyhow::Result<()> {
    on_both(setup(), async |world| {
        let key = key(world, &world.acme).await?;
        let export = || export(world, "acme", &key);
        for _ in 0..3 {
            assert_eq!(status(export()).await?, 200);
        }
        let refused = export().send().await?;
        assert_eq!(refused.status(), 402);
        assert!(refused.headers().get("retry-after").is_none());
        let said = problem(refused).await?;
        assert_eq!(said["type"], "urn:tenancy:problem:quota-exhausted");
        assert_eq!(said["upgrade_url"], "https://notes.example/plans");
        assert_eq!((&said["used"], &said["limit"]), (&json!(3), &json!(3)));
        // 2027-01-17T09:59:59Z, and one second later. Nobody tells the service of a payment.
        world.clock.advance(DAY + HOUR - Duration::from_secs(1));
        assert_eq!(status(export()).await?, 402);
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.used("exports-monthly").await?, 0);
        for expected in [200, 200, 200, 402] {
            assert_eq!(status(export()).await?, expected);
        }
        // From the 17th over the first of February to the 17th of February there is one budget.
        for _ in 0..30 {
            world.clock.advance(DAY);
            assert_eq!(status(export()).await?, 402);
        }
        world.clock.advance(DAY);
        for expected in [200, 200, 200, 402] {
            assert_eq!(status(export()).await?, expected);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_has_paid_for_a_year_has_each_months_budget_and_the_years() -> anyhow::Result<()> {
    on_both(setup(), async |world| {
        let key = key(world, &world.globex).await?;
        let export = || export(world, "globex", &key);
        let calendar = Calendar::utc().billed_from(PAID);
        let mut now = BEGINS;
        // Twelve months, of which the last has one export less: the year has 23.
        for month in 0..12 {
            let of_this_month = if month == 11 { 1 } else { 2 };
            for _ in 0..of_this_month {
                assert_eq!(status(export()).await?, 200, "month {month}");
            }
            let refused = export().send().await?;
            assert_eq!(refused.status(), 402, "month {month}");
            let which = match month {
                11 => "exports-of-the-year",
                _ => "exports-monthly",
            };
            assert_eq!(problem(refused).await?["violated-policies"], json!([which]));
            let ends = calendar.window(Period::Month, now).end;
            world.clock.advance(ends.since(now));
            now = ends;
        }
        // 2027-12-17T10:00:00Z: another year.
        for expected in [200, 200, 402] {
            assert_eq!(status(export()).await?, expected);
        }
        Ok(())
    })
    .await
}
