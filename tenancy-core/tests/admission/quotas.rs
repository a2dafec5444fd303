//! What a caller is told who meets a limit, and what that leaves behind.

mod fields;
mod of_projects;
mod outages;
mod own_of_keys;
mod reserving;
mod scopes;
mod settling;
mod stored_overrides;
mod stores;
#[cfg(feature = "toml")]
mod tiers;
mod versions;

use std::time::Duration;

use serde_json::{Value, json};
use tenancy_core::{
    Admitted, Charge, Charging, ConfigError, Cost, Ending, MemoryDirectory, PlanBook, Refusal,
    RequestView, RouteNeeds, RoutePolicy, Settlement, Tenancy, TenantContext,
    jwt::JwtAuthenticator,
    quota::{Limit, LimitOverride, Meter, Overage, Period, Quotas, Scope},
    testing::{FakeRequest, StoreDirectly as _},
};

use crate::{
    keys::with_keys,
    support::{ISSUER, World, key},
};

const MINUTE: Duration = Duration::from_secs(60);

fn meters() -> Quotas {
    Quotas::new()
        .meter(Meter::consumed("requests"))
        .meter(Meter::consumed("exports"))
        .meter(Meter::concurrent("jobs"))
        .meter(Meter::held("projects"))
        .upgrade_url("https://notes.example/plans")
}

fn book() -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::rate("requests", 60, MINUTE).burst(5),
                Limit::per_period("exports", 3, Period::Month),
                Limit::concurrent("jobs", 1),
                Limit::held("projects", 2),
            ],
        )
        .plan("pro", ["*"])
        .limits(
            "pro",
            [
                Limit::rate("requests", 600, MINUTE),
                Limit::per_period("exports", 10, Period::Month),
                Limit::concurrent("jobs", 2),
                Limit::unlimited("projects"),
            ],
        )
        .plan("basic", ["*"])
        .limits(
            "basic",
            [
                Limit::rate("requests", 60, MINUTE),
                Limit::not_included("exports"),
                Limit::concurrent("jobs", 0),
                Limit::not_included("projects"),
            ],
        )
        .for_tenants_without_plan("free")
}

async fn world(plans: PlanBook, quotas: Quotas) -> World {
    World::over(|directory, builder| with_keys(directory, builder).plans(plans).quotas(quotas))
        .await
}

async fn put_plan(w: &World, plan: Option<&str>) {
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    admin.set_plan(w.acme.id, plan).await.unwrap();
}

/// Alice at Acme.
async fn alice(w: &World) -> TenantContext {
    w.admit(&w.alice_at("acme.notes.example")).await.unwrap()
}

fn costs(costs: &[(&str, u64)]) -> Vec<Cost> {
    let each = costs
        .iter()
        .map(|(meter, amount)| Cost::new(*meter, *amount));
    each.collect()
}

/// Charges as the adapters do.
async fn charge_for(
    w: &World,
    admitted: &Admitted,
    request: &dyn RequestView,
    of: &[(&str, u64)],
) -> Result<Charge, Refusal> {
    match w.tenancy.charge(admitted, &costs(of), request) {
        Charging::Ready(charged) => charged,
        Charging::Pending(charging) => charging.await,
    }
}

async fn charge(
    w: &World,
    context: &TenantContext,
    of: &[(&str, u64)],
) -> Result<Settlement, Refusal> {
    let admitted = Admitted::Tenant(context.clone());
    let request = FakeRequest::new("/notes");
    let charged = charge_for(w, &admitted, &request, of).await?;
    Ok(charged.into_parts().1)
}

fn answered(status: u16) -> Ending {
    Ending::Answered { status, bytes: 0 }
}

/// A request that is charged and answered.
async fn ask(w: &World, context: &TenantContext, of: &[(&str, u64)]) -> Result<(), Refusal> {
    charge(w, context, of).await?.settle(answered(200));
    Ok(())
}

/// The status, the audited reason, `Retry-After` and the body.
fn told(refusal: Refusal) -> (u16, &'static str, Option<u64>, Value) {
    let problem = refusal.problem();
    let body = serde_json::from_str(&problem.to_json()).unwrap();
    let wait = problem.retry_after_seconds();
    (problem.status(), refusal.reason(), wait, body)
}

