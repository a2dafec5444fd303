//! Tokens that are taken back before they expire.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{
    Actor, Clock as _, Membership, Outcome, PermissionRegistry, RevokedBefore, RouteNeeds,
    ServiceId, StoreErrorKind, SystemRole, Tenancy, Timestamp, TokenSubject,
    jwt::{JwtAuthenticator, ServiceMapping},
    testing::FakeRequest,
    testing::StoreDirectly as _,
};

use crate::{
    keys::{alices, issue, with, world as world_with_keys},
    support::{ISSUER, World, answer, key, sign},
    watch::world as streaming_world,
};

const REVOKED: (u16, &str) = (401, "token-revoked");

fn at(host: &str, token: &str) -> FakeRequest {
    FakeRequest::new("/notes")
        .header("host", host)
        .bearer(token)
}

async fn revoke(tenancy: &Tenancy, of: TokenSubject) {
    tenancy
        .admin(tenancy_core::testing::service())
        .revoke_tokens(&of)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_issued_in_the_second_of_the_revocation_dies() {
    for (micros, later, said) in [
        (0, 0., Err(REVOKED)),
        (999_999, 0., Err(REVOKED)),
        (999_999, 0.9, Err(REVOKED)),
        (0, 1., Ok(())),
        (999_999, 1., Ok(())),
    ] {
        let w = World::new().await;
        let second = w.clock.now().as_unix_seconds();
        let into = w.clock.now().as_unix_micros() - second * 1_000_000;
        let to_go = 1_000_000 + micros - into;
        w.clock
            .advance(Duration::from_micros(to_go.try_into().unwrap()));
        revoke(&w.tenancy, TokenSubject::User(w.alice)).await;
        w.clock.advance(Duration::from_secs(2));
        let iat = (second + 1) as f64 + later;
        let token = w.token(w.alice, json!({ "iat": iat }));
        let request = at("acme.notes.example", &token);
        let answered = w.admit(&request).await.map(drop);
        let answered = answered.map_err(|refusal| (refusal.kind().status(), refusal.reason()));
        assert_eq!(answered, said, "{micros} {later}");
    }
}

#[tokio::test]
async fn whatever_a_token_is_taken_back_from_a_remembered_one_dies_at_once() {
    let kinds: [fn(&World) -> TokenSubject; 3] = [
        |_| TokenSubject::Issuer(ISSUER.into()),
        |w| TokenSubject::User(w.alice),
        |w| TokenSubject::Tenant(w.acme.id),
    ];
    for kind in kinds {
        let w = World::new().await;
        let request = w.alice_at("acme.notes.example");
        for _ in 0..3 {
            assert!(w.admit(&request).await.is_ok());
        }
        revoke(&w.tenancy, kind(&w)).await;
        assert_eq!(w.refused(&request).await, REVOKED, "{}", kind(&w));
        w.clock.advance(Duration::from_secs(1));
        assert_eq!(w.refused(&request).await, REVOKED, "{}", kind(&w));
        let anew = w.alice_at("acme.notes.example");
        assert!(w.admit(&anew).await.is_ok(), "{}", kind(&w));
    }
}

#[tokio::test]
async fn a_service_accounts_tokens_are_taken_back_and_no_others() {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .bound_to("acme".parse::<tenancy_core::Slug>().unwrap())
        .services(ServiceMapping::Always)
        .scope_claim("scope", &PermissionRegistry::builder().build().unwrap())
        .build()
        .unwrap();
    let w = World::with(|builder| builder.authenticator(tokens)).await;
    let now = w.clock.now().as_unix_seconds();
    let (leaked, other) = (ServiceId::new(), ServiceId::new());
    let of = |service: ServiceId| {
        let claims = json!({
            "iss": ISSUER, "aud": "notes", "sub": service.to_string(), "exp": now + 600, "iat": now,
            "scope": "",
        });
        at("acme.notes.example", &sign(&claims))
    };
    assert!(w.admit(&of(leaked)).await.is_ok());
    revoke(&w.tenancy, TokenSubject::Service(leaked)).await;
    assert_eq!(w.refused(&of(leaked)).await, REVOKED);
    assert!(w.admit(&of(other)).await.is_ok());
}

#[tokio::test]
async fn nobody_elses_token_is_taken_back() {
    let w = World::new().await;
    revoke(&w.tenancy, TokenSubject::User(w.bob)).await;
    revoke(
        &w.tenancy,
        TokenSubject::Issuer("https://other.example".into()),
    )
    .await;
    revoke(&w.tenancy, TokenSubject::Tenant(w.globex.id)).await;
    let request = w.alice_at("acme.notes.example");
    assert!(w.admit(&request).await.is_ok());
    let bobs = at("globex.notes.example", &w.token(w.bob, json!({})));
    assert_eq!(w.refused(&bobs).await, REVOKED);
}

/// The tenant that a token without a tenant claim is used in is known only once a hint has chosen.
#[tokio::test]
async fn a_token_that_names_no_tenant_is_refused_in_the_tenant_that_has_taken_it_back_alone() {
    let w = World::new().await;
    let member = Membership::new(w.globex.id, w.alice, SystemRole::Viewer.name());
    w.directory.put_membership(&member).await.unwrap();
    for host in ["acme.notes.example", "globex.notes.example"] {
        assert!(w.admit(&w.alice_at(host)).await.is_ok());
    }
    revoke(&w.tenancy, TokenSubject::Tenant(w.acme.id)).await;
    assert_eq!(w.refused(&w.alice_at("acme.notes.example")).await, REVOKED);
    assert!(w.admit(&w.alice_at("globex.notes.example")).await.is_ok());
}

#[tokio::test]
async fn a_stranger_does_not_learn_that_a_tenant_has_taken_its_tokens_back() {
    let w = World::new().await;
    let strangers = at("acme.notes.example", &w.token(w.bob, json!({})));
    let before = w.refused(&strangers).await;
    revoke(&w.tenancy, TokenSubject::Tenant(w.acme.id)).await;
    assert_eq!(w.refused(&w.alice_at("acme.notes.example")).await, REVOKED);
    assert_eq!(w.refused(&strangers).await, before);
    assert_eq!(before.0, 404);
}

#[tokio::test]
async fn a_token_that_does_not_say_when_it_was_issued_is_refused_once_anything_concerns_it() {
    let w = World::new().await;
    let now = w.clock.now().as_unix_seconds();
    let claims = json!({
        "iss": ISSUER, "aud": "notes", "sub": w.alice.to_string(), "exp": now + 600,
    });
    let request = at("acme.notes.example", &sign(&claims));
    revoke(&w.tenancy, TokenSubject::User(w.bob)).await;
    assert!(w.admit(&request).await.is_ok());
    revoke(&w.tenancy, TokenSubject::User(w.alice)).await;
    assert_eq!(w.refused(&request).await, REVOKED);
}

#[tokio::test]
async fn a_token_is_taken_back_on_routes_without_a_tenant_too() {
    let bound = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .tenant_claim("tenant")
        .build()
        .unwrap();
    let w = World::with(|builder| builder.authenticator(bound)).await;
    let claim = json!({ "tenant": "acme" });
    let request = at("www.notes.example", &w.token(w.alice, claim));
    for needs in [RouteNeeds::central(), RouteNeeds::optional()] {
        assert!(w.admit_as(&request, needs).await.is_ok());
    }
    revoke(&w.tenancy, TokenSubject::Tenant(w.acme.id)).await;
    for needs in [RouteNeeds::central(), RouteNeeds::optional()] {
        assert_eq!(answer(w.admit_as(&request, needs).await), REVOKED);
    }
    let bobs = at(
        "www.notes.example",
        &w.token(w.bob, json!({ "tenant": "globex" })),
    );
    assert!(w.admit_as(&bobs, RouteNeeds::central()).await.is_ok());
    revoke(&w.tenancy, TokenSubject::User(w.bob)).await;
    assert_eq!(
        answer(w.admit_as(&bobs, RouteNeeds::central()).await),
        REVOKED
    );
}

#[tokio::test]
async fn keys_go_on_when_tokens_are_taken_back() {
    let w = world_with_keys().await;
    let key = issue(&w, alices(&w)).await;
    for of in [TokenSubject::User(w.alice), TokenSubject::Tenant(w.acme.id)] {
        revoke(&w.tenancy, of).await;
    }
    assert_eq!(w.refused(&w.alice_at("acme.notes.example")).await, REVOKED);
    assert!(w.admit(&with(&key)).await.is_ok());
}

#[tokio::test]
async fn another_process_finds_out_within_the_bound() {
    let w = World::new().await;
    let request = w.alice_at("acme.notes.example");
    assert!(w.admit(&request).await.is_ok());
    let revoked_before = RevokedBefore::revoking_at(w.clock.now());
    let elsewhere = w.directory.directory();
    elsewhere
        .revoke_before(&TokenSubject::User(w.alice), revoked_before)
        .await
        .unwrap();
    assert!(w.admit(&request).await.is_ok(), "nobody has asked yet");
    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_micros(1));
    assert_eq!(w.refused(&request).await, REVOKED);
}

