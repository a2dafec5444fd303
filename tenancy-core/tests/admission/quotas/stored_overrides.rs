//! Limits of single tenants that are stored: they count in each process, and end when they say.

use std::time::Duration;

use tenancy_core::{
    MemoryDirectory, PlanBook, PlanDefinition, StoreErrorKind, Tenancy,
    quota::{Limit, LimitOverride, Meter, Period, Quotas, Scope},
    testing::service,
};

use super::{alice, ask, told};
use crate::{keys::with_keys, support::World};

const HOUR: Duration = Duration::from_secs(3_600);

fn book() -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::per_period("exports", 3, Period::Month),
                Limit::held("projects", 1),
            ],
        )
        .for_tenants_without_plan("free")
}

fn quotas() -> Quotas {
    Quotas::new()
        .meter(Meter::consumed("exports"))
        .meter(Meter::held("projects"))
}

async fn world() -> World {
    World::over(|directory, builder| {
        let stored = directory.directory().clone();
        let builder = with_keys(directory, builder).plans(book()).quotas(quotas());
        builder.stored_overrides(stored)
    })
    .await
}

fn exports(amount: u64) -> LimitOverride {
    LimitOverride::new(Limit::per_period("exports", amount, Period::Month))
}

/// How much there is of a limit in an engine that nobody has told of anything.
async fn limit_elsewhere(w: &World, name: &str) -> u64 {
    let other = Tenancy::builder(w.directory.clone())
        .established_principals()
        .clock(w.clock.clone())
        .plans(book())
        .quotas(quotas())
        .stored_overrides(w.directory.directory().clone())
        .build()
        .unwrap();
    let context = other.enter(w.acme.id, "a test").await.unwrap();
    let usage = other.quotas().unwrap().usage(&context).await.unwrap();
    usage
        .iter()
        .find(|one| one.name == name)
        .unwrap()
        .standing
        .limit
}

#[tokio::test]
async fn a_stored_override_counts_in_each_process_until_it_ends_or_is_taken_back() {
    let w = world().await;
    let admin = w.tenancy.admin(service());
    ask(&w, &alice(&w).await, &[("exports", 3)]).await.unwrap();
    assert!(ask(&w, &alice(&w).await, &[("exports", 1)]).await.is_err());

    let until = w.clock_now() + HOUR;
    admin
        .put_limit_override(w.acme.id, &exports(5).until(until))
        .await
        .unwrap();
    ask(&w, &alice(&w).await, &[("exports", 2)]).await.unwrap();
    let refused = ask(&w, &alice(&w).await, &[("exports", 1)])
        .await
        .unwrap_err();
    let (_, _, _, body) = told(refused);
    assert_eq!(
        (&body["limit"], &body["used"]),
        (&5.into(), &5.into()),
        "what is used stays used"
    );
    assert_eq!(
        limit_elsewhere(&w, "exports-monthly").await,
        5,
        "and in another process"
    );

    // A context that is held meets the end, too: nobody has to drop anything for it.
    let held = alice(&w).await;
    w.clock.advance(HOUR);
    let (_, _, _, body) = told(ask(&w, &held, &[("exports", 1)]).await.unwrap_err());
    assert_eq!(body["limit"], 3);
    assert_eq!(limit_elsewhere(&w, "exports-monthly").await, 3);

    admin
        .put_limit_override(w.acme.id, &exports(9))
        .await
        .unwrap();
    admin
        .put_limit_override(w.acme.id, &LimitOverride::new(Limit::unlimited("projects")))
        .await
        .unwrap();
    assert_eq!(
        limit_elsewhere(&w, "exports-monthly").await,
        9,
        "put again, for good"
    );
    let listed = admin.list_limit_overrides(w.acme.id).await.unwrap();
    let names: Vec<_> = listed.iter().map(LimitOverride::limit_name).collect();
    assert_eq!(
        names,
        ["exports-monthly", "projects-held"],
        "each by the limit that it replaces"
    );
    assert_eq!(listed[0].ends_at(), None);
    assert_eq!(admin.list_limit_overrides(w.globex.id).await.unwrap(), []);

    admin
        .remove_limit_override(w.acme.id, "exports-monthly")
        .await
        .unwrap();
    let refused = ask(&w, &alice(&w).await, &[("exports", 1)])
        .await
        .unwrap_err();
    assert_eq!(told(refused).3["limit"], 3);
    let entries = w.audit.entries();
    let of = |action: &str| entries.iter().filter(|it| it.action == action).count();
    assert_eq!(
        (of("limit-override.put"), of("limit-override.remove")),
        (3, 1)
    );
}

