//! Limits that can't be meant are refused when they are read.

use std::{sync::Arc, time::Duration};

use super::seconds;
use crate::{
    Ending, NoAudit, PermissionRegistry, PlanBook, SystemClock, TenantId,
    plan::Plans,
    quota::{
        Limit, LimitOverride, MAX_AMOUNT, Meter, Overage, Period, QuotaService, Quotas, Rule, Scope,
    },
};

fn meters() -> Vec<Meter> {
    vec![
        Meter::consumed("requests"),
        Meter::concurrent("jobs"),
        Meter::held("projects"),
    ]
}

fn read(limits: impl Into<Vec<Limit>>) -> Result<Vec<Arc<Rule>>, String> {
    let rules = Rule::all_of(
        limits.into().into_iter().map(Into::into).collect(),
        &meters(),
        "plan `free`",
        true,
    );
    rules.map_err(|error| error.to_string())
}

#[test]
fn each_kind_of_limit_is_read_and_named() {
    let minute = seconds(60);
    let rules = read([
        Limit::rate("requests", 60, minute),
        Limit::rate("requests", 60, minute).scope(Scope::Key),
        Limit::rate("requests", 5, seconds(1))
            .burst(5)
            .scope(Scope::System),
        Limit::rate("requests", 5, seconds(90)),
        Limit::rate("requests", 5, Duration::from_millis(250)),
        Limit::per_period("requests", 1_000, Period::Day).warn_at([80, 100]),
        Limit::per_period("requests", 9, Period::Month).overage(Overage::Allowed),
        Limit::concurrent("jobs", 2).expires_after(minute),
        Limit::held("projects", 3).scope(Scope::Caller),
        Limit::unlimited("projects"),
        Limit::rate("requests", 1, minute).named("sign-ups"),
    ])
    .unwrap();
    let names: Vec<_> = rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(
        names,
        [
            "requests-per-minute",
            "requests-per-minute-by-key",
            "requests-per-second-of-all",
            "requests-per-90s",
            "requests-per-250ms",
            "requests-daily",
            "requests-monthly",
            "jobs-at-once",
            "projects-held-by-caller",
            "projects-held",
            "sign-ups",
        ]
    );
}

