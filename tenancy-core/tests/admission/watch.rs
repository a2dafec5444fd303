//! Watches: what is held for long changes with its tenant, and ends with it.
//!
//! Time is Tokio's, which is paused: it passes when everybody waits.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use serde_json::json;
use tenancy_core::{
    Admitted, Clock, ContextWatch, ManualClock, Membership, Refusal, RefusalKind, RouteNeeds,
    SystemClock, SystemRole, TenantContext, TenantStatus, Timestamp, jwt::JwtAuthenticator,
    testing::FakeRequest, testing::StoreDirectly as _,
};
use tokio::time::{Instant, timeout};

use crate::support::{ISSUER, World, answer, key};

const HOST: &str = "acme.notes.example";
const TICK: Duration = Duration::from_secs(1);

/// Follows Tokio's time.
#[derive(Debug)]
struct RuntimeClock {
    start: (Instant, Timestamp),
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.start.1 + self.start.0.elapsed()
    }
}

async fn world_with(clock: Arc<dyn Clock>) -> World {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .build()
        .unwrap();
    // Longer than any test: `ages.rs` is about what is too old.
    let hour = Duration::from_secs(3600);
    World::with(|builder| {
        let builder = builder.authenticator(tokens).clock(clock);
        builder.max_cache_age(hour)
    })
    .await
}

pub(crate) async fn world() -> World {
    let start = (Instant::now(), SystemClock.now());
    world_with(Arc::new(RuntimeClock { start })).await
}

/// A watch of Alice at Acme that has looked.
async fn alices(w: &World) -> ContextWatch {
    let mut watch = w.admit(&w.alice_at(HOST)).await.unwrap().watch();
    quiet(&mut watch, TICK).await;
    watch
}

/// Lets time pass, in which nothing may happen.
async fn quiet(watch: &mut ContextWatch, span: Duration) {
    if let Ok(change) = timeout(span, watch.changed()).await {
        panic!("nothing should have happened: {change:?}");
    }
}

/// What happens next, and how long that took.
async fn next(watch: &mut ContextWatch) -> (Result<TenantContext, Refusal>, Duration) {
    let began = Instant::now();
    let change = timeout(Duration::from_secs(86_400), watch.changed()).await;
    (change.expect("something happens"), began.elapsed())
}