#[tokio::test]
async fn an_override_that_could_not_count_is_refused_and_nothing_is_stored() {
    let w = world().await;
    let admin = w.tenancy.admin(service());
    for (limit, said) in [
        (
            Limit::per_period("exports", 9, Period::Day),
            "there is no limit `exports-daily` to take the place of",
        ),
        (
            Limit::per_period("mails", 9, Period::Day),
            "there is no meter `mails`",
        ),
        (
            Limit::held("projects", 9).named("exports-monthly"),
            "the limit `exports-monthly` is one of the meter `exports`",
        ),
        (
            Limit::per_period("exports", 9, Period::Month)
                .scope(Scope::Caller)
                .named("exports-monthly"),
            "of another scope or meter",
        ),
        (
            Limit::held("projects", 9).expires_after(Duration::from_nanos(1)),
            "a part of a millisecond can't be stored",
        ),
        (Limit::held("projects", u64::MAX), "999999999999999"),
    ] {
        let refused = admin
            .put_limit_override(w.acme.id, &LimitOverride::new(limit))
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
    }
    let nobody = tenancy_core::TenantId::new();
    let refused = admin
        .put_limit_override(nobody, &exports(9))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotFound);
    assert_eq!(admin.list_limit_overrides(w.acme.id).await.unwrap(), []);

    let without = super::world(super::book(), super::meters()).await;
    let refused = without
        .tenancy
        .admin(service())
        .put_limit_override(w.acme.id, &exports(9))
        .await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::ReadOnly);
    let unlimited = Tenancy::builder(MemoryDirectory::new())
        .established_principals()
        .stored_overrides(MemoryDirectory::new())
        .build();
    assert!(
        unlimited
            .unwrap_err()
            .to_string()
            .contains("give the engine `quotas`")
    );
}

#[tokio::test]
async fn a_limit_of_a_stored_plan_that_a_process_has_not_met_is_overridden_too() {
    let w = World::over(|directory, builder| {
        let stored = directory.directory().clone();
        let builder = with_keys(directory, builder).quotas(quotas());
        builder
            .stored_overrides(stored.clone())
            .stored_plans(stored)
    })
    .await;
    let engine = |w: &World| {
        let stored = w.directory.directory().clone();
        let builder = Tenancy::builder(w.directory.clone())
            .established_principals()
            .quotas(quotas());
        builder
            .stored_overrides(stored.clone())
            .stored_plans(stored)
            .build()
            .unwrap()
    };
    let operators = w.tenancy.admin(service());
    let says = serde_json::json!({ "permissions": ["*"], "limits": {
        "exports": { "per_month": 7, "name": "exports-of-the-plan" }, "projects": "unlimited",
    } });
    operators
        .add_plan_version(&PlanDefinition::from_json("pro", says).unwrap())
        .await
        .unwrap();
    operators.set_plan(w.acme.id, Some("pro")).await.unwrap();
    let more = Limit::per_period("exports", 70, Period::Month).named("exports-of-the-plan");
    // An engine that was just started.
    let admin = engine(&w).admin(service());
    admin
        .put_limit_override(w.acme.id, &LimitOverride::new(more))
        .await
        .unwrap();
    let other = engine(&w);
    let context = other.enter(w.acme.id, "a test").await.unwrap();
    let usage = other.quotas().unwrap().usage(&context).await.unwrap();
    assert_eq!(
        usage
            .iter()
            .map(|one| one.standing.limit)
            .find(|limit| *limit < 100),
        Some(70)
    );
}
