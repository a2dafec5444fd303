//! Limits that an API key has of its own: they only restrict, and follow the key.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{
    Charge, ChargeRequest, Charger, Charging, PlanBook, StoreError, StoreErrorKind, Tenancy,
    key::IssuedKey,
    quota::{Limit, Meter, Period, Quotas, Scope},
    testing::service,
};

use super::{MINUTE, alice, ask, book, meters, put_plan, told, used, world};
#[cfg(feature = "argon2")]
use crate::keys::api_keys;
use crate::{
    keys::{alices, issue, with, with_keys},
    support::World,
};

fn two_a_minute() -> Limit {
    Limit::rate("requests", 2, MINUTE)
}

const OWN: &str = "requests-per-minute-of-this-key";

#[tokio::test]
async fn a_key_is_held_to_its_own_limit_and_other_keys_of_its_tenant_are_not() {
    let w = world(book(), meters()).await;
    let limited = issue(&w, alices(&w).limit(two_a_minute())).await;
    let other = issue(&w, alices(&w)).await;
    let limited = w.admit(&with(&limited)).await.unwrap();
    let other = w.admit(&with(&other)).await.unwrap();
    for _ in 0..2 {
        ask(&w, &limited, &[("requests", 1)]).await.unwrap();
    }
    let (status, reason, wait, body) =
        told(ask(&w, &limited, &[("requests", 1)]).await.unwrap_err());
    assert_eq!((status, reason, wait), (429, "rate-exceeded", Some(30)));
    assert_eq!(body["violated-policies"], json!([OWN]));
    assert_eq!(
        used(&w, &limited, "requests-per-minute").await,
        2,
        "the tenant does not pay for what its key is denied"
    );
    assert_eq!(used(&w, &limited, OWN).await, 2);
    assert_eq!(limited.quota("requests").left().await.unwrap(), Some(0));
    ask(&w, &other, &[("requests", 1)]).await.unwrap();
    ask(&w, &alice(&w).await, &[("requests", 1)]).await.unwrap();
    let usage = other.usage().await.unwrap();
    assert!(usage.iter().all(|limit| limit.name != OWN), "{usage:?}");
    w.clock.advance(Duration::from_secs(30));
    ask(&w, &limited, &[("requests", 1)]).await.unwrap();
}

#[tokio::test]
async fn a_keys_own_limit_never_gives_more_than_its_plan() {
    let w = world(book(), meters()).await;
    let generous = alices(&w)
        .limit(Limit::rate("requests", 6_000, MINUTE))
        .limit(Limit::per_period("exports", 100, Period::Month));
    let key = issue(&w, generous).await;
    let key = w.admit(&with(&key)).await.unwrap();
    ask(&w, &key, &[("requests", 5), ("exports", 3)])
        .await
        .unwrap();
    let (_, _, _, body) = told(ask(&w, &key, &[("requests", 1)]).await.unwrap_err());
    assert_eq!(body["violated-policies"], json!(["requests-per-minute"]));
    put_plan(&w, Some("basic")).await;
    let key = issue(
        &w,
        alices(&w).limit(Limit::per_period("exports", 100, Period::Month)),
    )
    .await;
    let key = w.admit(&with(&key)).await.unwrap();
    let (status, reason, _, _) = told(ask(&w, &key, &[("exports", 1)]).await.unwrap_err());
    assert_eq!((status, reason), (403, "meter-not-in-plan"));
}

/// A plan that comes later may have a limit of the same name: both count, each by itself.
#[tokio::test]
async fn a_limit_of_a_key_and_one_of_all_keys_with_its_name_are_counted_apart() {
    let w = world(book(), meters()).await;
    let key = issue(&w, alices(&w).limit(two_a_minute().named("tight"))).await;
    let plans = PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::rate("requests", 3, MINUTE)
                    .scope(Scope::Key)
                    .named("tight"),
                Limit::unlimited("exports"),
                Limit::concurrent("jobs", 1),
                Limit::held("projects", 2),
            ],
        )
        .for_tenants_without_plan("free");
    w.tenancy.replace_plans(plans).unwrap();
    let key = w.admit(&with(&key)).await.unwrap();
    for _ in 0..2 {
        ask(&w, &key, &[("requests", 1)]).await.unwrap();
    }
    let (_, _, _, body) = told(ask(&w, &key, &[("requests", 1)]).await.unwrap_err());
    assert_eq!((&body["limit"], &body["used"]), (&2.into(), &2.into()));
    let usage = key.usage().await.unwrap();
    let standings: Vec<_> = usage
        .iter()
        .filter(|limit| limit.name == "tight")
        .map(|limit| (limit.scope, limit.standing.limit, limit.standing.used))
        .collect();
    assert_eq!(standings, [(Scope::Key, 3, 2), (Scope::Key, 2, 2)]);
    let again = issue_refused(&w, two_a_minute().named("tight")).await;
    assert!(again.to_string().contains("another name"), "{again}");
}

