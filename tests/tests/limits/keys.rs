//! Limits that an API key has of its own: the key meets them, and its neighbours do not.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tenancy_core::{
    StoreErrorKind, SystemRole,
    key::{IssuedKey, NewKey},
    quota::{Calendar, Limit, Period, Quotas, Scope},
    testing::service,
};

use crate::world::{MINUTE, World, field, on_both, problem, quotas, status, with};

const OWN: &str = "exports-per-minute-of-this-key";

async fn issue(
    world: &World,
    name: &str,
    with: impl FnOnce(NewKey) -> NewKey,
) -> anyhow::Result<IssuedKey> {
    let creator = world.acme.member(SystemRole::Admin).await?;
    let new = NewKey::new(world.acme.record().id, creator, name, std::iter::empty());
    Ok(world.tenancy.keys()?.by(service()).issue(with(new)).await?)
}

fn by(world: &World, key: &IssuedKey, method: Method, path: &str) -> RequestBuilder {
    world.ask("acme", method, path).bearer_auth(key.expose())
}

#[tokio::test]
async fn of_two_keys_of_a_tenant_the_one_with_a_limit_is_refused_and_the_other_goes_on()
-> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        let two_a_minute = Limit::rate("exports", 2, MINUTE);
        let limited = issue(world, "a partner", |new| new.limit(two_a_minute)).await?;
        let other = issue(world, "our own", |new| new).await?;
        let export = |key| by(world, key, Method::POST, "/export");
        for left in ["r=1", "r=0"] {
            let answer = export(&limited).send().await?;
            assert_eq!(answer.status(), 200);
            let told = field(&answer, "ratelimit");
            assert!(told.contains(&format!("\"{OWN}\";{left}")), "{told}");
        }
        let refused = export(&limited).send().await?;
        assert_eq!(refused.status(), 429);
        assert_eq!(field(&refused, "retry-after"), "30");
        let said = problem(refused).await?;
        assert_eq!(said["violated-policies"], json!([OWN]));
        assert_eq!((&said["used"], &said["limit"]), (&json!(2), &json!(2)));

        for _ in 0..3 {
            assert_eq!(status(export(&other)).await?, 200);
        }
        assert_eq!(
            world.used("exports-daily").await?,
            5,
            "the denial took nothing"
        );
        for (key, own) in [(&limited, json!([OWN, 2, 0])), (&other, Value::Null)] {
            let usage = by(world, key, Method::GET, "/usage").send().await?;
            let usage: Vec<Value> = serde_json::from_str(&usage.text().await?)?;
            assert!(usage.contains(&json!(["exports-daily", 5, 0])), "{usage:?}");
            let found = usage.into_iter().find(|limit| limit[0] == OWN);
            assert_eq!(found.unwrap_or_default(), own);
        }
        // A day later, when the plan has some again, so has the key.
        world.clock.advance(MINUTE * 60 * 24);
        assert_eq!(status(export(&limited)).await?, 200);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_keys_limits_are_changed_and_what_is_used_stays_used() -> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        let a_month = |amount| Limit::per_period("exports", amount, Period::Month);
        let key = issue(world, "a partner", |new| new.limit(a_month(2))).await?;
        let export = || by(world, &key, Method::POST, "/export");
        let (tenant, id) = (world.acme.record().id, key.record().id);
        let keys = world.tenancy.keys()?.by(service());
        for expected in [200, 200, 429] {
            assert_eq!(status(export()).await?, expected);
        }
        // At once in this process: nothing of the key is remembered any more.
        let changed = keys.set_limits(tenant, id, [a_month(3)]).await?;
        assert_eq!(changed.limits.as_slice().len(), 1);
        for expected in [200, 429] {
            assert_eq!(status(export()).await?, expected);
        }
        let of_beer = Limit::per_period("beer", 3, Period::Month);
        let refused = keys.set_limits(tenant, id, [of_beer]).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        assert!(refused.to_string().contains("beer"), "{refused}");
        assert_eq!(status(export()).await?, 429, "the limits are as they were");
        keys.set_limits(tenant, id, []).await?;
        assert_eq!(status(export()).await?, 200);
        // A key of another tenant is not found.
        let other = keys.set_limits(world.globex.record().id, id, []).await;
        assert_eq!(other.unwrap_err().kind(), StoreErrorKind::NotFound);
        Ok(())
    })
    .await
}

/// Exports are limited on routes without a tenant too: there are so many that nobody notices.
fn without_a_tenant() -> Quotas {
    quotas().limit(Limit::rate("exports", 1_000, MINUTE).scope(Scope::System))
}

#[allow(
    clippy::expect_used,
    reason = "each program has the rules of this zone"
)]
fn with_calendars() -> Quotas {
    let berlin = Calendar::in_zone("Europe/Berlin").expect("there is such a zone");
    without_a_tenant().calendar(move |_| berlin.clone())
}

#[tokio::test]
async fn a_keys_limits_count_together_on_routes_with_and_without_a_tenant() -> anyhow::Result<()> {
    on_both(with(without_a_tenant), async |world| {
        for limit in [
            Limit::rate("exports", 2, MINUTE * 60),
            Limit::per_period("exports", 2, Period::Month),
        ] {
            let limited = issue(world, "a partner", |new| new.limit(limit)).await?;
            let other = issue(world, "our own", |new| new).await?;
            let hook = |key| by(world, key, Method::POST, "/hook");
            assert_eq!(status(hook(&limited)).await?, 200);
            let export = by(world, &limited, Method::POST, "/export");
            assert_eq!(status(export).await?, 200);
            for path in ["/hook", "/export"] {
                let refused = by(world, &limited, Method::POST, path).send().await?;
                assert_eq!(refused.status(), 429, "{path}");
            }
            for _ in 0..3 {
                assert_eq!(status(hook(&other)).await?, 200);
            }
        }
        // Nobody else's are touched.
        assert_eq!(world.used("exports-daily").await?, 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_tenants_have_calendars_a_keys_periods_are_counted_apart_without_a_tenant()
-> anyhow::Result<()> {
    on_both(with(with_calendars), async |world| {
        let twice = Limit::per_period("exports", 2, Period::Day);
        let key = issue(world, "a partner", |new| new.limit(twice)).await?;
        // By turns: neither begins the other's period anew.
        for expected in [200, 200, 429, 429] {
            for path in ["/hook", "/export"] {
                let asked = by(world, &key, Method::POST, path);
                assert_eq!(status(asked).await?, expected, "{path}");
            }
        }
        let often = Limit::rate("exports", 2, MINUTE * 60);
        let key = issue(world, "another", |new| new.limit(often)).await?;
        for (path, expected) in [("/hook", 200), ("/export", 200), ("/hook", 429)] {
            let asked = by(world, &key, Method::POST, path);
            assert_eq!(
                status(asked).await?,
                expected,
                "a rate has no calendar: {path}"
            );
        }
        Ok(())
    })
    .await
}
