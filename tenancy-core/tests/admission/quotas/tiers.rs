//! The price lists of `examples/plans`: what they say is what is enforced.

use tenancy_core::{
    PermissionRegistry, PlanBook, Price, PricePeriod, Retention, SystemRole, TenantContext,
    quota::{Meter, Quotas},
};

use super::{alice, charge, put_plan, told};
use crate::{keys::with_keys, support::World};

/// What a price list says of a meter.
#[derive(Debug, Clone, Copy)]
enum Says {
    /// So many can be taken, and one more is answered with this status.
    Most(u64, u16),
    /// So many are included and so many more are billed, and one more is answered with 402.
    Billed(u64, u64),
    Unlimited,
    NotIncluded,
}
use Says::{Billed, Most, NotIncluded, Unlimited};

/// One column of a price list.
struct Column {
    plan: &'static str,
    meters: &'static [(&'static str, Says)],
    permissions: &'static [&'static str],
    features: &'static [&'static str],
    /// A price a month; `None` by agreement.
    monthly: Option<(u64, &'static str)>,
    kept: (&'static str, Retention),
    support: &'static str,
}

struct PriceList {
    text: &'static str,
    quotas: fn() -> Quotas,
    permissions: [&'static str; 3],
    features: &'static [&'static str],
    columns: [Column; 3],
}

async fn world(list: &PriceList) -> World {
    let mut permissions = PermissionRegistry::builder();
    for name in list.permissions {
        permissions = permissions.permission(name, SystemRole::Viewer);
    }
    let permissions = permissions.build().unwrap();
    let plans = PlanBook::from_toml(list.text).unwrap();
    let quotas = (list.quotas)().upgrade_url("https://notes.example/plans");
    World::over(|directory, builder| {
        let builder = with_keys(directory, builder).permissions(permissions);
        builder.plans(plans).quotas(quotas)
    })
    .await
}

/// Takes as much as there is, and then one more.
async fn meet(w: &World, context: &TenantContext, meter: &str, says: Says) {
    let name = context.plan().unwrap().name();
    let whose = format!("{meter} of {name}");
    let (limit, most, status) = match says {
        Most(most, status) => (most, most, status),
        Billed(limit, more) => (limit, limit + more, 402),
        NotIncluded => (0, 0, 403),
        Unlimited => {
            drop(
                charge(w, context, &[(meter, 1_000_000_000)])
                    .await
                    .expect(&whose),
            );
            return;
        }
    };
    // Held until the end, so that what runs at once goes on running.
    let mut running = Vec::new();
    if most > 0 {
        running.push(charge(w, context, &[(meter, most)]).await.expect(&whose));
    }
    let refused = told(charge(w, context, &[(meter, 1)]).await.expect_err(&whose));
    let (told_status, _, _, body) = refused;
    assert_eq!(told_status, status, "{whose}: {body}");
    assert_eq!(
        (&body["meter"], &body["plan"]),
        (&meter.into(), &name.into()),
        "{body}"
    );
    if most > 0 {
        assert_eq!(
            (&body["limit"], &body["used"]),
            (&limit.into(), &most.into()),
            "{body}"
        );
    }
    if matches!(status, 402 | 403) {
        assert_eq!(body["upgrade_url"], "https://notes.example/plans", "{body}");
    }
}

async fn enforces(list: PriceList) {
    for column in &list.columns {
        // Each column is met by a tenant that has used nothing.
        let w = world(&list).await;
        let plan = column.plan;
        put_plan(&w, Some(plan)).await;
        let context = alice(&w).await;
        for permission in list.permissions {
            let is_permitted = column.permissions.contains(&permission);
            let required = context.require(permission);
            assert_eq!(required.is_ok(), is_permitted, "{permission} of {plan}");
        }
        for feature in list.features {
            let has = column.features.contains(feature);
            assert_eq!(context.has_feature(feature), has, "{feature} of {plan}");
            assert_eq!(
                context.require_feature(feature).is_ok(),
                has,
                "{feature} of {plan}"
            );
        }
        let told = context.plan().unwrap();
        let price = told.prices().iter().find_map(|price| match price {
            Price::Fixed {
                minor_units,
                currency,
                per: PricePeriod::Month,
            } => Some((*minor_units, &**currency)),
            _ => None,
        });
        assert_eq!(price, column.monthly, "{plan}");
        assert_eq!(
            told.prices().contains(&Price::ByAgreement),
            column.monthly.is_none()
        );
        let (of, kept) = column.kept;
        assert_eq!(told.retention(of), Some(kept), "{of} of {plan}");
        assert_eq!(told.support(), Some(column.support), "{plan}");
        for (meter, says) in column.meters {
            meet(&w, &context, meter, *says).await;
        }
    }
    // A tenant that has chosen nothing is on the first plan.
    let w = world(&list).await;
    let context = alice(&w).await;
    assert_eq!(context.plan().unwrap().name(), list.columns[0].plan);
}

#[tokio::test]
async fn free_pro_and_enterprise_are_enforced_as_their_price_list_says() {
    enforces(PriceList {
        text: include_str!("../../../../examples/plans/free-pro-enterprise.toml"),
        quotas: || {
            Quotas::new()
                .meter(Meter::consumed("requests"))
                .meter(Meter::consumed("scrapes"))
                .meter(Meter::concurrent("jobs"))
                .meter(Meter::held("seats"))
        },
        permissions: ["scrapes:read", "scrapes:run", "models:train"],
        features: &["custom-models", "sso", "white-label"],
        columns: [
            Column {
                plan: "free",
                meters: &[
                    ("requests", Most(10, 429)),
                    ("scrapes", Most(1_000, 402)),
                    ("jobs", Most(1, 429)),
                    ("seats", Most(1, 402)),
                ],
                permissions: &["scrapes:read", "scrapes:run"],
                features: &[],
                monthly: Some((0, "USD")),
                kept: ("results", Retention::Days(7)),
                support: "the forum",
            },
            Column {
                plan: "pro",
                meters: &[
                    ("requests", Most(100, 429)),
                    ("scrapes", Most(50_000, 402)),
                    ("jobs", Most(10, 429)),
                    ("seats", Most(10, 402)),
                ],
                permissions: &["scrapes:read", "scrapes:run", "models:train"],
                features: &["custom-models"],
                monthly: Some((4_900, "USD")),
                kept: ("results", Retention::Days(90)),
                support: "by mail, within two working days",
            },
            Column {
                plan: "enterprise",
                meters: &[
                    ("requests", Most(6_000, 429)),
                    ("scrapes", Unlimited),
                    ("jobs", Most(100, 429)),
                    ("seats", Unlimited),
                ],
                permissions: &["scrapes:read", "scrapes:run", "models:train"],
                features: &["custom-models", "sso", "white-label"],
                monthly: None,
                kept: ("results", Retention::ForGood),
                support: "by phone, at any time",
            },
        ],
    })
    .await;
}

#[tokio::test]
async fn starter_growth_and_enterprise_are_enforced_as_their_price_list_says() {
    enforces(PriceList {
        text: include_str!("../../../../examples/plans/starter-growth-enterprise.toml"),
        quotas: || {
            Quotas::new()
                .meter(Meter::consumed("api-calls"))
                .meter(Meter::consumed("events"))
                .meter(Meter::consumed("predictions"))
        },
        permissions: ["reports:read", "reports:share", "models:edit"],
        features: &["custom-models", "sso", "white-label"],
        columns: [
            Column {
                plan: "starter",
                meters: &[
                    ("api-calls", Most(100, 429)),
                    ("events", Most(100_000, 402)),
                    ("predictions", NotIncluded),
                ],
                permissions: &["reports:read"],
                features: &[],
                monthly: Some((9_900, "EUR")),
                kept: ("events", Retention::Days(90)),
                support: "by mail",
            },
            Column {
                plan: "growth",
                meters: &[
                    ("api-calls", Most(1_000, 429)),
                    ("events", Billed(1_000_000, 200_000)),
                    ("predictions", Most(5_000, 429)),
                ],
                permissions: &["reports:read", "reports:share"],
                features: &["custom-models"],
                monthly: Some((49_900, "EUR")),
                kept: ("events", Retention::Days(400)),
                support: "by mail and chat",
            },
            Column {
                plan: "enterprise",
                meters: &[
                    ("api-calls", Most(10_000, 429)),
                    ("events", Unlimited),
                    ("predictions", Unlimited),
                ],
                permissions: &["reports:read", "reports:share", "models:edit"],
                features: &["custom-models", "sso", "white-label"],
                monthly: None,
                kept: ("events", Retention::ForGood),
                support: "by phone, with an engineer of your own",
            },
        ],
    })
    .await;
}

#[tokio::test]
async fn repositories_and_test_runs_are_enforced_as_their_price_list_says() {
    enforces(PriceList {
        text: include_str!("../../../../examples/plans/repositories-and-test-runs.toml"),
        quotas: || {
            Quotas::new()
                .meter(Meter::held("repositories"))
                .meter(Meter::consumed("test-runs"))
                .meter(Meter::consumed("api-calls"))
        },
        permissions: ["runs:read", "runs:upload", "quarantine:edit"],
        features: &["quarantine", "sso"],
        columns: [
            Column {
                plan: "free",
                meters: &[
                    ("repositories", Most(3, 402)),
                    ("test-runs", Most(1_000, 402)),
                    ("api-calls", Most(100, 429)),
                ],
                permissions: &["runs:read", "runs:upload"],
                features: &[],
                monthly: Some((0, "USD")),
                kept: ("test-runs", Retention::Days(30)),
                support: "the forum",
            },
            Column {
                plan: "pro",
                meters: &[
                    ("repositories", Most(50, 402)),
                    ("test-runs", Most(50_000, 402)),
                    ("api-calls", Most(500, 429)),
                ],
                permissions: &["runs:read", "runs:upload", "quarantine:edit"],
                features: &["quarantine"],
                monthly: Some((2_900, "USD")),
                kept: ("test-runs", Retention::Days(180)),
                support: "by mail, within one working day",
            },
            Column {
                plan: "enterprise",
                meters: &[
                    ("repositories", Unlimited),
                    ("test-runs", Unlimited),
                    ("api-calls", Most(50_000, 429)),
                ],
                permissions: &["runs:read", "runs:upload", "quarantine:edit"],
                features: &["quarantine", "sso"],
                monthly: None,
                kept: ("test-runs", Retention::ForGood),
                support: "by phone, at any time",
            },
        ],
    })
    .await;
}

#[test]
fn the_book_of_the_guide_can_be_read_and_its_error_is_the_one_that_is_shown() {
    let guide = include_str!("../../../../docs/limits.md");
    let block = |kind: &str| {
        let (_, from) = guide.split_once(&format!("```{kind}\n")).expect(kind);
        from.split_once("```").expect(kind).0
    };
    let book = block("toml");
    assert!(PlanBook::from_toml(book).is_ok());
    let wrong = book.replacen("minor_units = 0", "minor_units = -1", 1);
    let error = PlanBook::from_toml(&wrong).unwrap_err();
    assert_eq!(error.to_string(), block("text").trim());
}