#[tokio::test]
async fn a_process_that_starts_later_knows_all_that_was_taken_back() {
    let w = World::new().await;
    let revoked_before = RevokedBefore::revoking_at(w.clock.now());
    let directory = w.directory.directory();
    directory
        .revoke_before(&TokenSubject::User(w.alice), revoked_before)
        .await
        .unwrap();
    assert_eq!(w.refused(&w.alice_at("acme.notes.example")).await, REVOKED);
}

/// Restored to another server, whose transactions are numbered from the beginning.
#[tokio::test]
async fn a_directory_that_counts_anew_tells_everything_again() {
    let w = World::new().await;
    let request = w.alice_at("acme.notes.example");
    assert!(w.admit(&request).await.is_ok());
    let directory = w.directory.directory();
    let revoked_before = RevokedBefore::revoking_at(w.clock.now());
    let alices = TokenSubject::User(w.alice);
    directory
        .revoke_before(&alices, revoked_before)
        .await
        .unwrap();
    w.directory.count_anew().await;
    assert!(w.admit(&request).await.is_ok(), "nobody has asked yet");
    w.tenancy.catch_up().await.unwrap();
    assert_eq!(w.refused(&request).await, REVOKED);
}

#[tokio::test]
async fn news_from_before_an_invalidation_does_not_stand_for_news_after_it() {
    for invalidated_before in [false, true] {
        let w = World::new().await;
        let request = w.alice_at("acme.notes.example");
        assert!(w.admit(&request).await.is_ok());
        if invalidated_before {
            w.tenancy.invalidate(w.acme.id);
        }
        w.directory.hold_news(true);
        let mut asking = Box::pin(w.tenancy.catch_up());
        assert!(futures_util::poll!(&mut asking).is_pending());
        let directory = w.directory.directory();
        let (alices, revoked_before) = (
            TokenSubject::User(w.alice),
            RevokedBefore::revoking_at(w.clock.now()),
        );
        directory
            .revoke_before(&alices, revoked_before)
            .await
            .unwrap();
        w.tenancy.invalidate(w.acme.id);
        w.directory.hold_news(false);
        asking.await.unwrap();
        assert_eq!(w.refused(&request).await, REVOKED, "{invalidated_before}");
    }
}

