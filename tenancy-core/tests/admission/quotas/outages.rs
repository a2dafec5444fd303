//! What each limit gets while its counters do not answer, and what is told of that.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;
use tenancy_core::{
    Admitted, AuditEntry, Outcome, PlanBook, Refusal, TenantContext,
    quota::{Limit, LimitOverride, Meter, OnOutage, Outages, Overage, Period, Quotas, Scope},
    testing::FakeRequest,
};

use super::{MINUTE, alice, ask, charge, charge_for, costs, stores::Remote, told, used, world};
use crate::support::World;

const TENTH: OnOutage = OnOutage::LocalShare { of: 10 };

fn quotas() -> Quotas {
    Quotas::new()
        .meter(Meter::consumed("closed"))
        .meter(Meter::consumed("open"))
        .meter(Meter::consumed("shared"))
        .meter(Meter::consumed("exports"))
        .meter(Meter::concurrent("jobs"))
        .meter(Meter::held("projects"))
        .rate_limit_fields()
        .limit(Limit::rate("closed", 100, MINUTE))
        .limit(Limit::rate("open", 2, MINUTE).on_outage(OnOutage::Open))
        .limit(Limit::rate("shared", 60, MINUTE).on_outage(TENTH))
        .limit(Limit::per_period("exports", 39, Period::Month).on_outage(TENTH))
        .limit(Limit::concurrent("jobs", 20).on_outage(TENTH))
        .limit(Limit::held("projects", 10))
}

async fn over(remote: &Remote) -> World {
    World::over(|directory, builder| {
        crate::keys::with_keys(directory, builder).quotas(quotas().counters(remote.clone()))
    })
    .await
}

fn stop(remote: &Remote, is_down: bool) {
    remote.is_down.store(is_down, Ordering::SeqCst);
}

async fn refused(w: &World, context: &TenantContext, of: &[(&str, u64)]) -> &'static str {
    let refusal: Refusal = ask(w, context, of).await.unwrap_err();
    let (status, reason, wait, _) = told(refusal);
    assert_eq!((status, wait), (503, Some(1)), "{reason}");
    reason
}

fn outages(w: &World) -> Outages {
    w.tenancy.quotas().unwrap().outages()
}

fn audited(w: &World) -> Vec<AuditEntry> {
    let mut entries = w.audit.entries();
    entries.retain(|entry| entry.action.starts_with("quota."));
    entries
}

#[tokio::test]
async fn each_limit_gets_what_it_says_and_one_that_is_closed_decides_for_all() {
    let remote = Remote::default();
    let w = over(&remote).await;
    let context = alice(&w).await;
    stop(&remote, true);
    assert_eq!(
        refused(&w, &context, &[("closed", 1)]).await,
        "counters-unavailable"
    );
    assert_eq!(
        refused(&w, &context, &[("projects", 1)]).await,
        "counters-unavailable"
    );
    // More than the limit, which nobody counts.
    for _ in 0..5 {
        ask(&w, &context, &[("open", 1)]).await.unwrap();
    }
    // A tenth of 60 at once, of which one comes back in 10 seconds.
    for _ in 0..6 {
        ask(&w, &context, &[("shared", 1), ("open", 1)])
            .await
            .unwrap();
    }
    assert_eq!(
        refused(&w, &context, &[("shared", 1)]).await,
        "share-used-up"
    );
    assert_eq!(
        refused(&w, &context, &[("shared", 7), ("open", 1)]).await,
        "share-used-up"
    );
    w.clock.advance(Duration::from_millis(9_999));
    assert_eq!(
        refused(&w, &context, &[("shared", 1)]).await,
        "share-used-up"
    );
    w.clock.advance(Duration::from_millis(1));
    // What another limit refuses is not taken of the share.
    assert_eq!(
        refused(&w, &context, &[("shared", 1), ("closed", 1)]).await,
        "counters-unavailable"
    );
    ask(&w, &context, &[("shared", 1)]).await.unwrap();
    // 39 of a month make 3 for each of 10.
    for _ in 0..3 {
        ask(&w, &context, &[("exports", 1)]).await.unwrap();
    }
    let refusal = ask(&w, &context, &[("exports", 1), ("shared", 1)])
        .await
        .unwrap_err();
    let (status, reason, _, body) = told(refusal);
    assert_eq!((status, reason), (503, "share-used-up"));
    assert_eq!(
        body["type"],
        "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
    );
    assert!(
        body["violated-policies"]
            .to_string()
            .contains("exports-monthly"),
        "{body}"
    );
    assert_eq!(body.get("used"), None, "{body}");
    assert_eq!(outages(&w).begun, 1, "all of it is one outage");
    let told = outages(&w);
    assert_eq!(
        (
            told.admitted_uncounted,
            told.admitted_by_share,
            told.refused_by_share,
            told.refused
        ),
        (5, 10, 4, 3)
    );
}