/// How much of each limit alice has used.
async fn used(w: &World, context: &TenantContext, limit: &str) -> u64 {
    let quotas = w.tenancy.quotas().unwrap();
    let usage = quotas.usage(context).await.unwrap();
    let own = usage.iter().find(|one| one.name == limit);
    own.unwrap_or_else(|| panic!("{limit} is none of {usage:?}"))
        .standing
        .used
}

#[tokio::test]
async fn where_waiting_helps_a_caller_is_told_how_long() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    for _ in 0..5 {
        ask(&w, &context, &[("requests", 1)]).await.unwrap();
    }
    let (status, reason, wait, body) =
        told(ask(&w, &context, &[("requests", 3)]).await.unwrap_err());
    assert_eq!((status, reason, wait), (429, "rate-exceeded", Some(3)));
    let of_draft = "https://iana.org/assignments/http-problem-types#quota-exceeded";
    assert_eq!(body["type"], of_draft);
    assert_eq!(
        (
            &body["violated-policies"],
            &body["remaining"],
            &body["reset"]
        ),
        (&json!(["requests-per-minute"]), &0.into(), &3.into())
    );
    assert_eq!(
        (&body["meter"], &body["limit"], &body["used"]),
        (&"requests".into(), &5.into(), &5.into())
    );
    assert_eq!(body["plan"], "free");
    assert_eq!(body["upgrade_url"], Value::Null, "waiting is enough");
    let entry = w.last_audit();
    assert_eq!(
        (entry.action.as_ref(), entry.tenant),
        ("request.charge", Some(w.acme.id))
    );
    w.clock.advance(Duration::from_millis(2_999));
    assert!(ask(&w, &context, &[("requests", 3)]).await.is_err());
    w.clock.advance(Duration::from_millis(1));
    assert!(ask(&w, &context, &[("requests", 3)]).await.is_ok());
}

#[tokio::test]
async fn where_only_paying_helps_a_caller_is_told_where() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("exports", 2)]).await.unwrap();
    let refused = told(ask(&w, &context, &[("exports", 2)]).await.unwrap_err());
    let (status, reason, wait, body) = refused;
    assert_eq!((status, reason, wait), (402, "period-used-up", None));
    assert_eq!(body["type"], "urn:tenancy:problem:quota-exhausted");
    assert_eq!((&body["limit"], &body["used"]), (&3.into(), &2.into()));
    assert_eq!(body["upgrade_url"], "https://notes.example/plans");
    // Nothing was taken by the denial, and what is left can be used.
    ask(&w, &context, &[("exports", 1)]).await.unwrap();
    // Used up: waiting for the rate would not help either, so that it is not spoken of.
    ask(&w, &context, &[("requests", 5)]).await.unwrap();
    let both = ask(&w, &context, &[("requests", 1), ("exports", 1)]).await;
    assert_eq!(told(both.unwrap_err()).0, 402);
    // The other plan has more, and what is used stays used.
    put_plan(&w, Some("pro")).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("exports", 7)]).await.unwrap();
    assert_eq!(
        told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err()).0,
        402
    );
    put_plan(&w, Some("free")).await;
    let context = alice(&w).await;
    let (status, _, _, body) = told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err());
    assert_eq!((status, &body["used"]), (402, &10.into()));
}

#[tokio::test]
async fn what_a_plan_does_not_include_is_forbidden() {
    let w = world(book(), meters()).await;
    put_plan(&w, Some("basic")).await;
    let context = alice(&w).await;
    for meter in ["exports", "jobs", "projects"] {
        let refused = ask(&w, &context, &[("requests", 1), (meter, 1)]).await;
        let (status, reason, wait, body) = told(refused.unwrap_err());
        assert_eq!(
            (status, reason, wait),
            (403, "meter-not-in-plan", None),
            "{meter}"
        );
        assert_eq!((&body["meter"], &body["limit"]), (&meter.into(), &0.into()));
        assert_eq!(body["upgrade_url"], "https://notes.example/plans");
    }
    assert_eq!(used(&w, &context, "requests-per-minute").await, 0);
    // A plan that is not in the book, or none.
    w.directory
        .set_plan(w.acme.id, Some("platinum"))
        .await
        .unwrap();
    w.tenancy.invalidate(w.acme.id);
    let context = alice(&w).await;
    let (status, reason, ..) = told(ask(&w, &context, &[("requests", 1)]).await.unwrap_err());
    assert_eq!((status, reason), (403, "meter-not-in-plan"));
}

