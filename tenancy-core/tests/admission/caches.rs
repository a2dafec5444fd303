//! Caches: the warm path asks nobody, and nothing that was revoked is believed for longer than the
//! bound.

use std::time::Duration;

use tenancy_core::{
    Admission, Membership, RefusalKind, RouteNeeds, SystemRole, Tenancy, TenantRecord,
    TenantStatus, testing::FakeRequest, testing::StoreDirectly as _,
};

use crate::support::{World, answer};

const HOST: &str = "acme.notes.example";

/// Lets the poll that a request has spawned run.
async fn let_the_poll_run() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_second_request_is_decided_at_once_and_asks_nobody() {
    let w = World::new().await;
    w.admit(&w.alice_at(HOST)).await.unwrap();
    let asked = w.directory.questions();
    let again = w.tenancy.admit(&w.alice_at(HOST), RouteNeeds::tenant());
    assert!(matches!(again, Admission::Ready(Ok(_))));
    assert_eq!(w.directory.questions(), asked);
}

#[tokio::test]
async fn many_first_requests_ask_once() {
    let w = World::new().await;
    let requests: Vec<_> = (0..100).map(|_| w.alice_at(HOST)).collect();
    let admitted = futures_util::future::join_all(requests.iter().map(|r| w.admit(r))).await;
    assert!(admitted.iter().all(Result::is_ok));
    // The tenant, the membership, the roles: once each.
    assert_eq!(w.directory.questions(), 3);
}

#[tokio::test]
async fn an_admission_that_has_been_remembered_is_forgotten_with_what_it_rests_on() {
    let w = World::new().await;
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    let domain = "notes.acme.test".parse().unwrap();
    admin.bind_domain(w.acme.id, &domain).await.unwrap();
    let request = w.alice_at("notes.acme.test");
    let warm = async || {
        for _ in 0..4 {
            assert_eq!(w.admit(&request).await.unwrap().tenant_id(), w.acme.id);
        }
        let asked = w.directory.questions();
        assert!(w.admit(&request).await.is_ok());
        assert_eq!(w.directory.questions(), asked);
    };
    warm().await;
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    admin.put_membership(&viewer).await.unwrap();
    let context = w.admit(&request).await.unwrap();
    assert_eq!(context.role().unwrap().as_str(), "viewer");
    warm().await;
    admin.suspend(w.acme.id).await.unwrap();
    assert_eq!(w.refused(&request).await, (403, "tenant-suspended"));
    admin.activate(w.acme.id).await.unwrap();
    warm().await;
    admin.remove_membership(w.acme.id, w.alice).await.unwrap();
    assert_eq!(w.refused(&request).await, (404, "not-a-member"));
    admin.put_membership(&viewer).await.unwrap();
    warm().await;
    w.clock.advance(Duration::from_secs(3600 + 31));
    assert_eq!(w.refused(&request).await, (401, "token-expired"));
}

#[tokio::test]
async fn what_is_remembered_of_one_host_or_user_is_nothing_to_another() {
    let w = World::new().await;
    let both = Membership::new(w.globex.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&both)
        .await
        .unwrap();
    let bob = FakeRequest::new("/")
        .header("host", HOST)
        .bearer(&w.token(w.bob, serde_json::json!({})));
    for _ in 0..5 {
        let acme = w.admit(&w.alice_at(HOST)).await.unwrap();
        let globex = w.admit(&w.alice_at("globex.notes.example")).await.unwrap();
        assert_eq!(
            (acme.tenant_id(), globex.tenant_id()),
            (w.acme.id, w.globex.id)
        );
        assert_eq!(acme.role().unwrap().as_str(), "owner");
        assert_eq!(globex.role().unwrap().as_str(), "viewer");
        assert_eq!(w.refused(&bob).await, (404, "not-a-member"));
        let contradicting = w.alice_at(HOST).header("x-organization-id", "globex");
        assert_eq!(w.refused(&contradicting).await, (404, "hints-contradict"));
    }
}

#[tokio::test]
async fn a_change_in_this_process_holds_from_the_next_request_on() {
    let w = World::new().await;
    let request = w.alice_at(HOST);
    assert!(w.admit(&request).await.is_ok());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(w.refused(&request).await, (403, "tenant-suspended"));
    w.tenancy
        .admin(tenancy_core::testing::service())
        .activate(w.acme.id)
        .await
        .unwrap();
    assert!(w.admit(&request).await.is_ok());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    assert_eq!(w.refused(&request).await, (404, "not-a-member"));
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&viewer)
        .await
        .unwrap();
    let context = w.admit(&request).await.unwrap();
    assert!(context.require("notes:read").is_ok());
    assert_eq!(
        answer(context.require("notes:write")),
        (403, "permission-not-held")
    );
}

#[tokio::test]
async fn a_change_in_another_process_is_heard_of_at_the_next_poll() {
    let w = World::new().await;
    let request = w.alice_at(HOST);
    assert!(w.admit(&request).await.is_ok());
    // Past the engine, as another process would.
    w.directory
        .directory()
        .set_status(w.acme.id, TenantStatus::Suspended)
        .await
        .unwrap();
    assert!(
        w.admit(&request).await.is_ok(),
        "within the polling interval it is still believed"
    );
    w.clock.advance(Duration::from_secs(1));
    // This request finds a poll due, spawns it, and is itself answered from the cache.
    let _ = w.tenancy.admit(&request, RouteNeeds::tenant());
    let_the_poll_run().await;
    assert_eq!(w.refused(&request).await, (403, "tenant-suspended"));
}