#[tokio::test]
async fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
    let remote = Remote::default();
    let w = over(&remote).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("open", 1)]).await.unwrap();
    assert_eq!(outages(&w), Outages::default());
    let began = w.clock_now();
    stop(&remote, true);
    for _ in 0..3 {
        ask(&w, &context, &[("open", 1)]).await.unwrap();
    }
    ask(&w, &context, &[("shared", 1)]).await.unwrap();
    refused(&w, &context, &[("closed", 1)]).await;
    w.clock.advance(Duration::from_secs(60));
    assert_eq!(outages(&w).since, Some(began));
    // One answer among failures is no end.
    ask(&w, &context, &[("open", 1)]).await.unwrap();
    stop(&remote, false);
    ask(&w, &context, &[("closed", 1)]).await.unwrap();
    assert_eq!(outages(&w).since, Some(began));
    w.clock.advance(Duration::from_secs(1));
    ask(&w, &context, &[("closed", 1)]).await.unwrap();
    ask(&w, &context, &[("closed", 1)]).await.unwrap();
    assert_eq!(outages(&w).since, None);
    let [begin, end] = audited(&w).try_into().unwrap();
    assert_eq!(
        (begin.action.as_ref(), begin.outcome),
        ("quota.outage-begin", Outcome::Failed)
    );
    assert_eq!(
        (begin.at, begin.reason.as_deref()),
        (began, Some("counters-unavailable"))
    );
    assert_eq!(
        (end.action.as_ref(), end.outcome),
        ("quota.outage-end", Outcome::Allowed)
    );
    assert_eq!(
        end.details,
        Some(json!({
            "seconds": 61, "admitted_uncounted": 4, "admitted_by_share": 1, "refused_by_share": 0, "refused": 1,
        }))
    );
    // The next one is another one, and its numbers are its own.
    stop(&remote, true);
    ask(&w, &context, &[("open", 1)]).await.unwrap();
    stop(&remote, false);
    w.clock.advance(Duration::from_secs(1));
    ask(&w, &context, &[("closed", 1)]).await.unwrap();
    let last = audited(&w).pop().unwrap();
    assert_eq!(last.details.unwrap()["admitted_uncounted"], 1);
    assert_eq!((audited(&w).len(), outages(&w).begun), (4, 2));
}

#[tokio::test]
async fn what_a_share_admits_is_settled_in_the_share_and_what_the_store_admits_in_the_store() {
    let remote = Remote::default();
    let w = over(&remote).await;
    let context = alice(&w).await;
    let before = charge(&w, &context, &[("jobs", 1)]).await.unwrap();
    stop(&remote, true);
    // A tenth of 20.
    let first = charge(&w, &context, &[("jobs", 1)]).await.unwrap();
    let second = charge(&w, &context, &[("jobs", 1)]).await.unwrap();
    assert_eq!(refused(&w, &context, &[("jobs", 1)]).await, "share-used-up");
    drop(first);
    let third = charge(&w, &context, &[("jobs", 1)]).await.unwrap();
    assert_eq!(refused(&w, &context, &[("jobs", 1)]).await, "share-used-up");
    stop(&remote, false);
    // After the outage, the store has heard of one of them.
    assert_eq!(used(&w, &context, "jobs-at-once").await, 1);
    drop((second, third));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(used(&w, &context, "jobs-at-once").await, 1);
    drop(before);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(used(&w, &context, "jobs-at-once").await, 0);
    stop(&remote, true);
    let again = charge(&w, &context, &[("jobs", 2)]).await;
    assert!(again.is_ok(), "the share is free again");
    // A reservation, which is released after the outage, and one that is renewed in it.
    let quotas = w.tenancy.quotas().unwrap();
    let reserved = quotas
        .reserve(&context, &costs(&[("exports", 3)]))
        .await
        .unwrap();
    assert!(reserved.renew().await.unwrap());
    stop(&remote, false);
    reserved.release().await.unwrap();
    assert_eq!(used(&w, &context, "exports-monthly").await, 0);
    stop(&remote, true);
    ask(&w, &context, &[("exports", 3)]).await.unwrap();
}