#[tokio::test]
async fn a_silent_feed_makes_each_request_ask_since_when_its_token_counts() {
    let w = World::new().await;
    let request = w.alice_at("acme.notes.example");
    assert!(w.admit(&request).await.is_ok());
    w.directory.silence_feed(true);
    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_secs(1));
    assert!(w.admit(&request).await.is_ok());
    let directory = w.directory.directory();
    let tenant = TokenSubject::Tenant(w.acme.id);
    directory
        .revoke_before(&tenant, RevokedBefore::revoking_at(w.clock.now()))
        .await
        .unwrap();
    assert_eq!(w.refused(&request).await, REVOKED);
    w.directory.fail(true);
    assert_eq!(w.refused(&request).await, (503, "directory-unavailable"));
}

/// What the store says may be older than what this process has done, or lack it: a write that failed,
/// a copy that lags behind.
#[tokio::test]
async fn what_this_process_has_taken_back_counts_whatever_the_store_says() {
    let w = World::new().await;
    let request = w.alice_at("acme.notes.example");
    assert!(w.admit(&request).await.is_ok());
    for of in [TokenSubject::User(w.alice), TokenSubject::Tenant(w.acme.id)] {
        revoke(&w.tenancy, of).await;
    }
    let directory = w.directory.directory();
    let later = RevokedBefore::revoking_at(w.clock.now() + Duration::from_secs(1));
    assert_eq!(directory.forget_token_revocations(later).await.unwrap(), 2);
    assert_eq!(w.refused(&request).await, REVOKED);
    w.directory.silence_feed(true);
    w.clock
        .advance(w.tenancy.max_staleness() + Duration::from_secs(1));
    assert_eq!(w.refused(&request).await, REVOKED);
}

#[tokio::test]
async fn an_answer_that_was_read_before_the_revocation_admits_nobody_after_it() {
    for (question, taken_back) in [
        (
            0,
            (|w| TokenSubject::User(w.alice)) as fn(&World) -> TokenSubject,
        ),
        (3, |w| TokenSubject::Tenant(w.acme.id)),
    ] {
        let w = World::new().await;
        let request = w.alice_at("acme.notes.example");
        w.directory.silence_feed(true);
        w.directory.hold_answer(question);
        let mut admission = Box::pin(w.admit(&request));
        assert!(futures_util::poll!(&mut admission).is_pending());
        assert_eq!(w.directory.questions(), question + 1);
        revoke(&w.tenancy, taken_back(&w)).await;
        w.directory.tell();
        assert_eq!(answer(admission.await), REVOKED, "{question}");
    }
}