async fn end(watch: &mut ContextWatch) -> ((u16, &'static str), Duration) {
    let (change, took) = next(watch).await;
    (answer(change), took)
}

/// Makes Alice a viewer in Acme.
async fn demote(w: &World) {
    w.tenancy
        .admin(tenancy_core::testing::service())
        .change_role(w.acme.id, w.alice, SystemRole::Viewer.name())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_suspended_tenants_watch_ends_within_a_tick_and_the_other_tenants_goes_on() {
    let w = world().await;
    let mut acme = alices(&w).await;
    let bob = FakeRequest::new("/")
        .header("host", "globex.notes.example")
        .bearer(&w.token(w.bob, json!({})));
    let mut globex = w.admit(&bob).await.unwrap().watch();
    quiet(&mut globex, TICK).await;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    let (ended, took) = end(&mut acme).await;
    assert_eq!(ended, (403, "tenant-suspended"));
    assert!(took <= TICK, "{took:?}");
    quiet(&mut globex, 100 * TICK).await;
    assert_eq!(globex.context().tenant_id(), w.globex.id);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ended_stays_ended() {
    let w = world().await;
    let mut watch = alices(&w).await;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(watch.ended().await.kind(), RefusalKind::TenantSuspended);
    w.tenancy
        .admin(tenancy_core::testing::service())
        .activate(w.acme.id)
        .await
        .unwrap();
    assert_eq!(end(&mut watch).await.0, (403, "tenant-suspended"));
    assert_eq!(watch.ended().await.reason(), "tenant-suspended");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_membership_ends_the_watch_as_if_there_were_no_tenant() {
    let w = world().await;
    let mut watch = alices(&w).await;
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    admin.remove_membership(w.acme.id, w.alice).await.unwrap();
    assert_eq!(end(&mut watch).await.0, (404, "not-a-member"));
    assert_eq!(w.last_audit().reason.as_deref(), Some("not-a-member"));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_members_watch_ends_within_a_tick_and_the_next_one_goes_on_after_it() {
    let w = world().await;
    let mut watch = alices(&w).await;
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    admin.suspend_member(w.acme.id, w.alice).await.unwrap();
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended, (404, "membership-not-active"));
    assert!(took <= TICK, "{took:?}");
    admin.resume_member(w.acme.id, w.alice).await.unwrap();
    assert_eq!(end(&mut watch).await.0, (404, "membership-not-active"));
    assert_eq!(alices(&w).await.context().tenant_id(), w.acme.id);
}

#[tokio::test(start_paused = true)]
async fn another_role_is_a_renewed_context_and_no_end() {
    let w = world().await;
    let mut watch = alices(&w).await;
    let before = watch.context().clone();
    demote(&w).await;
    let (renewed, took) = next(&mut watch).await;
    let renewed = renewed.unwrap();
    assert!(took <= TICK, "{took:?}");
    assert!(renewed.require("notes:read").is_ok());
    assert_eq!(answer(renewed.require("notes:write")).0, 403);
    assert!(renewed.generation() > before.generation());
    assert_eq!(watch.context().role().unwrap().as_str(), "viewer");
    assert!(before.require("notes:write").is_ok(), "a context stays");
    quiet(&mut watch, 100 * TICK).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_between_admission_and_the_first_look_is_told_at_once() {
    let w = world().await;
    let mut watch = w.admit(&w.alice_at(HOST)).await.unwrap().watch();
    demote(&w).await;
    let renewed = watch.changed().now_or_never().expect("at once").unwrap();
    assert_eq!(renewed.role().unwrap().as_str(), "viewer");
}

#[tokio::test(start_paused = true)]
async fn an_expired_credential_ends_the_watch_at_the_moment_it_expires() {
    let w = world().await;
    let mut watch = alices(&w).await;
    let expiry = watch.context().principal().expires_at.unwrap();
    let left = expiry.since(w.tenancy.clock().now());
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended, (401, "credential-expired"));
    assert!(
        took >= left && took <= left + Duration::from_millis(2),
        "{took:?}, {left:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn while_nothing_changes_the_directory_is_asked_nothing() {
    let w = world().await;
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(alices(&w).await);
    }
    let asked = w.directory.questions();
    let changes = watches.iter_mut().map(|watch| Box::pin(watch.changed()));
    let any = futures_util::future::select_all(changes);
    assert!(timeout(1_000 * TICK, any).await.is_err());
    assert_eq!(w.directory.questions(), asked);
}

#[tokio::test(start_paused = true)]
async fn another_tenants_change_is_none_of_this_one() {
    let w = world().await;
    let mut watch = alices(&w).await;
    for _ in 0..20 {
        let viewer = Membership::new(w.globex.id, w.alice, SystemRole::Viewer.name());
        w.tenancy
            .admin(tenancy_core::testing::service())
            .put_membership(&viewer)
            .await
            .unwrap();
        // As if the two tenants shared a counter.
        w.tenancy.invalidate(w.acme.id);
        quiet(&mut watch, TICK).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_by_another_process_is_noticed_within_the_bound() {
    for _ in 0..10 {
        let w = world().await;
        let mut watch = alices(&w).await;
        let elsewhere = w.directory.directory();
        let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
        elsewhere.put_membership(&viewer).await.unwrap();
        let (renewed, took) = next(&mut watch).await;
        assert_eq!(renewed.unwrap().role().unwrap().as_str(), "viewer");
        assert!(took <= w.tenancy.max_staleness(), "{took:?}");
        elsewhere
            .set_status(w.acme.id, TenantStatus::Suspended)
            .await
            .unwrap();
        let (ended, took) = end(&mut watch).await;
        assert_eq!(ended, (403, "tenant-suspended"));
        assert!(took <= w.tenancy.max_staleness(), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_directory_is_down_a_watch_goes_on_until_the_bound() {
    let w = world().await;
    let mut watch = alices(&w).await;
    w.directory.fail(true);
    quiet(&mut watch, w.tenancy.max_staleness() - 2 * TICK).await;
    w.directory.fail(false);
    quiet(&mut watch, 20 * TICK).await;
    w.directory.fail(true);
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended, (503, "directory-unavailable"));
    let bound = w.tenancy.max_staleness();
    // It was last heard up to a tick ago.
    assert!(took + 2 * TICK >= bound, "{took:?}");
    assert!(took <= bound + Duration::from_millis(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_can_not_be_looked_at_is_looked_at_later() {
    let w = world().await;
    let mut watch = alices(&w).await;
    demote(&w).await;
    w.directory.fail(true);
    quiet(&mut watch, 3 * TICK).await;
    w.directory.fail(false);
    let (renewed, took) = next(&mut watch).await;
    assert_eq!(renewed.unwrap().role().unwrap().as_str(), "viewer");
    assert!(took <= TICK, "{took:?}");

    // The stream may be suspended for all that is known: it goes on no longer than the bound.
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    w.directory.fail(true);
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended, (503, "directory-unavailable"));
    assert!(took <= w.tenancy.max_staleness() + TICK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_hangs_holds_no_stream_open() {
    let w = world().await;
    let mut watch = alices(&w).await;
    w.directory.close();
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended.0, 503);
    let bound = w.tenancy.max_staleness() + Duration::from_secs(5);
    assert!(took <= bound + Duration::from_millis(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_hangs_holds_no_stream_open_past_its_credential() {
    let w = world().await;
    let expiring = json!({ "exp": w.clock.now().as_unix_seconds() - 25 });
    let request = FakeRequest::new("/")
        .header("host", HOST)
        .bearer(&w.token(w.alice, expiring));
    let mut watch = w.admit(&request).await.unwrap().watch();
    quiet(&mut watch, TICK).await;
    let expiry = watch.context().principal().expires_at.unwrap();
    let left = expiry.since(w.tenancy.clock().now());
    assert!(left < w.tenancy.max_staleness());
    w.directory.close();
    w.tenancy.invalidate(w.acme.id);
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended, (401, "credential-expired"));
    assert!(took <= left + Duration::from_millis(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_feed_alone_is_silent_the_store_is_asked_once_per_bound() {
    let w = world().await;
    let mut watch = alices(&w).await;
    w.directory.silence_feed(true);
    let asked = w.directory.questions();
    quiet(&mut watch, 20 * w.tenancy.max_staleness()).await;
    let asked = w.directory.questions() - asked;
    assert!((5 * 18..=5 * 20).contains(&asked), "{asked} look-ups");
    let elsewhere = w.directory.directory();
    elsewhere
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended, (404, "not-a-member"));
    assert!(
        took <= w.tenancy.max_staleness() + Duration::from_millis(2),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_that_is_given_up_loses_nothing() {
    let w = world().await;
    let mut watch = alices(&w).await;
    w.directory.close();
    demote(&w).await;
    let asked = w.directory.questions();
    // Somebody whose other work is always ready: each wait is dropped after one look.
    for _ in 0..50 {
        assert!(watch.changed().now_or_never().is_none());
    }
    assert_eq!(w.directory.questions(), asked + 1, "one look is under way");
    w.directory.open();
    let renewed = loop {
        tokio::task::yield_now().await;
        if let Some(change) = watch.changed().now_or_never() {
            break change.unwrap();
        }
    };
    assert_eq!(renewed.role().unwrap().as_str(), "viewer");
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_does_not_press_a_directory_that_is_down() {
    let w = world().await;
    let mut watch = alices(&w).await;
    w.directory.fail(true);
    w.tenancy.invalidate(w.acme.id);
    let asked = w.directory.questions();
    for _ in 0..50 {
        assert!(watch.changed().now_or_never().is_none());
    }
    assert_eq!(w.directory.questions(), asked + 1);
    w.directory.fail(false);
    quiet(&mut watch, TICK).await;
    assert!(w.directory.questions() > asked + 1, "it looked again");
}

#[tokio::test(start_paused = true)]
async fn a_context_that_was_entered_is_watched_like_any() {
    let w = world().await;
    let entered = w.tenancy.enter(w.acme.id, "nightly export").await.unwrap();
    let mut watch = entered.watch();
    quiet(&mut watch, 100 * TICK).await;
    let asked = w.directory.questions();
    quiet(&mut watch, 100 * TICK).await;
    assert_eq!(w.directory.questions(), asked);
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(end(&mut watch).await.0, (403, "tenant-suspended"));
}

#[tokio::test(start_paused = true)]
async fn a_visitors_watch_tells_no_more_than_a_visitors_request() {
    let w = world().await;
    let visitor = FakeRequest::new("/").header("host", HOST);
    let public = RouteNeeds::tenant().or_anonymous();
    let Admitted::Tenant(context) = w.admit_as(&visitor, public).await.unwrap() else {
        panic!("a tenant");
    };
    let mut watch = context.watch();
    quiet(&mut watch, 10 * TICK).await;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(end(&mut watch).await.0, (404, "tenant-not-served"));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_hide_a_revocation() {
    let clock = Arc::new(ManualClock::now_frozen());
    let w = world_with(clock.clone()).await;
    let mut watch = w
        .tenancy
        .enter(w.acme.id, "an export")
        .await
        .unwrap()
        .watch();
    quiet(&mut watch, TICK).await;
    w.directory
        .directory()
        .set_status(w.acme.id, TenantStatus::Suspended)
        .await
        .unwrap();
    clock.set_back(Duration::from_secs(1800));
    let (ended, took) = end(&mut watch).await;
    assert_eq!(ended, (403, "tenant-suspended"));
    assert!(took <= TICK, "{took:?}");
}

#[test]
fn a_watch_goes_where_its_context_goes() {
    fn is_sent<T: Send + 'static>() {}
    is_sent::<ContextWatch>();
}