#[tokio::test]
async fn more_than_there_can_be_at_once_is_refused_for_ever_and_says_so() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    for of in [
        ("requests", 6),
        ("exports", 4),
        ("jobs", 2),
        ("projects", 3),
        ("requests", u64::MAX),
    ] {
        let (status, reason, wait, body) = told(ask(&w, &context, &[of]).await.unwrap_err());
        assert_eq!(
            (status, reason, wait),
            (402, "cost-above-limit", None),
            "{of:?}"
        );
        assert_eq!(body["used"], 0);
    }
}

#[tokio::test]
async fn hours_and_days_are_waited_for_and_so_are_limits_that_no_plan_has() {
    let plans = PlanBook::new()
        .plan("free", ["*"])
        .limits("free", [Limit::per_period("requests", 1, Period::Hour)])
        .for_tenants_without_plan("free");
    let quotas = Quotas::new()
        .meter(Meter::consumed("requests"))
        .meter(Meter::consumed("exports"))
        .limit(Limit::per_period("exports", 1, Period::Month))
        .upgrade_url("https://notes.example/plans");
    let w = world(plans, quotas).await;
    let context = alice(&w).await;
    for (meter, at_least) in [("requests", 1), ("exports", 2)] {
        ask(&w, &context, &[(meter, 1)]).await.unwrap();
        let (status, reason, wait, body) =
            told(ask(&w, &context, &[(meter, 1)]).await.unwrap_err());
        assert_eq!((status, reason), (429, "period-used-up"), "{meter}");
        assert!(wait >= Some(at_least), "{wait:?}");
        assert_eq!(body["upgrade_url"], Value::Null);
    }
}

#[tokio::test]
async fn overage_is_admitted_as_far_as_it_is_allowed() {
    let limits = |overage| [Limit::per_period("exports", 2, Period::Month).overage(overage)];
    let plans = PlanBook::new()
        .plan("free", ["*"])
        .limits("free", limits(Overage::AllowedUpTo(2)))
        .plan("pro", ["*"])
        .limits("pro", limits(Overage::Allowed))
        .for_tenants_without_plan("free");
    let w = world(plans, Quotas::new().meter(Meter::consumed("exports"))).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("exports", 4)]).await.unwrap();
    let (status, _, _, body) = told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err());
    assert_eq!(
        (status, &body["limit"], &body["used"]),
        (402, &2.into(), &4.into())
    );
    put_plan(&w, Some("pro")).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("exports", 1_000)]).await.unwrap();
    assert_eq!(used(&w, &context, "exports-monthly").await, 1_004);
}

#[tokio::test]
async fn a_plan_that_includes_nothing_and_sells_some_has_it_and_says_when_it_is_used_up() {
    let plans = PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::per_period("exports", 0, Period::Month).overage(Overage::AllowedUpTo(2)),
                Limit::held("projects", 0).overage(Overage::AllowedUpTo(1)),
            ],
        )
        .for_tenants_without_plan("free");
    let quotas = Quotas::new()
        .meter(Meter::consumed("exports"))
        .meter(Meter::held("projects"));
    let w = world(plans, quotas).await;
    let context = alice(&w).await;
    for (meter, most, reason) in [
        ("exports", 2, "period-used-up"),
        ("projects", 1, "all-is-held"),
    ] {
        let refused = ask(&w, &context, &[(meter, most + 1)]).await.unwrap_err();
        let (status, too_much, ..) = told(refused);
        assert_eq!((status, too_much), (402, "cost-above-limit"), "{meter}");
        ask(&w, &context, &[(meter, most)]).await.unwrap();
        let refused = ask(&w, &context, &[(meter, 1)]).await.unwrap_err();
        let (status, used_up, _, body) = told(refused);
        assert_eq!((status, used_up), (402, reason), "{meter}");
        assert_eq!(
            (&body["limit"], &body["used"]),
            (&0.into(), &most.into()),
            "{meter}"
        );
    }
}