/// Whether the answer came from memory makes no difference to the trail either.
#[tokio::test]
async fn the_use_of_a_token_that_was_taken_back_is_recorded_alike_warm_and_cold() {
    let w = World::new().await;
    let (warm, cold) = (
        w.alice_at("acme.notes.example"),
        w.alice_at("acme.notes.example")
            .header("x-organization-id", w.acme.id.to_string()),
    );
    for _ in 0..3 {
        assert!(w.admit(&warm).await.is_ok());
    }
    revoke(&w.tenancy, TokenSubject::Tenant(w.acme.id)).await;
    for request in [&cold, &warm] {
        assert_eq!(w.refused(request).await, REVOKED);
        let entry = w.last_audit();
        assert_eq!(entry.tenant, Some(w.acme.id));
        assert_eq!(entry.actor, Some(Actor::User(w.alice)));
    }
    // Whoever has stolen an issuer's key signs as anybody: the trail tells what the token says, and
    // holds nobody to account.
    revoke(&w.tenancy, TokenSubject::User(w.alice)).await;
    assert_eq!(w.refused(&warm).await, REVOKED);
    let entry = w.last_audit();
    assert_eq!(entry.target, Some(format!("user:{}", w.alice)));
    assert_eq!(entry.actor, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_is_taken_back() {
    let w = streaming_world().await;
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let mut watch = context.watch();
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, watch.changed()).await.is_err());
    revoke(&w.tenancy, TokenSubject::User(w.alice)).await;
    let ended = tokio::time::timeout(2 * second, watch.ended())
        .await
        .unwrap();
    assert_eq!((ended.kind().status(), ended.reason()), REVOKED);
    assert_eq!(answer(w.tenancy.revalidate(&context).await), REVOKED);
}

#[tokio::test]
async fn taking_back_is_audited_and_wants_a_reason() {
    let w = World::new().await;
    let alices = TokenSubject::User(w.alice);
    revoke(&w.tenancy, TokenSubject::Tenant(w.acme.id)).await;
    assert_eq!(w.last_audit().tenant, Some(w.acme.id));
    let because = |reason| {
        w.tenancy
            .admin(tenancy_core::testing::service().because(reason))
    };
    let blank = because("  ").revoke_tokens(&alices).await.unwrap_err();
    assert_eq!(blank.kind(), StoreErrorKind::Invalid);
    because("phished").revoke_tokens(&alices).await.unwrap();
    let entry = w.last_audit();
    assert_eq!(entry.action, "token.revoke");
    assert_eq!(entry.outcome, Outcome::Allowed);
    assert_eq!(entry.reason.as_deref(), Some("phished"));
    assert_eq!(entry.target, Some(format!("user:{}", w.alice)));
}

/// Whoever gives up does not know whether it was stored: it may have been.
#[tokio::test(start_paused = true)]
async fn a_revocation_whose_caller_gave_up_holds_here() {
    let w = World::new().await;
    let request = w.alice_at("acme.notes.example");
    assert!(w.admit(&request).await.is_ok());
    w.directory.hold_answers_to_writes(true);
    let (admin, alices) = (
        w.tenancy.admin(tenancy_core::testing::service()),
        TokenSubject::User(w.alice),
    );
    let given_up = tokio::time::timeout(Duration::from_secs(1), admin.revoke_tokens(&alices));
    assert!(given_up.await.is_err());
    assert_eq!(w.refused(&request).await, REVOKED);
    let entries = w.audit.entries();
    let given_up = entries.iter().find(|entry| entry.action == "token.revoke");
    assert_eq!(given_up.unwrap().outcome, Outcome::Failed);
}

#[tokio::test]
async fn what_concerns_expired_tokens_only_is_forgotten() {
    let w = World::new().await;
    let directory = w.directory.directory();
    let now = w.clock.now();
    let day = Duration::from_secs(86_400);
    for (user, moment) in [(w.alice, now), (w.bob, now - day)] {
        let revoked_before = RevokedBefore::revoking_at(moment);
        let of = TokenSubject::User(user);
        directory.revoke_before(&of, revoked_before).await.unwrap();
    }
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    let forgotten = admin
        .forget_token_revocations_before(now - day / 2)
        .await
        .unwrap();
    assert_eq!(forgotten, 1);
    assert_eq!(w.refused(&w.alice_at("acme.notes.example")).await, REVOKED);
    let old: Timestamp = now - 2 * day;
    let bobs = w.token(w.bob, json!({ "iat": old.as_unix_seconds() }));
    assert!(w.admit(&at("globex.notes.example", &bobs)).await.is_ok());
}
