//! What is held for long with a key ends with the key.

use std::{sync::Arc, time::Duration};

use tenancy_core::{Clock, SystemClock, Timestamp};
use tokio::time::{Instant, timeout};

use super::{alices, ip, issue, with, world, world_at};
use crate::support::answer;

/// Follows Tokio's time.
#[derive(Debug)]
struct RuntimeClock(Instant, Timestamp);

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.1 + self.0.elapsed()
    }
}

fn runtime_clock() -> Arc<dyn Clock> {
    Arc::new(RuntimeClock(Instant::now(), SystemClock.now()))
}

#[tokio::test(start_paused = true)]
async fn a_stream_opened_with_a_key_ends_when_the_key_is_revoked() {
    let w = world_at(runtime_clock()).await;
    let (key, other) = (issue(&w, alices(&w)).await, issue(&w, alices(&w)).await);
    let mut watch = w.admit(&with(&key)).await.unwrap().watch();
    let mut others = w.admit(&with(&other)).await.unwrap().watch();
    let second = Duration::from_secs(1);
    assert!(timeout(second, watch.changed()).await.is_err());
    w.tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service())
        .revoke(w.acme.id, key.record().id)
        .await
        .unwrap();
    let ended = timeout(2 * second, watch.ended()).await.unwrap();
    assert_eq!(
        (ended.kind().status(), ended.reason()),
        (401, "key-revoked")
    );
    let change = timeout(20 * second, others.changed()).await;
    // Its tenant's generation is another; it goes on.
    assert!(change.is_err() || change.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_opened_with_a_key_ends_at_the_end_of_its_overlap() {
    let w = world_at(runtime_clock()).await;
    let key = issue(&w, alices(&w)).await;
    let mut watch = w.admit(&with(&key)).await.unwrap().watch();
    let overlap = Duration::from_secs(100);
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let _new = keys
        .rotate(w.acme.id, key.record().id, overlap)
        .await
        .unwrap();
    let began = Instant::now();
    let ended = timeout(2 * overlap, watch.ended()).await.unwrap();
    assert_eq!(ended.reason(), "key-rotated");
    assert!(
        began.elapsed() <= overlap + Duration::from_millis(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn revalidating_looks_at_the_key_and_the_address_again() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let context = w.admit(&with(&key).peer(ip("198.51.100.1"))).await.unwrap();
    assert!(w.tenancy.revalidate(&context).await.is_ok());
    let (tenant, id) = (w.acme.id, key.record().id);
    keys.set_scopes(tenant, id, ["notes:read".parse().unwrap()])
        .await
        .unwrap();
    let narrowed = w.tenancy.revalidate(&context).await.unwrap();
    assert!(narrowed.require("notes:write").is_err());
    keys.set_networks(tenant, id, ["192.0.2.0/24".parse().unwrap()])
        .await
        .unwrap();
    let refused = w.tenancy.revalidate(&context).await;
    assert_eq!(answer(refused), (401, "key-network"));
    keys.set_networks(tenant, id, []).await.unwrap();
    assert!(w.tenancy.revalidate(&context).await.is_ok());
    keys.disable(tenant, id).await.unwrap();
    assert_eq!(
        answer(w.tenancy.revalidate(&context).await),
        (401, "key-disabled")
    );
    w.clock.advance(Duration::from_secs(1));
}
