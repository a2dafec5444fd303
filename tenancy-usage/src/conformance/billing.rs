//! What each store of billing promises.

mod closing;
mod crediting;
mod reporting;
mod subscribing;

use std::time::Duration;

use futures_util::future::join_all;
use tenancy_core::{ManualClock, TenantId};

pub use closing::{a_period_is_closed_once, credits_pay_when_a_period_is_closed};
pub use crediting::a_grant_is_taken_once;
pub use reporting::a_report_is_sent_until_it_is_answered;
pub use subscribing::{
    a_customer_is_one_tenants, a_webhook_has_one_outcome, updates_come_in_any_order,
};

use super::NOW;
use crate::{
    billing::{BillingStore, BillingStoreError, BillingStoreErrorKind, ThresholdStore},
    threshold::ThresholdKey,
};

/// How many tenants the suite of billing needs.
pub const BILLED_TENANTS: usize = 12;

/// How long the store serves after a failed payment.
pub const GRACE: Duration = Duration::from_secs(7 * 86_400);

/// Runs what a store of billing promises, with tenants of which nothing is kept. The store has [`GRACE`] and this clock, which
/// shows [`NOW`](super::NOW); the suite moves it on by some days.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_core::{ManualClock, TenantId};
/// use tenancy_usage::{billing::MemoryBilling, conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = Arc::new(ManualClock::at(conformance::NOW));
/// let store = MemoryBilling::new().grace(conformance::GRACE).clock(clock.clone());
/// let tenants = [(); conformance::BILLED_TENANTS].map(|()| TenantId::new());
/// conformance::billing(&store, &clock, &tenants).await;
/// # }
/// ```
pub async fn billing(
    store: &dyn BillingStore,
    clock: &ManualClock,
    tenants: &[TenantId; BILLED_TENANTS],
) {
    a_threshold_is_told_once(store, [tenants[0], tenants[1]]).await;
    a_period_is_closed_once(store, [tenants[2], tenants[3]]).await;
    a_grant_is_taken_once(store, [tenants[4], tenants[5]]).await;
    credits_pay_when_a_period_is_closed(store, tenants[6]).await;
    a_customer_is_one_tenants(store, [tenants[7], tenants[8]]).await;
    updates_come_in_any_order(store, clock, tenants[9]).await;
    a_webhook_has_one_outcome(store, tenants[9]).await;
    a_report_is_sent_until_it_is_answered(store, clock, [tenants[10], tenants[11]]).await;
}

/// Whoever asks, however many at once, one of them is told; each part of a key counts; and a bad key keeps all out.
pub async fn a_threshold_is_told_once(store: &dyn ThresholdStore, [acme, globex]: [TenantId; 2]) {
    let key = |tenant, percent| ThresholdKey::new(tenant, "tokens", NOW, percent);
    let (half, all) = (key(acme, 50), key(acme, 100));
    assert_eq!(
        store
            .cross(&[half.clone(), all.clone(), half.clone()])
            .await
            .unwrap(),
        [half.clone(), all.clone()]
    );
    let more = key(acme, 120);
    assert_eq!(
        store.cross(&[all, more.clone(), half]).await.unwrap(),
        [more]
    );
    for other in [
        key(globex, 50),
        ThresholdKey::new(acme, "requests", NOW, 50),
        ThresholdKey::new(acme, "tokens", NOW + Duration::from_secs(1), 50),
        key(acme, 255),
    ] {
        let other = [other];
        assert_eq!(store.cross(&other).await.unwrap(), other);
        assert!(store.cross(&other).await.unwrap().is_empty(), "{other:?}");
    }

    let keys: Vec<_> = (1..=40).map(|percent| key(globex, percent)).collect();
    let backwards: Vec<_> = keys.iter().rev().cloned().collect();
    let all = [&keys, &backwards, &keys, &backwards].map(|keys| store.cross(keys));
    let mut told: Vec<_> = join_all(all)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    told.sort();
    assert_eq!(told, keys);

    let good = key(globex, 60);
    let bad = ThresholdKey::new(globex, "a\0b", NOW, 50);
    refused(
        store.cross(&[good.clone(), bad]).await,
        BillingStoreErrorKind::Refused,
        "the meter",
    );
    assert_eq!(
        store.cross(std::slice::from_ref(&good)).await.unwrap(),
        [good]
    );
}

fn refused<T: std::fmt::Debug>(
    result: Result<T, BillingStoreError>,
    kind: BillingStoreErrorKind,
    says: &str,
) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}