#[test]
fn what_can_not_be_meant_is_refused_and_says_how_to_mend_it() {
    let minute = seconds(60);
    for (limits, said) in [
        (
            vec![Limit::rate("exports", 1, minute)],
            "there is no meter `exports`",
        ),
        (
            vec![Limit::rate("requests", 1, Duration::ZERO)],
            "give three numbers above 0",
        ),
        (
            vec![Limit::rate("requests", 1, minute).burst(0)],
            "give three numbers above 0",
        ),
        (
            vec![Limit::rate("requests", u64::MAX, minute)],
            "too large to be counted",
        ),
        (
            vec![Limit::rate("requests", 1, Duration::MAX)],
            "too large to be counted",
        ),
        (
            vec![Limit::per_period("requests", u64::MAX, Period::Day)],
            "too large",
        ),
        (
            vec![
                Limit::per_period("requests", MAX_AMOUNT, Period::Day)
                    .overage(Overage::AllowedUpTo(1)),
            ],
            "too large",
        ),
        (
            vec![Limit::held("projects", 1).overage(Overage::AllowedUpTo(u64::MAX))],
            "too large",
        ),
        (
            vec![Limit::concurrent("jobs", 1).expires_after(Duration::ZERO)],
            "a time above 0",
        ),
        (
            vec![Limit::held("projects", 1).expires_after(Duration::ZERO)],
            "a time above 0",
        ),
        (
            vec![Limit::concurrent("requests", 1)],
            "declare the meter with `Meter::concurrent`",
        ),
        (
            vec![Limit::rate("jobs", 1, minute)],
            "declare the meter with `Meter::consumed`",
        ),
        (
            vec![Limit::per_period("projects", 1, Period::Day)],
            "with `Meter::consumed`",
        ),
        (
            vec![Limit::held("jobs", 1)],
            "declare the meter with `Meter::held`",
        ),
        (vec![Limit::held("projects", 1).burst(3)], "has no `burst`"),
        (
            vec![Limit::rate("requests", 1, minute).expires_after(minute)],
            "`expires_after`",
        ),
        (
            vec![Limit::rate("requests", 1, minute).overage(Overage::Allowed)],
            "overage is for limits per period",
        ),
        (
            vec![Limit::rate("requests", 1, minute).warn_at([80])],
            "`warn_at` is for",
        ),
        (
            vec![Limit::held("projects", 1).warn_at([0])],
            "a threshold of 0 percent",
        ),
        (
            vec![Limit::rate("requests", 1, minute).named("Per Minute")],
            "lower-case letters",
        ),
        (
            vec![Limit::rate("requests", 1, minute).named("")],
            "1 to 64",
        ),
        (
            vec![
                Limit::rate("requests", 1, minute),
                Limit::rate("requests", 2, minute),
            ],
            "two limits are called `requests-per-minute`",
        ),
        (
            vec![
                Limit::unlimited("requests"),
                Limit::rate("requests", 2, minute),
            ],
            "contradict each other",
        ),
        (
            vec![Limit::not_included("projects"), Limit::held("projects", 2)],
            "two limits are called `projects-held`",
        ),
    ] {
        let error = read(limits.clone()).expect_err(&format!("{limits:?}"));
        assert!(error.starts_with("plan `free`: "), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

fn book(free: impl IntoIterator<Item = Limit>, pro: impl IntoIterator<Item = Limit>) -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .plan("pro", ["*"])
        .limits("free", free)
        .limits("pro", pro)
}

fn built(quotas: Quotas, plans: Option<PlanBook>) -> Result<QuotaService, String> {
    let registry = PermissionRegistry::builder().build().unwrap();
    let plans: Option<Plans> = match plans {
        Some(book) => Some(
            book.compiled(&registry, Some(quotas.meters()))
                .map_err(|error| error.to_string())?,
        ),
        None => None,
    };
    let rules = quotas.checked().map_err(|error| error.to_string())?;
    let clock = Arc::new(SystemClock);
    QuotaService::new(
        quotas,
        rules,
        plans.as_ref(),
        clock,
        Arc::new(NoAudit),
        None,
    )
    .map_err(|error| error.to_string())
}

/// Otherwise a tenant keeps 50 on one plan, and room for one more on the smaller one.
#[test]
fn what_is_held_is_counted_by_one_name_in_all_plans() {
    let projects = || Quotas::new().meter(Meter::held("projects"));
    let small = || Limit::held("projects", 1).named("small");
    for pro in [
        Limit::held("projects", 50),
        Limit::unlimited("projects"),
        Limit::held("projects", 50).named("large"),
    ] {
        let refused = built(projects(), Some(book([small()], [pro]))).unwrap_err();
        assert!(
            refused.contains("what is held of `projects` is counted as `small`")
                || refused.contains("and as `small` in plan"),
            "{refused}"
        );
        assert!(refused.contains("give both limits one name"), "{refused}");
    }
    let named = Limit::held("projects", 50).named("small");
    assert!(built(projects(), Some(book([small()], [named]))).is_ok());
    // Another scope is another count.
    let of_projects = Limit::held("projects", 1)
        .named("each")
        .scope(Scope::Project);
    let of_all = || Limit::held("projects", 50);
    assert!(built(projects(), Some(book([of_all()], [of_all(), of_projects]))).is_ok());
}

#[test]
fn each_plan_says_something_about_each_meter() {
    let minute = seconds(60);
    let requests = || Quotas::new().meter(Meter::consumed("requests"));
    let limit = || Limit::rate("requests", 1, minute);
    assert!(built(requests().limit(limit()), None).is_ok());
    assert!(built(requests().limit(limit()), Some(book([], []))).is_ok());
    assert!(
        built(
            requests(),
            Some(book([limit()], [Limit::unlimited("requests")]))
        )
        .is_ok()
    );
    for (quotas, plans, said) in [
        (requests(), None, "nothing limits the meter `requests`"),
        (
            requests(),
            Some(book([limit()], [])),
            "plan `pro` says nothing about the meter `requests`",
        ),
        (
            requests().meter(Meter::concurrent("requests")),
            None,
            "`requests` is declared twice",
        ),
        (
            requests().limit(limit()),
            Some(book([limit()], [])),
            "stands in the quotas and in the plan `free`",
        ),
        (
            requests(),
            Some(book(
                [limit()],
                [limit().scope(Scope::Key).named("requests-per-minute")],
            )),
            "of different meters or scopes",
        ),
        (
            requests().limit(limit()),
            Some(PlanBook::new().limits("gone", [limit()])),
            "plan `gone` is given limits and is not in the book",
        ),
        (
            requests().limit(limit()).idempotency_key_header("an id"),
            None,
            "no header field can be called `an id`",
        ),
        (
            Quotas::new().meter(Meter::held("seats").settled_by(|_: Ending, amount| amount)),
            None,
            "only what is consumed is estimated",
        ),
    ] {
        let error = built(quotas, plans).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_limit_of_addresses_that_can_not_be_meant_is_refused() {
    let minute = seconds(60);
    let with = |limits: Vec<Limit>| {
        let each = limits.into_iter();
        built(each.fold(Quotas::new(), Quotas::per_address), None)
    };
    let rate = || Limit::rate("requests", 60, minute);
    // Its meter need not be declared, and nothing has to limit it besides.
    assert!(
        with(vec![
            rate().burst(5),
            Limit::per_period("requests", 9, Period::Day)
        ])
        .is_ok()
    );
    assert!(with(vec![rate().scope(Scope::Address)]).is_ok());
    for (limits, said) in [
        (vec![rate().scope(Scope::Key)], "remove `scope`"),
        (vec![rate(), rate().burst(5)], "two are called so"),
        (vec![Limit::rate("requests", 0, minute)], "of at least 1"),
        (vec![Limit::unlimited("requests")], "of at least 1"),
        (vec![Limit::not_included("requests")], "of at least 1"),
        (vec![Limit::concurrent("requests", 5)], "what is consumed"),
        (vec![rate().burst(0)], "three numbers above 0"),
        (
            (1..=17)
                .map(|number| Limit::rate("requests", 5, seconds(number)))
                .collect(),
            "17 limits of addresses",
        ),
    ] {
        let error = with(limits.clone()).expect_err(&format!("{limits:?}"));
        assert!(error.contains(said), "{error}");
    }
    let error = built(Quotas::new().limit(rate().scope(Scope::Address)), None).unwrap_err();
    assert!(error.contains("`Quotas::per_address`"), "{error}");
}

#[test]
fn an_override_takes_the_place_of_a_limit_that_exists() {
    let minute = seconds(60);
    let quotas = Quotas::new()
        .meter(Meter::consumed("requests"))
        .meter(Meter::held("projects"));
    let limits = || {
        [
            Limit::rate("requests", 1, minute),
            Limit::held("projects", 1),
        ]
    };
    let service = built(quotas, Some(book(limits(), limits()))).unwrap();
    let put = |limit| service.put_override(TenantId::new(), LimitOverride::new(limit));
    assert!(put(Limit::rate("requests", 9, minute)).is_ok());
    assert!(put(Limit::unlimited("requests").named("requests-per-minute")).is_ok());
    for (limit, said) in [
        (
            Limit::rate("requests", 9, seconds(1)),
            "there is no limit `requests-per-second`",
        ),
        (
            Limit::held("projects", 9).named("requests-per-minute"),
            "of another scope or meter",
        ),
        (
            Limit::rate("requests", 9, minute)
                .scope(Scope::Key)
                .named("requests-per-minute"),
            "of another scope or meter",
        ),
        (
            Limit::rate("requests", 9, Duration::ZERO).named("requests-per-minute"),
            "above 0",
        ),
    ] {
        let error = put(limit).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
