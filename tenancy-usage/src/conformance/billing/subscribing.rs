//! Subscriptions: the newest version holds, of the customer of one tenant.

use std::time::Duration;

use futures_util::future::join_all;
use tenancy_core::{Clock as _, ManualClock, TenantId, Timestamp};

use super::{super::NOW, GRACE, refused};
use crate::{
    billing::{
        BillingStoreErrorKind, BindOutcome, CustomerId, SubscriptionStore, UpdateOutcome,
        WebhookErrorKind, WebhookOutcome, WebhookSecret, receive,
    },
    subscription::{ObjectVersion, SubscriptionState, SubscriptionStatus, SubscriptionUpdate},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Ids of a suite that may run twice on one store: they end with the tenant.
fn id(of: &str, tenant: TenantId) -> String {
    format!("{of}_{tenant}")
}

fn update(
    tenant: TenantId,
    subscription: &str,
    at: Timestamp,
    status: SubscriptionStatus,
) -> SubscriptionUpdate {
    SubscriptionUpdate::new(
        id(subscription, tenant),
        id("cus", tenant),
        ObjectVersion::at(at),
        status,
    )
}

/// A customer is bound once, to one tenant at each billing system, and its subscriptions are that tenant's.
pub async fn a_customer_is_one_tenants(
    store: &dyn SubscriptionStore,
    [acme, globex]: [TenantId; 2],
) {
    let customer = CustomerId::new(id("cus", acme));
    let bind = async |tenant, provider: &str, customer: &CustomerId| {
        store
            .bind_customer(tenant, provider, customer)
            .await
            .unwrap()
    };
    let active = update(acme, "sub", NOW, SubscriptionStatus::Active).plan("pro");
    let unknown = store.apply("stripe", &active).await.unwrap();
    assert_eq!(unknown, UpdateOutcome::UnknownCustomer);
    assert_eq!(store.tenant_of("stripe", &customer).await.unwrap(), None);

    assert_eq!(bind(acme, "stripe", &customer).await, BindOutcome::Bound);
    assert_eq!(
        bind(acme, "stripe", &customer).await,
        BindOutcome::AlreadyBound
    );
    assert_eq!(
        bind(globex, "stripe", &customer).await,
        BindOutcome::OfAnotherTenant
    );
    assert_eq!(
        store.tenant_of("stripe", &customer).await.unwrap(),
        Some(acme)
    );
    assert_eq!(store.customer_of(globex, "stripe").await.unwrap(), None);
    // At another billing system, the same id is another customer.
    assert_eq!(bind(globex, "file", &customer).await, BindOutcome::Bound);
    assert_eq!(
        store.tenant_of("file", &customer).await.unwrap(),
        Some(globex)
    );
    let newer = CustomerId::new(id("cus2", acme));
    assert_eq!(bind(acme, "stripe", &newer).await, BindOutcome::Bound);
    assert_eq!(
        bind(acme, "stripe", &customer).await,
        BindOutcome::AlreadyBound
    );
    assert_eq!(
        store.customer_of(acme, "stripe").await.unwrap(),
        Some(newer)
    );

    assert_eq!(
        store.apply("stripe", &active).await.unwrap(),
        UpdateOutcome::Applied
    );
    let stored = store.subscriptions(acme).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(*stored[0].provider, *"stripe");
    assert_eq!(*stored[0].subscription.newest(), active);
    assert!(store.subscriptions(globex).await.unwrap().is_empty());

    // Another tenant's customer does not take a subscription over.
    bind(globex, "stripe", &CustomerId::new(id("cus", globex))).await;
    let taken_over = SubscriptionUpdate {
        customer: id("cus", globex).into(),
        ..update(acme, "sub", NOW + DAY, SubscriptionStatus::Cancelled)
    };
    assert_eq!(
        store.apply("stripe", &taken_over).await.unwrap(),
        UpdateOutcome::OfAnotherTenant
    );
    assert_eq!(store.subscriptions(acme).await.unwrap(), stored);
    assert!(store.subscriptions(globex).await.unwrap().is_empty());

    let bad = store
        .bind_customer(acme, "stripe", &CustomerId::new(""))
        .await;
    refused(
        bad,
        BillingStoreErrorKind::Refused,
        "a customer has 0 bytes",
    );
}

/// Updates in any order and any number lead to one state, and what the time changes is noted once.
pub async fn updates_come_in_any_order(
    store: &dyn SubscriptionStore,
    clock: &ManualClock,
    tenant: TenantId,
) {
    let customer = CustomerId::new(id("cus", tenant));
    store
        .bind_customer(tenant, "stripe", &customer)
        .await
        .unwrap();
    // What was kept before of others is noted first.
    store.note_changes(1_000).await.unwrap();
    let start = clock.now();
    let of = |days: u32, status| update(tenant, "sub", start - DAY * 10 + DAY * days, status);
    let due = [2, 4, 3].map(|days| of(days, SubscriptionStatus::PastDue));
    let paid = of(1, SubscriptionStatus::Active);
    for (update, outcome) in [
        (&due[1], UpdateOutcome::Applied),
        (&due[0], UpdateOutcome::Outdated),
        (&due[1], UpdateOutcome::Replayed),
        (&paid, UpdateOutcome::Outdated),
        (
            &of(0, SubscriptionStatus::Cancelled),
            UpdateOutcome::Outdated,
        ),
        (&due[2], UpdateOutcome::Outdated),
        (&due[0], UpdateOutcome::Replayed),
    ] {
        let told = store.apply("stripe", update).await.unwrap();
        assert_eq!(told, outcome, "{update:?}");
    }
    let state = async || {
        let stored = store.subscriptions(tenant).await.unwrap();
        stored[0].subscription.state(clock.now())
    };
    // Since the first failure, 8 days ago.
    assert_eq!(state().await, SubscriptionState::SuspendedForBilling);
    assert_eq!(store.note_changes(1_000).await.unwrap(), 0);

    let all = (0..12).map(|n| {
        of(
            5,
            [SubscriptionStatus::Active, SubscriptionStatus::Unpaid][n % 2],
        )
    });
    let all: Vec<_> = all.collect();
    let at_once = join_all(all.iter().map(|update| store.apply("stripe", update))).await;
    let outcomes = at_once.into_iter().map(Result::unwrap);
    let applied = outcomes.filter(|it| *it == UpdateOutcome::Applied).count();
    assert!((1..=2).contains(&applied), "{applied}");
    // Who has paid is served, in whichever order both came.
    assert_eq!(state().await, SubscriptionState::Active);

    // Another subscription, on trial: it counts, and ends by the time.
    let until = start + DAY;
    let trial = update(
        tenant,
        "sub2",
        start,
        SubscriptionStatus::Trialing { until },
    );
    store.apply("stripe", &trial).await.unwrap();
    for (passed, state_then, noted) in [
        (Duration::ZERO, SubscriptionState::Trial, 0),
        (DAY, SubscriptionState::PastDue, 1),
        (GRACE, SubscriptionState::SuspendedForBilling, 1),
    ] {
        clock.advance(passed);
        assert_eq!(state().await, state_then);
        assert_eq!(store.note_changes(1_000).await.unwrap(), noted);
        assert_eq!(store.note_changes(1_000).await.unwrap(), 0);
    }
    assert_eq!(store.subscriptions(tenant).await.unwrap().len(), 2);
}

/// One call takes a webhook, and each has one outcome.
pub async fn a_webhook_has_one_outcome(store: &dyn SubscriptionStore, tenant: TenantId) {
    let secret = WebhookSecret::new("whsec_0123456789abcdef0123456789abcdef").unwrap();
    let customer = CustomerId::new(id("hook", tenant));
    store
        .bind_customer(tenant, "stripe", &customer)
        .await
        .unwrap();
    let body = |kind: &str, customer: &str, created: i64, status: &str| {
        format!(
            r#"{{"id":"evt","type":"{kind}","created":{created},"data":{{"object":
                {{"id":"{}","customer":"{customer}","status":"{status}"}}}}}}"#,
            id("hook", tenant)
        )
    };
    let changed = "customer.subscription.updated";
    let created = NOW.as_unix_seconds();
    let newest = body(changed, customer.as_str(), created, "active");
    for (body, outcome) in [
        (
            body(changed, &id("nobody", tenant), created, "active"),
            WebhookOutcome::UnknownCustomer,
        ),
        (newest.clone(), WebhookOutcome::Applied),
        (newest.clone(), WebhookOutcome::Replayed),
        (
            body(changed, customer.as_str(), created - 1, "canceled"),
            WebhookOutcome::Outdated,
        ),
        (
            body("invoice.paid", customer.as_str(), created, "paid"),
            WebhookOutcome::Unrelated,
        ),
    ] {
        let header = secret.sign(body.as_bytes(), NOW);
        let told = receive(store, "stripe", &secret, &header, body.as_bytes(), NOW).await;
        assert_eq!(told.unwrap(), outcome, "{body}");
    }
    let cancelled = body(changed, customer.as_str(), created + 1, "canceled");
    let header = secret.sign(cancelled.as_bytes(), NOW);
    let unknown = body(changed, customer.as_str(), created + 1, "frozen");
    for (header, body, now, kind) in [
        (&*header, &newest, NOW, WebhookErrorKind::WrongSignature),
        ("", &cancelled, NOW, WebhookErrorKind::Malformed),
        (&*header, &cancelled, NOW + DAY, WebhookErrorKind::OutOfTime),
        (
            &*secret.sign(unknown.as_bytes(), NOW),
            &unknown,
            NOW,
            WebhookErrorKind::Unreadable,
        ),
    ] {
        let told = receive(store, "stripe", &secret, header, body.as_bytes(), now).await;
        match told.unwrap() {
            WebhookOutcome::Refused(error) => assert_eq!(error.kind(), kind),
            told => panic!("{told:?}"),
        }
    }
    let stored = store.subscriptions(tenant).await.unwrap();
    let of_hook = stored
        .iter()
        .find(|it| *it.subscription.newest().customer == *customer.as_str());
    let state = of_hook.unwrap().subscription.state(NOW);
    assert_eq!(state, SubscriptionState::Active);
}