async fn issue_refused(w: &World, limit: Limit) -> StoreError {
    let keys = w.tenancy.keys().unwrap().by(service());
    keys.issue(alices(w).limit(limit)).await.unwrap_err()
}

#[tokio::test]
async fn a_limit_that_can_not_be_counted_is_refused_when_a_key_is_issued() {
    let w = world(book(), meters()).await;
    for (limit, says) in [
        (Limit::rate("beers", 1, MINUTE), "there is no meter `beers`"),
        (two_a_minute().scope(Scope::Caller), "another scope"),
        (two_a_minute().scope(Scope::System), "another scope"),
        (
            two_a_minute().scope(Scope::Address),
            "`Quotas::per_address`",
        ),
        (Limit::rate("requests", 0, MINUTE), "an amount above 0"),
        (
            Limit::per_period("requests", 0, Period::Day),
            "an amount above 0",
        ),
        (Limit::not_included("requests"), "an amount above 0"),
        (Limit::rate("requests", 1, Duration::ZERO), "requests"),
        (
            Limit::rate("requests", 1, Duration::from_nanos(1_500_000)),
            "millisecond",
        ),
        (Limit::unlimited("requests"), "neither a rate"),
        (Limit::concurrent("jobs", 1), "neither a rate"),
        (Limit::held("projects", 1), "neither a rate"),
        (Limit::rate("jobs", 1, MINUTE), "the meter `jobs`"),
        (two_a_minute().named("A Name"), "1 to 64"),
        (two_a_minute().warn_at([80]), "`warn_at`"),
    ] {
        let refused = issue_refused(&w, limit.clone()).await;
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{limit:?}");
        assert!(refused.to_string().contains(says), "{limit:?}: {refused}");
    }
    let keys = w.tenancy.keys().unwrap().by(service());
    let many = (0..5).fold(alices(&w), |new, n| {
        new.limit(Limit::rate("requests", 9, MINUTE).named(format!("l{n}")))
    });
    let refused = keys.issue(many).await.unwrap_err();
    assert!(refused.to_string().contains("at most 4"), "{refused}");
    let twice = alices(&w).limit(two_a_minute()).limit(two_a_minute());
    let refused = keys.issue(twice).await.unwrap_err();
    assert!(refused.to_string().contains("two limits"), "{refused}");
}

#[tokio::test]
async fn a_key_with_limits_needs_quotas_to_count_them_by() {
    let w = crate::keys::world().await;
    let refused = issue_refused(&w, two_a_minute()).await;
    assert!(refused.to_string().contains("no quotas"), "{refused}");
}

#[tokio::test]
async fn a_successor_has_the_limits_of_its_key_and_listings_tell_them() {
    let w = world(book(), meters()).await;
    let old = issue(&w, alices(&w).limit(two_a_minute())).await;
    let keys = w.tenancy.keys().unwrap().by(service());
    let new: IssuedKey = keys
        .rotate(w.acme.id, old.record().id, MINUTE)
        .await
        .unwrap();
    tenancy_logwatch::issued_key(&new);
    assert_eq!(new.record().limits, old.record().limits);
    let listed = keys.list(w.acme.id, None, 10).await.unwrap();
    for key in &listed {
        let names: Vec<_> = key.limits.as_slice().iter().map(Limit::name).collect();
        assert_eq!(names, [OWN]);
    }
    assert_eq!(listed.len(), 2);
    let new = w.admit(&with(&new)).await.unwrap();
    ask(&w, &new, &[("requests", 2)]).await.unwrap();
    assert!(ask(&w, &new, &[("requests", 1)]).await.is_err());
}

