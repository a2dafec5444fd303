//! What responses say of limits: `RateLimit-Policy` and `RateLimit`.

use std::collections::BTreeSet;

use tenancy_core::{
    Admitted, PlanBook, TenantContext,
    quota::{Limit, Meter, Period, Quotas, Scope},
    testing::FakeRequest,
};

use super::{MINUTE, alice, charge_for, world};
use crate::support::World;

fn quotas() -> Quotas {
    let of_all = Limit::rate("requests", 1_000, MINUTE).scope(Scope::System);
    Quotas::new()
        .meter(Meter::consumed("requests"))
        .meter(Meter::consumed("egress").unit("bytes"))
        .meter(Meter::concurrent("jobs"))
        .meter(Meter::held("projects"))
        .limit(of_all)
}

fn plans() -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::rate("requests", 60, MINUTE).burst(10),
                Limit::per_period("egress", 1_000, Period::Hour),
                Limit::concurrent("jobs", 3),
                Limit::unlimited("projects"),
            ],
        )
        .for_tenants_without_plan("free")
}

/// Both fields, of a response or of a refusal; without the partition keys, which are handed back.
async fn fields(
    w: &World,
    context: &TenantContext,
    of: &[(&str, u64)],
) -> (String, String, BTreeSet<String>) {
    let admitted = Admitted::Tenant(context.clone());
    let all: Vec<(&str, String)> =
        match charge_for(w, &admitted, &FakeRequest::new("/notes"), of).await {
            Ok(charge) => charge.into_parts().0,
            Err(refusal) => (refusal.problem().fields())
                .map(|(name, value)| (name, value.into_owned()))
                .collect(),
        };
    let mut keys = BTreeSet::new();
    let mut of_name = |name| {
        let found = all.iter().find(|(field, _)| *field == name);
        let value = found.map_or("", |(_, value)| value.as_str());
        let without = value.split(", ").map(|one| match one.split_once(";pk=:") {
            Some((before, key)) => {
                keys.insert(key.to_owned());
                before
            }
            None => one,
        });
        without.collect::<Vec<_>>().join(", ")
    };
    (of_name("ratelimit-policy"), of_name("ratelimit"), keys)
}

#[tokio::test]
async fn responses_and_refusals_say_what_there_is_and_what_is_left() {
    let w = world(plans(), quotas().rate_limit_fields()).await;
    let context = alice(&w).await;
    let (policy, limit, keys) = fields(&w, &context, &[("requests", 4), ("jobs", 1)]).await;
    assert_eq!(
        policy,
        r#""requests-per-minute";q=10;w=10, "jobs-at-once";q=3;qu="concurrent-requests""#
    );
    assert_eq!(
        limit,
        r#""requests-per-minute";r=6;t=4, "jobs-at-once";r=2"#
    );
    assert_eq!(keys.len(), 1, "both are the tenant's");
    assert!(!keys.iter().any(|key| key.contains(&w.acme.id.to_string())));
    let (policy, limit, of_refusal) = fields(&w, &context, &[("requests", 8)]).await;
    assert_eq!(policy, r#""requests-per-minute";q=10;w=10"#);
    assert_eq!(limit, r#""requests-per-minute";r=6;t=2"#);
    assert_eq!(of_refusal, keys);
    let (policy, limit, _) = fields(&w, &context, &[("egress", 1)]).await;
    assert_eq!(
        policy,
        r#""egress-hourly";q=1000;qu="content-bytes";w=3600"#
    );
    assert!(limit.starts_with(r#""egress-hourly";r=999;t="#), "{limit}");
    // Without a limit there is nothing to tell.
    assert_eq!(fields(&w, &context, &[("projects", 1)]).await.0, "");
}

#[tokio::test]
async fn nothing_is_told_unless_it_is_asked_for() {
    let w = world(plans(), quotas()).await;
    let context = alice(&w).await;
    for amount in [1, 10] {
        let (policy, limit, _) = fields(&w, &context, &[("requests", amount)]).await;
        assert_eq!((policy.as_str(), limit.as_str()), ("", ""));
    }
}
