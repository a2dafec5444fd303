//! What nobody tells of: a change that the feed does not know, held against the age of what is
//! cached. The clock is moved by hand.

use std::{sync::Arc, time::Duration};

use tenancy_core::{
    Clock, ContextWatch, Membership, Project, ProjectId, RevokedBefore, RoleDefinition,
    SystemClock, SystemRole, Tenancy, TenantRecord, TenantStatus, Timestamp, TokenSubject,
    jwt::JwtAuthenticator, testing::FakeRequest, testing::KeyStoreDirectly as _,
    testing::StoreDirectly as _,
};
use tokio::time::{Instant, timeout};

use crate::{
    keys,
    support::{ISSUER, World, answer, key},
};

const HOST: &str = "acme.notes.example";
const SECOND: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_secs(60);

/// A request a second, and the poll that each spawns, for so long.
async fn traffic(w: &World, request: &FakeRequest, span: Duration) {
    let end = w.clock.now() + span;
    while w.clock.now() < end {
        w.admit(request).await.unwrap();
        w.clock.advance(SECOND);
        let _ = w.tenancy.admit(request, tenancy_core::RouteNeeds::tenant());
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

/// A world in which the request has been admitted and remembered, and news is hidden from then on.
async fn warm(request: impl AsyncFn(&World) -> FakeRequest) -> (World, FakeRequest) {
    let w = World::new().await;
    let request = request(&w).await;
    for _ in 0..3 {
        w.admit(&request).await.unwrap();
    }
    w.directory.hide_news(true);
    (w, request)
}

/// Alice's request is admitted for as long as the bound allows, and then as `after` says.
async fn holds_at_the_bound(
    request: impl AsyncFn(&World) -> FakeRequest,
    change: impl AsyncFn(&World),
    after: (u16, &'static str),
) {
    let (w, request) = warm(request).await;
    let asked = w.directory.questions();
    change(&w).await;
    traffic(&w, &request, BOUND - SECOND).await;
    assert_eq!(w.directory.questions(), asked, "it was not warm");
    w.clock.advance(SECOND);
    assert_eq!(w.refused(&request).await, after);
}

async fn plain(w: &World) -> FakeRequest {
    w.alice_at(HOST)
}

#[tokio::test]
async fn a_membership_that_ended_untold_counts_until_the_bound() {
    let change = async |w: &World| {
        let (acme, alice) = (w.acme.id, w.alice);
        let elsewhere = w.directory.directory();
        elsewhere.remove_membership(acme, alice).await.unwrap();
    };
    holds_at_the_bound(plain, change, (404, "not-a-member")).await;
}

#[tokio::test]
async fn a_tenant_that_was_suspended_untold_is_served_until_the_bound() {
    let change = async |w: &World| {
        let to = TenantStatus::Suspended;
        let elsewhere = w.directory.directory();
        elsewhere.set_status(w.acme.id, to).await.unwrap();
    };
    holds_at_the_bound(plain, change, (403, "tenant-suspended")).await;
}

#[tokio::test]
async fn a_project_that_was_archived_untold_is_open_until_the_bound() {
    let project = |w: &World| {
        let mut project = Project::new(w.acme.id, "apollo".parse().unwrap(), "Apollo");
        project.id = ProjectId::from_uuid(w.acme.id.as_uuid());
        project
    };
    let request = async |w: &World| {
        let elsewhere = w.directory.directory();
        elsewhere.put_project(&project(w)).await.unwrap();
        w.alice_at(HOST)
            .header("x-project-id", project(w).id.to_string())
    };
    let change = async |w: &World| {
        let mut archived = project(w);
        archived.archived = true;
        let elsewhere = w.directory.directory();
        elsewhere.put_project(&archived).await.unwrap();
    };
    holds_at_the_bound(request, change, (404, "project-unknown")).await;
}

#[tokio::test]
async fn a_role_that_lost_a_permission_untold_keeps_it_until_the_bound() {
    let writer = || RoleDefinition::new("writer".parse().unwrap());
    let request = async |w: &World| {
        let elsewhere = w.directory.directory();
        let role = writer().allow("notes:write");
        elsewhere.put_role(w.acme.id, &role).await.unwrap();
        let member = Membership::new(w.acme.id, w.alice, role.name);
        elsewhere.put_membership(&member).await.unwrap();
        w.alice_at(HOST)
    };
    let (w, request) = warm(request).await;
    let elsewhere = w.directory.directory();
    elsewhere.put_role(w.acme.id, &writer()).await.unwrap();
    traffic(&w, &request, BOUND - SECOND).await;
    let context = w.admit(&request).await.unwrap();
    assert!(context.require("notes:write").is_ok());
    w.clock.advance(SECOND);
    let context = w.admit(&request).await.unwrap();
    assert_eq!(
        answer(context.require("notes:write")),
        (403, "permission-not-held")
    );
}

#[tokio::test]
async fn a_key_that_was_revoked_untold_counts_until_the_bound() {
    let w = keys::world().await;
    let key = keys::issue(&w, keys::alices(&w)).await;
    let request = keys::with(&key);
    for _ in 0..3 {
        w.admit(&request).await.unwrap();
    }
    w.directory.hide_news(true);
    let elsewhere = w.directory.directory();
    let now = w.clock.now();
    elsewhere.revoke_creator_keys(w.alice, now).await.unwrap();
    traffic(&w, &request, BOUND - SECOND).await;
    w.clock.advance(SECOND);
    assert_eq!(w.refused(&request).await, (401, "key-revoked"));
}

#[tokio::test]
async fn there_is_none_is_believed_until_the_bound_however_long_it_was_to_be() {
    let w = with(|builder| builder.negative_ttl(100 * BOUND)).await;
    let request = w.alice_at("initech.notes.example");
    assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
    assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
    w.directory.hide_news(true);
    let initech = TenantRecord::new("initech".parse().unwrap(), "Initech");
    let initech = initech.with_status(TenantStatus::Active);
    let elsewhere = w.directory.directory();
    elsewhere.create_tenant(&initech).await.unwrap();
    let member = Membership::new(initech.id, w.alice, SystemRole::Owner.name());
    elsewhere.put_membership(&member).await.unwrap();
    for _ in 1..60 {
        w.clock.advance(SECOND);
        assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
    }
    w.clock.advance(SECOND);
    let context = w.admit(&request).await.unwrap();
    assert_eq!(context.tenant_id(), initech.id);
}

#[tokio::test]
async fn tokens_that_were_taken_back_untold_count_until_the_bound() {
    let (w, request) = warm(plain).await;
    let of = TokenSubject::User(w.alice);
    let revoked_before = RevokedBefore::from_timestamp(w.clock.now() + SECOND);
    let elsewhere = w.directory.directory();
    elsewhere.revoke_before(&of, revoked_before).await.unwrap();
    // The first poll tells every token revocation, and is not old yet.
    w.clock.advance(SECOND);
    w.admit(&request).await.unwrap();
    let refused = async {
        for second in 1..60 {
            w.clock.advance(SECOND);
            let _ = w.tenancy.catch_up().await;
            if w.admit(&request).await.is_err() {
                return second;
            }
        }
        60
    };
    assert!(refused.await < 60, "never read again");
    assert_eq!(w.refused(&request).await, (401, "token-revoked"));
}

/// Without a poll that somebody waits for: the one that a request spawns reads them in good time.
#[tokio::test]
async fn token_revocations_are_read_again_before_anybody_has_to_wait_for_it() {
    let (w, request) = warm(plain).await;
    let read = w.directory.whole_pages();
    traffic(&w, &request, 3 * BOUND).await;
    let read = w.directory.whole_pages() - read;
    assert!((5..=6).contains(&read), "{read} times in three bounds");
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_make_what_is_cached_young_again() {
    for (after, back) in [(58, 57), (50, 20), (10, 3), (2, 1), (50, 70)] {
        let (w, request) = warm(plain).await;
        let elsewhere = w.directory.directory();
        elsewhere
            .remove_membership(w.acme.id, w.alice)
            .await
            .unwrap();
        traffic(&w, &request, Duration::from_secs(after)).await;
        w.clock.set_back(Duration::from_secs(back));
        assert_eq!(
            w.refused(&request).await,
            (404, "not-a-member"),
            "after {after} s, {back} s back"
        );
    }
}

#[tokio::test]
async fn a_context_that_is_held_is_decided_about_again_at_the_bound() {
    let (w, request) = warm(plain).await;
    let context = w.admit(&request).await.unwrap();
    // Reads the tenant by its id.
    let context = w.tenancy.revalidate(&context).await.unwrap();
    let elsewhere = w.directory.directory();
    elsewhere
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    traffic(&w, &request, BOUND - SECOND).await;
    // From what is cached, which is nearly too old.
    let renewed = w.tenancy.revalidate(&context).await.unwrap();
    w.clock.advance(SECOND);
    assert_eq!(
        answer(w.tenancy.revalidate(&renewed).await),
        (404, "not-a-member")
    );
}

/// Follows Tokio's time, which is paused.
#[derive(Debug)]
struct RuntimeClock(Instant, Timestamp);

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.1 + self.0.elapsed()
    }
}

/// Alice's stream, which nothing has ended yet, in a world that follows Tokio's time; and when it began.
async fn streaming() -> (World, Instant, ContextWatch) {
    let clock = Arc::new(RuntimeClock(Instant::now(), SystemClock.now()));
    let w = with(|builder| builder.clock(clock)).await;
    let request = w.alice_at(HOST);
    w.admit(&request).await.unwrap();
    let began = Instant::now();
    let mut watch = w.admit(&request).await.unwrap().watch();
    assert!(timeout(SECOND, watch.changed()).await.is_err());
    (w, began, watch)
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_within_a_tick_of_the_bound() {
    let (w, began, mut watch) = streaming().await;
    w.directory.hide_news(true);
    let elsewhere = w.directory.directory();
    elsewhere
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    let ended = watch.ended().await;
    assert_eq!(ended.reason(), "not-a-member");
    let took = began.elapsed();
    assert!(took >= BOUND - SECOND && took <= BOUND + SECOND, "{took:?}");
}

/// A stream whose directory answers the feed and nothing else does not outlive both bounds.
#[tokio::test(start_paused = true)]
async fn a_stream_that_can_not_be_decided_about_again_ends() {
    let (w, began, mut watch) = streaming().await;
    w.directory.fail_questions(true);
    let ended = watch.ended().await;
    assert_eq!(ended.reason(), "directory-unavailable");
    let took = began.elapsed();
    let bounds = BOUND + w.tenancy.max_staleness();
    assert!(
        took >= BOUND - SECOND && took <= bounds + SECOND,
        "{took:?}"
    );
}

#[tokio::test]
async fn another_database_in_the_place_of_the_first_drops_what_is_cached() {
    let (w, request) = warm(plain).await;
    let elsewhere = w.directory.directory();
    elsewhere
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    let of = TokenSubject::User(w.bob);
    let revoked_before = RevokedBefore::from_timestamp(w.clock.now() + 60 * SECOND);
    elsewhere.revoke_before(&of, revoked_before).await.unwrap();
    w.tenancy.catch_up().await.unwrap();
    w.admit(&request).await.unwrap();
    w.directory.move_to("another");
    w.tenancy.catch_up().await.unwrap();
    assert_eq!(w.refused(&request).await, (404, "not-a-member"));
    let bob = FakeRequest::new("/")
        .header("host", "globex.notes.example")
        .bearer(&w.token(w.bob, serde_json::json!({})));
    assert_eq!(w.refused(&bob).await, (401, "token-revoked"));
    // And once only: what is asked for from then on is kept.
    let bystander = w.alice_at("globex.notes.example");
    w.refused(&bystander).await;
    let asked = w.directory.questions();
    w.tenancy.catch_up().await.unwrap();
    w.refused(&bystander).await;
    assert_eq!(w.directory.questions(), asked);
}

#[test]
fn a_bound_that_can_not_be_held_is_refused_and_a_long_staleness_has_one_that_can() {
    let built = |staleness: Option<Duration>, age: Option<Duration>| {
        let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
        let mut builder = Tenancy::builder(tenancy_core::MemoryDirectory::new())
            .authenticator(tokens.build().unwrap());
        if let Some(staleness) = staleness {
            builder = builder.max_staleness(staleness);
        }
        if let Some(age) = age {
            builder = builder.max_cache_age(age);
        }
        builder.build()
    };
    assert_eq!(built(None, None).unwrap().max_cache_age(), BOUND);
    let long = Some(10 * BOUND);
    assert_eq!(built(long, None).unwrap().max_cache_age(), 20 * BOUND);
    assert!(built(None, Some(Duration::MAX)).is_ok());
    assert!(built(Some(Duration::MAX), None).is_ok());
    for (staleness, age) in [(None, Duration::ZERO), (None, 9 * SECOND), (long, BOUND)] {
        let message = built(staleness, Some(age)).unwrap_err().to_string();
        assert!(message.contains("`max_cache_age`"), "{message}");
    }
}

async fn with(
    options: impl FnOnce(tenancy_core::TenancyBuilder) -> tenancy_core::TenancyBuilder,
) -> World {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
    let tokens = tokens.build().unwrap();
    World::with(|builder| options(builder.authenticator(tokens))).await
}
