//! Limits of single tenants: given, replaced, taken back, and whose they are.

use std::time::Duration;

use super::new_tenant;
use crate::{
    Directory, DirectoryStore, StoreErrorKind, TenantId, TenantKey, Timestamp,
    quota::{Limit, LimitOverride, LimitOverrideStore, Overage, Period, Scope},
    testing::unattributed,
};

/// Runs all that concerns limits of single tenants.
pub async fn limit_overrides<D: Directory + DirectoryStore + LimitOverrideStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let put = async |tenant, with: &LimitOverride| {
        let put = directory
            .put_limit_override(tenant, with, &unattributed())
            .await;
        put.map_err(|error| error.kind())
    };
    let find = async |tenant| directory.find_limit_overrides(tenant).await.unwrap();
    let generation = async |tenant: TenantId| {
        let found = directory.find_tenant(&TenantKey::Id(tenant)).await.unwrap();
        found.unwrap().generation
    };
    let until = Timestamp::from_unix_micros(1_900_000_000_123_456);
    let mut all: Vec<_> = overrides().into_iter().map(LimitOverride::new).collect();
    all.sort_by_key(LimitOverride::limit_name);
    for with in &all {
        let before = generation(one.id).await;
        assert_eq!(put(one.id, with).await, Ok(()), "{with:?}");
        assert!(
            generation(one.id).await > before,
            "other processes hear of it"
        );
    }
    assert_eq!(find(one.id).await, all, "each as it was given");
    assert_eq!(find(other.id).await, []);
    assert_eq!(find(TenantId::new()).await, []);

    let replaced = all[0].clone().until(until);
    assert_eq!(put(one.id, &replaced).await, Ok(()));
    assert_eq!(find(one.id).await.len(), all.len());
    assert_eq!(find(one.id).await[0], replaced);
    let remove = async |tenant, limit: &str| {
        let removed = directory
            .remove_limit_override(tenant, limit, &unattributed())
            .await;
        removed.map_err(|error| error.kind())
    };
    let name = replaced.limit_name();
    assert_eq!(remove(other.id, &name).await, Ok(()), "nothing of its own");
    let before = generation(one.id).await;
    for _ in 0..2 {
        assert_eq!(remove(one.id, &name).await, Ok(()));
    }
    assert!(generation(one.id).await > before);
    assert_eq!(find(one.id).await, all[1..]);
    let nobody = TenantId::new();
    assert_eq!(put(nobody, &replaced).await, Err(StoreErrorKind::NotFound));
    assert_eq!(remove(nobody, &name).await, Err(StoreErrorKind::NotFound));
}

/// A limit of each shape, with each option, as stores are given them: each has its name.
fn overrides() -> Vec<Limit> {
    let minute = Duration::from_secs(60);
    let limits = [
        Limit::rate("requests", 600, minute)
            .burst(50)
            .scope(Scope::Key),
        Limit::rate("requests", 1, Duration::from_millis(1_500)),
        Limit::per_period("exports", 5, Period::Hour).overage(Overage::Allowed),
        Limit::per_period("exports", 6, Period::Day).overage(Overage::AllowedUpTo(7)),
        Limit::per_period("exports", 8, Period::Month).warn_at([80, 100]),
        Limit::per_period("exports", 9, Period::Year).scope(Scope::Caller),
        Limit::concurrent("jobs", 3)
            .expires_after(minute)
            .scope(Scope::Project),
        Limit::held("projects", 4)
            .expires_after(2 * minute)
            .warn_at([1, 255]),
        Limit::unlimited("seats"),
        Limit::not_included("mails"),
    ];
    let named = limits.into_iter().map(|limit| {
        let name = limit.name();
        limit.named(name)
    });
    named.collect()
}