#[tokio::test]
async fn a_store_that_comes_and_goes_gives_no_share_twice() {
    let remote = Remote::default();
    let w = over(&remote).await;
    let context = alice(&w).await;
    let mut passed = 0;
    for _ in 0..5 {
        stop(&remote, true);
        passed += usize::from(ask(&w, &context, &[("exports", 1)]).await.is_ok());
        stop(&remote, false);
        w.clock.advance(Duration::from_secs(2));
        ask(&w, &context, &[("exports", 1)]).await.unwrap();
    }
    assert_eq!(passed, 3);
    assert_eq!(
        used(&w, &context, "exports-monthly").await,
        5,
        "nothing is carried back"
    );
}

#[tokio::test]
async fn in_an_outage_fields_tell_of_shares_alone() {
    let remote = Remote::default();
    let w = over(&remote).await;
    let context = alice(&w).await;
    stop(&remote, true);
    let admitted = Admitted::Tenant(context.clone());
    let request = FakeRequest::new("/notes");
    let charge = charge_for(&w, &admitted, &request, &[("open", 1)])
        .await
        .unwrap();
    assert_eq!(charge.into_parts().0, []);
    let charge = charge_for(&w, &admitted, &request, &[("open", 1), ("shared", 2)])
        .await
        .unwrap();
    let fields = charge.into_parts().0;
    let value = |name| &fields.iter().find(|(field, _)| *field == name).unwrap().1;
    assert!(
        value("ratelimit-policy").starts_with("\"shared-per-minute\";q=6;"),
        "{fields:?}"
    );
    assert!(
        value("ratelimit").starts_with("\"shared-per-minute\";r=4;"),
        "{fields:?}"
    );
}

#[tokio::test]
async fn a_limit_smaller_than_the_number_of_processes_has_no_share() {
    let remote = Remote::default();
    let small = |limit: Limit| limit.on_outage(TENTH);
    let quotas = Quotas::new()
        .meter(Meter::consumed("rate"))
        .meter(Meter::consumed("month"))
        .meter(Meter::consumed("beyond"))
        .meter(Meter::concurrent("jobs"))
        .limit(small(Limit::rate("rate", 600, MINUTE).burst(9)))
        .limit(small(Limit::per_period("month", 9, Period::Month)))
        .limit(small(
            Limit::per_period("beyond", 9, Period::Month).overage(Overage::AllowedUpTo(10)),
        ))
        .limit(small(Limit::concurrent("jobs", 9)))
        .counters(remote.clone());
    let w =
        World::over(|directory, builder| crate::keys::with_keys(directory, builder).quotas(quotas))
            .await;
    let context = alice(&w).await;
    stop(&remote, true);
    for meter in ["rate", "month", "jobs"] {
        assert_eq!(
            refused(&w, &context, &[(meter, 1)]).await,
            "share-used-up",
            "{meter}"
        );
    }
    ask(&w, &context, &[("beyond", 1)]).await.unwrap();
    assert_eq!(
        refused(&w, &context, &[("beyond", 1)]).await,
        "share-used-up"
    );
}

