//! Key ⊂ project ⊂ tenant ⊂ system, callers, and routes without a tenant.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tenancy_core::{
    Admitted, PlanBook, Project, RouteNeeds,
    key::NewKey,
    quota::{Calendar, Limit, Meter, Period, Quotas, Scope},
    testing::{FakeRequest, StoreDirectly as _},
};

use super::{MINUTE, alice, ask, charge_for, told, used, world};
use crate::keys::{alices, issue, with};

fn requests() -> Quotas {
    Quotas::new().meter(Meter::consumed("requests"))
}

fn free(limits: impl IntoIterator<Item = Limit>) -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .limits("free", limits)
        .for_tenants_without_plan("free")
}

/// limiters#110 in three levels: the key denies, and the others are not charged.
#[tokio::test]
async fn what_a_key_is_denied_its_project_and_its_tenant_do_not_pay_for() {
    let of = |amount, scope| Limit::rate("requests", amount, MINUTE).scope(scope);
    let limits = [
        of(2, Scope::Key),
        of(3, Scope::Project),
        of(6, Scope::Tenant),
    ];
    let w = world(free(limits), requests()).await;
    let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), "Roadmap");
    w.directory.put_project(&project).await.unwrap();
    let new =
        |name| NewKey::new(w.acme.id, w.alice, name, ["*".parse().unwrap()]).project(project.id);
    let (one, other) = (issue(&w, new("one")).await, issue(&w, new("other")).await);
    let one = w.admit(&with(&one)).await.unwrap();
    let other = w.admit(&with(&other)).await.unwrap();
    for _ in 0..2 {
        ask(&w, &one, &[("requests", 1)]).await.unwrap();
    }
    for _ in 0..50 {
        let (status, _, _, body) = told(ask(&w, &one, &[("requests", 1)]).await.unwrap_err());
        assert_eq!((status, &body["limit"]), (429, &2.into()));
    }
    for (limit, expected) in [
        ("requests-per-minute-by-key", 2),
        ("requests-per-minute-by-project", 2),
        ("requests-per-minute", 2),
    ] {
        assert_eq!(used(&w, &one, limit).await, expected, "{limit}");
    }
    ask(&w, &other, &[("requests", 1)]).await.unwrap();
    let (_, _, _, body) = told(ask(&w, &other, &[("requests", 1)]).await.unwrap_err());
    assert_eq!(body["limit"], 3, "of the project");
    // A person is no key and names no project.
    let person = alice(&w).await;
    ask(&w, &person, &[("requests", 3)]).await.unwrap();
    let (_, _, _, body) = told(ask(&w, &person, &[("requests", 1)]).await.unwrap_err());
    assert_eq!(body["limit"], 6, "of the tenant");
}

#[tokio::test]
async fn each_caller_of_a_tenant_has_its_own() {
    let by_caller = Limit::rate("requests", 1, MINUTE).scope(Scope::Caller);
    let w = world(free([by_caller]), requests()).await;
    let key = issue(&w, alices(&w)).await;
    let (person, key) = (alice(&w).await, w.admit(&with(&key)).await.unwrap());
    for context in [&person, &key] {
        ask(&w, context, &[("requests", 1)]).await.unwrap();
        assert!(ask(&w, context, &[("requests", 1)]).await.is_err());
    }
    // Alice has another token, and is the same.
    let again = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&w.token(w.alice, json!({ "jti": "another" })));
    let again = w.admit(&again).await.unwrap();
    assert!(ask(&w, &again, &[("requests", 1)]).await.is_err());
}