#[tokio::test]
async fn an_override_holds_for_one_tenant_until_it_ends() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("exports", 3)]).await.unwrap();
    assert!(ask(&w, &context, &[("exports", 1)]).await.is_err());
    let quotas = w.tenancy.quotas().unwrap();
    let more = Limit::per_period("exports", 5, Period::Month);
    let until = w.clock_now() + MINUTE;
    quotas
        .put_override(w.acme.id, LimitOverride::new(more).until(until))
        .unwrap();
    ask(&w, &context, &[("exports", 2)]).await.unwrap();
    let (_, _, _, body) = told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err());
    assert_eq!((&body["limit"], &body["used"]), (&5.into(), &5.into()));
    // Nobody else has it.
    let bobs = FakeRequest::new("/notes")
        .header("host", "globex.notes.example")
        .bearer(&w.token(w.bob, serde_json::json!({})));
    let bob = w.admit(&bobs).await.unwrap();
    assert!(ask(&w, &bob, &[("exports", 4)]).await.is_err());
    w.clock.advance(MINUTE);
    let (_, _, _, body) = told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err());
    assert_eq!((&body["limit"], &body["used"]), (&3.into(), &5.into()));
    let unlimited = Limit::unlimited("exports").named("exports-monthly");
    quotas
        .put_override(w.acme.id, LimitOverride::new(unlimited))
        .unwrap();
    ask(&w, &context, &[("exports", 1_000)]).await.unwrap();
    let none = Limit::not_included("exports").named("exports-monthly");
    quotas
        .put_override(w.acme.id, LimitOverride::new(none))
        .unwrap();
    assert_eq!(
        told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err()).0,
        403
    );
    quotas.remove_override(w.acme.id, "exports-monthly");
    assert_eq!(
        told(ask(&w, &context, &[("exports", 1)]).await.unwrap_err()).0,
        402
    );
}

#[test]
fn an_engine_that_could_not_count_is_not_built() {
    let built = |plans: Option<PlanBook>, quotas: Option<Quotas>| -> Result<Tenancy, ConfigError> {
        let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
        let mut builder =
            Tenancy::builder(MemoryDirectory::new()).authenticator(tokens.build().unwrap());
        if let Some(plans) = plans {
            builder = builder.plans(plans);
        }
        if let Some(quotas) = quotas {
            builder = builder.quotas(quotas);
        }
        builder.build()
    };
    let tenancy = built(Some(book()), Some(meters())).unwrap();
    assert!(built(None, None).unwrap().quotas().is_none());
    for (plans, quotas, said) in [
        (Some(book()), None, "give the engine `quotas`"),
        (None, Some(meters()), "nothing limits the meter `requests`"),
        (
            Some(book()),
            Some(meters().meter(Meter::consumed("tokens"))),
            "says nothing about the meter `tokens`",
        ),
        (
            Some(book().limits("free", [Limit::held("seats", 1)])),
            Some(meters()),
            "plan `free`: limit `seats-held`: there is no meter `seats`",
        ),
    ] {
        let error = built(plans, quotas).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let policy = |meter| RoutePolicy::new(RouteNeeds::tenant()).cost(meter, 1);
    assert!(tenancy.check_policy(&policy("requests")).is_ok());
    let error = tenancy
        .check_policy(&policy("tokens"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("the meter `tokens`"), "{error}");
}

#[tokio::test]
async fn a_limit_of_the_whole_service_is_nobodys_fault() {
    let quotas = meters().limit(Limit::rate("requests", 4, MINUTE).scope(Scope::System));
    let w = world(book(), quotas).await;
    let context = alice(&w).await;
    ask(&w, &context, &[("requests", 4)]).await.unwrap();
    let (status, reason, wait, body) =
        told(ask(&w, &context, &[("requests", 1)]).await.unwrap_err());
    assert_eq!((status, reason, wait), (503, "capacity-reached", Some(15)));
    // What all others use is not told.
    assert_eq!(
        (&body["limit"], &body["used"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(used(&w, &context, "requests-per-minute").await, 4);
}