#[tokio::test]
async fn plans_overrides_and_addresses_say_what_happens_too() {
    let remote = Remote::default();
    let plans = PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [Limit::per_period("exports", 10, Period::Month).on_outage(TENTH)],
        )
        .for_tenants_without_plan("free");
    let quotas = Quotas::new()
        .meter(Meter::consumed("exports"))
        .per_address(Limit::rate("requests", 100, MINUTE).on_outage(OnOutage::Open))
        .counters(remote.clone());
    let w = world(plans, quotas).await;
    let context = alice(&w).await;
    stop(&remote, true);
    ask(&w, &context, &[("exports", 1)]).await.unwrap();
    assert_eq!(
        refused(&w, &context, &[("exports", 1)]).await,
        "share-used-up"
    );
    let more = Limit::per_period("exports", 20, Period::Month);
    let quotas = w.tenancy.quotas().unwrap();
    let with = LimitOverride::new(more.clone().on_outage(TENTH));
    let stored = with.definition().unwrap();
    assert_eq!(stored["on_outage"], json!({ "share_of": 10 }));
    let read = LimitOverride::from_stored("exports", &stored, None).unwrap();
    quotas.put_override(w.acme.id, read).unwrap();
    ask(&w, &context, &[("exports", 1)]).await.unwrap();
    let open = LimitOverride::new(more.clone().on_outage(OnOutage::Open));
    let stored = open.definition().unwrap();
    assert_eq!(stored["on_outage"], "open");
    assert_eq!(
        LimitOverride::from_stored("exports", &stored, None)
            .unwrap()
            .definition()
            .unwrap(),
        stored
    );
    quotas
        .put_override(w.acme.id, LimitOverride::new(more))
        .unwrap();
    assert_eq!(
        refused(&w, &context, &[("exports", 1)]).await,
        "counters-unavailable"
    );
}

#[test]
fn what_can_not_be_meant_is_refused_when_the_engine_is_built() {
    let build = |limit: Limit| {
        let quotas = Quotas::new()
            .meter(Meter::consumed("requests"))
            .meter(Meter::held("projects"))
            .limit(Limit::unlimited("requests").scope(Scope::Caller))
            .limit(Limit::held("projects", 1).scope(Scope::Caller))
            .limit(limit);
        let built = tenancy_core::Tenancy::builder(tenancy_core::MemoryDirectory::new())
            .established_principals()
            .quotas(quotas)
            .build();
        built.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(build(Limit::held("projects", 3)), Ok(()));
    assert_eq!(
        build(Limit::rate("requests", 3, MINUTE).on_outage(OnOutage::Open)),
        Ok(())
    );
    for (limit, said) in [
        (
            Limit::held("projects", 3).on_outage(OnOutage::Open),
            "always refused",
        ),
        (
            Limit::held("projects", 3).on_outage(TENTH),
            "always refused",
        ),
        (
            Limit::unlimited("requests").on_outage(OnOutage::Open),
            "limits that count",
        ),
        (
            Limit::rate("requests", 3, MINUTE).on_outage(OnOutage::LocalShare { of: 0 }),
            "share of 0 processes",
        ),
    ] {
        let error = build(limit).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[cfg(feature = "toml")]
#[tokio::test]
async fn a_written_book_says_what_happens_too() {
    let remote = Remote::default();
    let text = r#"
        tenants_without_plan = "free"

        [plans.free]
        permissions = ["*"]
        limits.shared = { rate = 20, per = "minute", on_outage = { share_of = 10 } }
        limits.open = { per_day = 1, on_outage = "open" }
        limits.closed = { per_day = 100, on_outage = "closed" }
    "#;
    let quotas = Quotas::new()
        .meter(Meter::consumed("shared"))
        .meter(Meter::consumed("open"))
        .meter(Meter::consumed("closed"))
        .counters(remote.clone());
    let w = world(PlanBook::from_toml(text).unwrap(), quotas).await;
    let context = alice(&w).await;
    stop(&remote, true);
    for _ in 0..2 {
        ask(&w, &context, &[("shared", 1), ("open", 1)])
            .await
            .unwrap();
    }
    assert_eq!(
        refused(&w, &context, &[("shared", 1)]).await,
        "share-used-up"
    );
    assert_eq!(
        refused(&w, &context, &[("closed", 1)]).await,
        "counters-unavailable"
    );
}