/// A route without a tenant: sign-up.
#[tokio::test]
async fn without_a_tenant_callers_are_limited_by_who_they_are_or_where_they_are() {
    let by_caller = Limit::rate("sign-ups", 1, MINUTE).scope(Scope::Caller);
    let quotas = requests()
        .meter(Meter::consumed("sign-ups"))
        .limit(by_caller);
    let w = world(free([Limit::rate("requests", 1, MINUTE)]), quotas).await;
    let from = |ip: &str| {
        FakeRequest::new("/sign-up")
            .header("host", "www.notes.example")
            .peer(ip.parse().unwrap())
    };
    let mut passed = Vec::new();
    for ip in [
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8:1:2::1",
        "2001:db8:1:2:ff::1",
    ] {
        let request = from(ip);
        let admitted = w.admit_as(&request, RouteNeeds::central()).await.unwrap();
        passed.push(
            charge_for(&w, &admitted, &request, &[("sign-ups", 1)])
                .await
                .is_ok(),
        );
    }
    assert_eq!(passed, [true, false, true, true, false]);
    // Somebody who is signed in, from an address that has no more.
    let signed_in = from("192.0.2.1").bearer(&w.token(w.alice, json!({})));
    let admitted = w.admit_as(&signed_in, RouteNeeds::central()).await.unwrap();
    assert!(matches!(admitted, Admitted::NoTenant(Some(_))));
    assert!(
        charge_for(&w, &admitted, &signed_in, &[("sign-ups", 1)])
            .await
            .is_ok()
    );
    assert!(
        charge_for(&w, &admitted, &signed_in, &[("sign-ups", 1)])
            .await
            .is_err()
    );
    // What only tenants have limits of can't be charged here.
    let refused = charge_for(&w, &admitted, &signed_in, &[("requests", 1)]).await;
    let (status, reason, ..) = told(refused.unwrap_err());
    assert_eq!((status, reason), (500, "meter-needs-a-tenant"));
}

/// ansvisor#500, chmonitor#2514: from the anchor on it is full again, whether a message came or not.
#[tokio::test]
async fn a_tenants_month_begins_at_its_anchor() {
    let anchors = Arc::new(Mutex::new(Calendar::utc()));
    let of_tenant = Arc::clone(&anchors);
    let quotas = requests().calendar(move |_| of_tenant.lock().unwrap().clone());
    let w = world(
        free([Limit::per_period("requests", 1, Period::Month)]),
        quotas,
    )
    .await;
    // The period ends in ten minutes, on whatever day of the month that is.
    let signed_up = w.clock_now() + 10 * MINUTE;
    *anchors.lock().unwrap() = Calendar::utc().billed_from(signed_up);
    let context = alice(&w).await;
    ask(&w, &context, &[("requests", 1)]).await.unwrap();
    let (status, ..) = told(ask(&w, &context, &[("requests", 1)]).await.unwrap_err());
    assert_eq!(status, 402);
    w.clock.advance(10 * MINUTE);
    ask(&w, &context, &[("requests", 1)]).await.unwrap();
    assert!(ask(&w, &context, &[("requests", 1)]).await.is_err());
}

#[tokio::test]
async fn a_threshold_is_told_once_and_says_what_it_is_about() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let quotas = requests().on_threshold(move |reached| {
        let told = (
            reached.tenant,
            reached.limit.to_owned(),
            reached.percent,
            reached.standing.used,
        );
        hears.lock().unwrap().push(told);
    });
    let limit = Limit::per_period("requests", 10, Period::Month).warn_at([80, 100]);
    let w = world(free([limit]), quotas).await;
    let context = alice(&w).await;
    for _ in 0..12 {
        let _ = ask(&w, &context, &[("requests", 1)]).await;
    }
    let of = |percent, used| {
        (
            Some(w.acme.id),
            "requests-monthly".to_owned(),
            percent,
            used,
        )
    };
    assert_eq!(*heard.lock().unwrap(), [of(80, 8), of(100, 10)]);
}

#[tokio::test]
async fn an_operator_sees_what_is_enforced() {
    let limits = [
        Limit::rate("requests", 60, MINUTE),
        Limit::per_period("requests", 100, Period::Day),
        Limit::rate("requests", 5, MINUTE).scope(Scope::Key),
    ];
    let w = world(free(limits), requests()).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("requests", 7)]).await.unwrap();
    let usage = w.tenancy.quotas().unwrap().usage(&context).await.unwrap();
    let told: Vec<_> = usage
        .iter()
        .map(|one| (one.name.as_str(), one.standing.limit, one.standing.used))
        .collect();
    assert_eq!(
        told,
        [("requests-per-minute", 60, 7), ("requests-daily", 100, 7)]
    );
    assert_eq!(usage[0].standing.reset_after, Some(7 * MINUTE / 60));
    assert!(usage[1].standing.reset_after.is_some());
    // To look takes nothing.
    assert_eq!(
        w.tenancy.quotas().unwrap().usage(&context).await.unwrap(),
        usage
    );
}