/// A key that another release has issued, which counts beers.
async fn of_another_release(w: &World) -> IssuedKey {
    let permissions = w.tenancy.permissions().clone();
    let builder = Tenancy::builder(w.directory.clone())
        .permissions(permissions)
        .clock(w.clock.clone());
    let beers = Quotas::new()
        .meter(Meter::consumed("beers"))
        .limit(Limit::rate("beers", 9, MINUTE));
    let other = with_keys(w.directory.clone(), builder);
    let other = other.quotas(beers).build().unwrap();
    let keys = other.keys().unwrap().by(service());
    let new = alices(w).limit(Limit::rate("beers", 1, MINUTE));
    let key = keys.issue(new).await.unwrap();
    tenancy_logwatch::issued_key(&key);
    key
}

#[tokio::test]
async fn a_key_whose_limits_can_not_be_counted_gets_nothing_that_costs() {
    let w = world(book(), meters()).await;
    let key = of_another_release(&w).await;
    let context = w.admit(&with(&key)).await.unwrap();
    for refused in [
        ask(&w, &context, &[("requests", 1)]).await.unwrap_err(),
        context.quota("requests").reserve(1).await.unwrap_err(),
    ] {
        let (status, reason, _, _) = told(refused);
        assert_eq!((status, reason), (500, "key-limits-unusable"));
    }
    assert_eq!(context.quota("requests").left().await.unwrap(), Some(0));
    assert_eq!(used(&w, &context, "requests-per-minute").await, 0);
    let keys = w.tenancy.keys().unwrap().by(service());
    let (tenant, id) = (w.acme.id, key.record().id);
    let refused = keys.rotate(tenant, id, MINUTE).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    assert!(refused.to_string().contains("set_limits"), "{refused}");
    // It is still seen, mended, and still revoked.
    assert_eq!(keys.list(tenant, None, 10).await.unwrap().len(), 1);
    keys.set_limits(tenant, id, []).await.unwrap();
    let context = w.admit(&with(&key)).await.unwrap();
    ask(&w, &context, &[("requests", 1)]).await.unwrap();
    keys.revoke(tenant, id).await.unwrap();
}

/// Takes nothing of anybody.
#[derive(Debug)]
struct Free;

impl Charger for Free {
    fn knows(&self, _: &str) -> bool {
        true
    }

    fn charge(&self, _: &ChargeRequest<'_>) -> Charging {
        Charge::new().into()
    }
}

#[tokio::test]
async fn a_charger_that_knows_no_limits_of_keys_lets_none_of_them_pass() {
    let w = World::over(|directory, builder| with_keys(directory, builder).charger(Free)).await;
    let (limited, other) = (of_another_release(&w).await, issue(&w, alices(&w)).await);
    let limited = w.admit(&with(&limited)).await.unwrap();
    let other = w.admit(&with(&other)).await.unwrap();
    let refused = told(ask(&w, &limited, &[("requests", 1)]).await.unwrap_err());
    assert_eq!((refused.0, refused.1), (500, "key-limits-unusable"));
    ask(&w, &other, &[("requests", 1)]).await.unwrap();
}

#[cfg(feature = "argon2")]
#[tokio::test]
async fn an_imported_key_brings_its_limits_and_they_are_checked() {
    use tenancy_core::{
        key::{ImportedFormat, ImportedKeys, LowEntropySecret},
        testing::FakeRequest,
    };

    let w = World::over(|directory, builder| {
        let format = ImportedFormat::separated("oldco_", '.').unwrap();
        let keys = api_keys(directory).imported(ImportedKeys::new(format));
        builder.keys(keys).plans(book()).quotas(meters())
    })
    .await;
    tenancy_logwatch::issued("correcthorse");
    let keys = w.tenancy.keys().unwrap().by(service());
    let import = async |handle: &str, limit| {
        let secret = LowEntropySecret::new("correcthorse").unwrap();
        let new = alices(&w).limit(limit);
        keys.import(new, handle.parse().unwrap(), secret).await
    };
    let beers = Limit::rate("beers", 1, MINUTE);
    let refused = import("1", beers).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    import("1", two_a_minute()).await.unwrap();
    let request = FakeRequest::new("/notes").bearer("oldco_1.correcthorse");
    let context = w.admit(&request).await.unwrap();
    ask(&w, &context, &[("requests", 2)]).await.unwrap();
    assert!(ask(&w, &context, &[("requests", 1)]).await.is_err());
    assert_eq!(used(&w, &context, OWN).await, 2);
}
