//! Credits: what is granted once is taken once.

use futures_util::future::join_all;
use rust_decimal::Decimal;
use tenancy_core::{Actor, TenantId};

use super::{super::NOW, refused};
use crate::{
    billing::{BillingStoreErrorKind, CreditStore, GrantOutcome},
    credit::{CreditLedger, Grant, GrantUnit},
    price::Currency,
};

/// A grant counts once, draws at once never take more than there is, a purpose draws once, and ledgers are kept apart.
pub async fn a_grant_is_taken_once(store: &dyn CreditStore, [acme, globex]: [TenantId; 2]) {
    let euro = Currency::new("EUR").unwrap();
    let unit = GrantUnit::Money(euro);
    let grant = Grant::money("welcome", euro, 100, NOW);
    let give =
        async |tenant, grant: &Grant| store.grant(tenant, grant, &Actor::System, "a test").await;
    assert_eq!(give(acme, &grant).await.unwrap(), GrantOutcome::Granted);
    assert_eq!(
        give(acme, &grant).await.unwrap(),
        GrantOutcome::AlreadyGranted
    );
    assert_eq!(give(globex, &grant).await.unwrap(), GrantOutcome::Granted);
    let other = Grant::money("welcome", euro, 101, NOW);
    refused(
        give(acme, &other).await,
        BillingStoreErrorKind::Conflict,
        "another grant",
    );
    let nothing = Grant::money("nothing", euro, 0, NOW);
    refused(
        give(acme, &nothing).await,
        BillingStoreErrorKind::Refused,
        "above 0",
    );
    let unsaid = store.grant(acme, &grant, &Actor::System, " ").await;
    refused(unsaid, BillingStoreErrorKind::Refused, "reason");

    // Eight want 30 of 100, each twice.
    let purposes: Vec<_> = (0..16).map(|n| format!("invoice-{}", n % 8)).collect();
    let draws = purposes
        .iter()
        .map(|purpose| store.draw(acme, &unit, 30.into(), NOW, purpose));
    let draws: Vec<_> = join_all(draws)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let (first, again) = draws.split_at(8);
    assert_eq!(first, again);
    let taken: Decimal = first.iter().flatten().map(|draw| draw.amount).sum();
    assert_eq!(taken, 100.into());

    let ledger = store.ledger(acme).await.unwrap();
    assert_eq!(ledger.balance(&unit, NOW), 0.into());
    assert_eq!(ledger.entries().len(), 9);
    let replayed = CreditLedger::replay(ledger.entries().to_vec());
    assert_eq!(replayed.unwrap(), ledger);
    for (wanted, kind, says) in [
        (31, BillingStoreErrorKind::Conflict, "wanted 30 before"),
        (-1, BillingStoreErrorKind::Refused, "wants -1"),
    ] {
        let draw = store.draw(acme, &unit, wanted.into(), NOW, "invoice-0");
        refused(draw.await, kind, says);
    }
    assert_eq!(store.ledger(acme).await.unwrap(), ledger);
    let of_globex = store.ledger(globex).await.unwrap();
    assert_eq!(of_globex.balance(&unit, NOW), 100.into());
}