#[tokio::test]
async fn after_a_quiet_hour_the_first_request_already_knows() {
    let w = World::new().await;
    let request = w.alice_at(HOST);
    assert!(w.admit(&request).await.is_ok());
    w.directory
        .directory()
        .set_status(w.acme.id, TenantStatus::Suspended)
        .await
        .unwrap();
    w.clock.advance(Duration::from_secs(1800));
    assert_eq!(w.refused(&request).await, (403, "tenant-suspended"));
}

#[tokio::test]
async fn when_the_feed_is_silent_each_request_asks_and_a_revocation_holds_at_the_bound() {
    let w = World::new().await;
    let request = w.alice_at(HOST);
    assert!(w.admit(&request).await.is_ok());
    w.directory.silence_feed(true);
    w.directory
        .directory()
        .set_status(w.acme.id, TenantStatus::Suspended)
        .await
        .unwrap();
    w.clock.advance(w.tenancy.max_staleness());
    assert!(
        w.admit(&request).await.is_ok(),
        "at the bound itself it is still believed"
    );
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(w.refused(&request).await, (403, "tenant-suspended"));
    w.directory
        .directory()
        .set_status(w.acme.id, TenantStatus::Active)
        .await
        .unwrap();
    let asked = w.directory.questions();
    for _ in 0..3 {
        assert!(
            w.admit(&request).await.is_ok(),
            "a silent feed alone refuses nobody"
        );
    }
    assert_eq!(
        w.directory.questions(),
        asked + 15,
        "three look-ups for each request, and two for whether its token was taken back"
    );
}

#[tokio::test]
async fn when_the_directory_is_down_cached_tenants_are_served_until_the_bound_and_then_503() {
    let w = World::new().await;
    let (known, unknown) = (w.alice_at(HOST), w.alice_at("globex.notes.example"));
    assert!(w.admit(&known).await.is_ok());
    w.directory.fail(true);
    assert!(w.admit(&known).await.is_ok());
    let refusal = w.admit(&unknown).await.unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unavailable);
    assert!(refusal.problem().retry_after_seconds().is_some());
    assert!(
        !refusal.problem().to_json().contains("10.1.2.3"),
        "internal text stays inside"
    );

    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_secs(1));
    assert_eq!(w.refused(&known).await, (503, "directory-unavailable"));
    w.directory.fail(false);
    w.clock.advance(Duration::from_secs(1));
    assert!(w.admit(&known).await.is_ok(), "and it recovers by itself");
    assert_eq!(
        w.refused(&unknown).await,
        (404, "not-a-member"),
        "the failure was not kept"
    );
}

#[tokio::test]
async fn a_new_tenant_is_found_at_once_although_its_absence_was_cached() {
    let w = World::new().await;
    let request = w.alice_at("fresh.notes.example");
    assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
    let asked = w.directory.questions();
    assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
    assert_eq!(w.directory.questions(), asked, "absence is cached");

    let fresh =
        TenantRecord::new("fresh".parse().unwrap(), "Fresh").with_status(TenantStatus::Active);
    w.tenancy
        .admin(tenancy_core::testing::service())
        .create_tenant(&fresh)
        .await
        .unwrap();
    let owner = Membership::new(fresh.id, w.alice, SystemRole::Owner.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&owner)
        .await
        .unwrap();
    assert_eq!(w.admit(&request).await.unwrap().tenant_id(), fresh.id);
}

#[tokio::test]
async fn a_negative_answer_is_believed_for_its_time_only() {
    let w = World::new().await;
    w.directory.silence_feed(false);
    let request = w.alice_at("late.notes.example");
    assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
    let late = TenantRecord::new("late".parse().unwrap(), "Late").with_status(TenantStatus::Active);
    w.directory.directory().create_tenant(&late).await.unwrap();
    w.clock.advance(Duration::from_secs(5));
    assert_eq!(w.refused(&request).await, (404, "not-a-member"));
}

#[tokio::test]
async fn a_bound_that_polling_can_not_hold_is_refused_at_build() {
    let w = World::new().await;
    for interval in [Duration::from_secs(3), Duration::MAX] {
        let builder = Tenancy::builder(w.directory.clone())
            .authenticator(
                tenancy_core::jwt::JwtAuthenticator::builder("i", "a")
                    .key(crate::support::key())
                    .build()
                    .unwrap(),
            )
            .poll_interval(interval);
        let message = builder.build().unwrap_err().to_string();
        assert!(message.contains("poll at least twice"), "{message}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_hide_a_revocation() {
    let w = World::new().await;
    let request = w.alice_at(HOST);
    assert!(w.admit(&request).await.is_ok());
    w.directory
        .directory()
        .set_status(w.acme.id, TenantStatus::Suspended)
        .await
        .unwrap();
    w.clock.set_back(Duration::from_secs(1800));
    let fresh = w.alice_at(HOST);
    assert_eq!(w.refused(&fresh).await, (403, "tenant-suspended"));
}

#[tokio::test]
async fn a_change_that_its_caller_gave_up_on_is_noted_all_the_same() {
    let w = World::new().await;
    let request = w.alice_at(HOST);
    assert!(w.admit(&request).await.is_ok());
    w.directory.hold_answers_to_writes(true);
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    {
        let mut suspend = Box::pin(admin.suspend(w.acme.id));
        assert!(futures_util::poll!(&mut suspend).is_pending());
    }
    assert_eq!(w.refused(&request).await, (403, "tenant-suspended"));
    let noted = w.audit.entries();
    assert!(
        noted.iter().any(|entry| entry.action == "tenant.set-status"
            && entry.reason.as_deref() == Some("given-up"))
    );
}
