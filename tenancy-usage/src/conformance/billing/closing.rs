//! Periods: each is closed once, with one invoice, for which credits pay.

use std::time::Duration;

use futures_util::future::join_all;
use tenancy_core::{Actor, TenantId, Timestamp, quota::Window};

use super::{super::NOW, refused};
use crate::{
    UsageMeters,
    billing::{BillingStore, BillingStoreErrorKind, CloseOutcome, CreditStore, PeriodStore},
    credit::{Grant, GrantUnit},
    invoice::{BillingPeriod, ClosedPeriod, DraftInvoice, LineKind, PeriodState, Rating},
    price::{Currency, PlanPrices, PriceBook, PriceVersion},
};

const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// The period that began so many months ago.
fn window(ago: u32) -> Window {
    let end = NOW - MONTH * (ago - 1);
    Window::new(end - MONTH, end)
}

fn closed(tenant: TenantId, window: Window) -> ClosedPeriod {
    BillingPeriod::new(tenant, window, Duration::ZERO)
        .close(NOW)
        .unwrap()
}

fn invoice(tenant: TenantId, window: Window, fee: i64) -> DraftInvoice {
    let version = PriceVersion::new("first", Timestamp::EPOCH)
        .plan(PlanPrices::new("pro").flat("base fee", fee));
    let book = PriceBook::builder("EUR")
        .version(version)
        .build(&UsageMeters::default())
        .unwrap();
    Rating::new(&book, tenant, window)
        .plan("pro", [])
        .rate()
        .unwrap()
}

/// The first invoice stands, whoever closes at once; another tenant and another time are others.
pub async fn a_period_is_closed_once(store: &dyn PeriodStore, [acme, globex]: [TenantId; 2]) {
    let period = closed(acme, window(2));
    let (first, other) = (invoice(acme, window(2), 29), invoice(acme, window(2), 31));
    let billing_period = BillingPeriod::new(acme, window(2), Duration::ZERO);
    let state = async || billing_period.state_in(store, NOW).await.unwrap();
    assert_eq!(state().await, PeriodState::Closing);

    let at_once = [&first, &other, &first, &other].map(|it| store.close_period(&period, it));
    let outcomes: Vec<_> = join_all(at_once)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let is_new = |it: &&CloseOutcome| matches!(it, CloseOutcome::Closed(_));
    assert_eq!(outcomes.iter().filter(is_new).count(), 1, "{outcomes:?}");
    let differs = |it: &&CloseOutcome| matches!(it, CloseOutcome::Differs(_));
    assert_eq!(outcomes.iter().filter(differs).count(), 2, "{outcomes:?}");
    let kept = store.closed(acme, window(2).start).await.unwrap().unwrap();
    assert_eq!(kept.closed_at, NOW);
    for outcome in &outcomes {
        assert_eq!(*outcome.invoice(), kept.invoice);
    }
    assert!([&first, &other].contains(&&kept.invoice), "{kept:?}");
    assert_eq!(state().await, PeriodState::Closed);

    // Another tenant's is its own.
    assert_eq!(store.closed(globex, window(2).start).await.unwrap(), None);
    let of_globex = invoice(globex, window(2), 5);
    refused(
        store.close_period(&period, &of_globex).await,
        BillingStoreErrorKind::Refused,
        "not of the period",
    );
    let outcome = store
        .close_period(&closed(globex, window(2)), &of_globex)
        .await;
    assert!(
        matches!(outcome, Ok(CloseOutcome::Closed(_))),
        "{outcome:?}"
    );

    // No time is billed twice, and the next period begins where this one ends.
    let (start, end) = (window(2).start, window(2).end);
    for overlapping in [
        Window::new(start, end + MONTH / 3),
        Window::new(start + MONTH / 3, end),
        Window::new(start - MONTH / 3, start + MONTH / 3),
    ] {
        let draft = invoice(acme, overlapping, 1);
        let period = BillingPeriod::new(acme, overlapping, Duration::ZERO);
        let period = period.close(NOW + MONTH).unwrap();
        refused(
            store.close_period(&period, &draft).await,
            BillingStoreErrorKind::Conflict,
            "time in common",
        );
    }
    for ago in [1, 3] {
        let draft = invoice(acme, window(ago), 29);
        let outcome = store.close_period(&closed(acme, window(ago)), &draft).await;
        assert!(
            matches!(outcome, Ok(CloseOutcome::Closed(_))),
            "{outcome:?}"
        );
    }
    let list = async |after, most| {
        let listed = store.list_closed(acme, after, most).await.unwrap();
        let starts = listed.iter().map(|it| it.invoice.period.start);
        starts.collect::<Vec<_>>()
    };
    let starts = [3, 2, 1].map(|ago| window(ago).start);
    assert_eq!(list(None, 10).await, starts);
    assert_eq!(list(Some(starts[0]), 1).await, [starts[1]]);
    assert_eq!(list(Some(starts[2]), 10).await, []);
}

/// Credits pay for the invoice that stands, once, and for no invoice that does not.
pub async fn credits_pay_when_a_period_is_closed(store: &dyn BillingStore, tenant: TenantId) {
    let euro = Currency::new("EUR").unwrap();
    let (unit, start) = (GrantUnit::Money(euro), window(3).start);
    let grant = Grant::money("welcome", euro, 40, start);
    store
        .grant(tenant, &grant, &Actor::System, "a test")
        .await
        .unwrap();
    let balance = async || {
        let ledger = CreditStore::ledger(store, tenant).await.unwrap();
        ledger.balance(&unit, NOW)
    };
    let (first, other) = (
        invoice(tenant, window(2), 29),
        invoice(tenant, window(2), 31),
    );
    let period = closed(tenant, window(2));
    let outcome = store.close_period(&period, &first).await.unwrap();
    assert_eq!(outcome.invoice().total(), 0.into());
    assert_eq!(outcome.invoice().subtotal(), 29.into());
    assert_eq!(balance().await, 11.into());
    for (again, is_same) in [(&first, true), (&other, false)] {
        let outcome = store.close_period(&period, again).await.unwrap();
        let is_same_now = matches!(outcome, CloseOutcome::AlreadyClosed(_));
        assert_eq!(is_same_now, is_same, "{outcome:?}");
    }
    assert_eq!(balance().await, 11.into());
    // As it was kept, it can be given again.
    let kept = store
        .closed(tenant, window(2).start)
        .await
        .unwrap()
        .unwrap();
    let outcome = store.close_period(&period, &kept.invoice).await.unwrap();
    assert_eq!(outcome, CloseOutcome::AlreadyClosed(kept));

    let next = invoice(tenant, window(1), 29);
    let outcome = store
        .close_period(&closed(tenant, window(1)), &next)
        .await
        .unwrap();
    assert_eq!(outcome.invoice().total(), 18.into());
    let lines = outcome.invoice().lines.iter();
    assert_eq!(lines.filter(|it| it.kind == LineKind::Credit).count(), 1);
    assert_eq!(balance().await, 0.into());
}
