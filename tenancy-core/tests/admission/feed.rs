//! The feed: pages, one poll for all who wait, and one tenant that is distrusted.

use std::time::Duration;

use tenancy_core::{
    Admission, Clock as _, Membership, MemoryDirectory, RevokedBefore, RouteNeeds, SystemRole,
    Tenancy, TenantRecord, TenantStatus, TokenSubject, UserId,
    jwt::JwtAuthenticator,
    testing::StoreDirectly as _,
    testing::{FakeRequest, SwitchedDirectory},
};

use crate::support::{ISSUER, World, key};

const HOST: &str = "acme.notes.example";

fn bobs(w: &World) -> FakeRequest {
    FakeRequest::new("/notes")
        .header("host", "globex.notes.example")
        .bearer(&w.token(w.bob, serde_json::json!({})))
}

async fn warm() -> World {
    let w = World::new().await;
    for _ in 0..3 {
        w.admit(&w.alice_at(HOST)).await.unwrap();
        w.admit(&bobs(&w)).await.unwrap();
    }
    w
}

/// M13. As after a refusal of strict mode.
#[tokio::test]
async fn a_tenant_that_is_marked_stale_has_no_other_wait() {
    let w = warm().await;
    let pages = w.directory.pages();
    w.tenancy.invalidate(w.acme.id);
    let others = w.tenancy.admit(&bobs(&w), RouteNeeds::tenant());
    assert!(matches!(others, Admission::Ready(Ok(_))));
    assert_eq!(w.directory.pages(), pages, "nobody has asked yet");
    w.admit(&w.alice_at(HOST)).await.unwrap();
    assert_eq!(w.directory.pages(), pages + 1, "its own request has");
    for _ in 0..3 {
        w.admit(&w.alice_at(HOST)).await.unwrap();
    }
    assert_eq!(w.directory.pages(), pages + 1);
}

/// M13. Also if the clock has moved on by the time that the poll is answered.
#[tokio::test]
async fn one_poll_serves_all_who_wait() {
    let w = warm().await;
    for distrusted in [false, true] {
        if distrusted {
            w.tenancy.invalidate(w.acme.id);
        } else {
            w.clock.advance(Duration::from_secs(1_800));
        }
        let pages = w.directory.pages();
        w.directory.hold_news(true);
        let requests: Vec<_> = (0..100).map(|_| w.alice_at(HOST)).collect();
        let all = futures_util::future::join_all(requests.iter().map(|r| w.admit(r)));
        let answer = async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            w.clock.advance(Duration::from_millis(700));
            w.directory.hold_news(false);
        };
        let (all, ()) = futures_util::join!(all, answer);
        assert!(all.iter().all(Result::is_ok));
        // With the one that was due anyway, and each reads every token revocation again where it is time for that.
        let asked = w.directory.pages() - pages;
        assert!(asked <= 4, "{asked} pages, distrusted: {distrusted}");
    }
}

/// A directory that hangs is waited for by nobody, once it has not answered.
#[tokio::test(start_paused = true)]
async fn after_a_poll_that_failed_nobody_waits_for_the_next() {
    let w = warm().await;
    w.clock.advance(Duration::from_secs(60));
    w.directory.hold_news(true);
    let began = tokio::time::Instant::now();
    w.admit(&w.alice_at(HOST)).await.unwrap();
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "the first one waits"
    );
    for _ in 0..50 {
        w.clock.advance(Duration::from_secs(1));
        let began = tokio::time::Instant::now();
        w.admit(&w.alice_at(HOST)).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    w.directory.hold_news(false);
    tokio::time::sleep(Duration::from_secs(3)).await;
    w.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        w.admit(&w.alice_at(HOST)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let request = w.alice_at(HOST);
    let warm = w.tenancy.admit(&request, RouteNeeds::tenant());
    assert!(matches!(warm, Admission::Ready(Ok(_))));
}

async fn paged(size: usize) -> (SwitchedDirectory, Vec<(TenantRecord, UserId)>) {
    let directory = SwitchedDirectory::new(MemoryDirectory::new().with_pages_of(size));
    let mut tenants = Vec::new();
    for number in 0..10 {
        let slug = format!("tenant-{number}").parse().unwrap();
        let tenant = TenantRecord::new(slug, "T").with_status(TenantStatus::Active);
        directory.create_tenant(&tenant).await.unwrap();
        let owner = UserId::new();
        let member = Membership::new(tenant.id, owner, SystemRole::Owner.name());
        directory.put_membership(&member).await.unwrap();
        tenants.push((tenant, owner));
    }
    (directory, tenants)
}

/// M14. News that does not fit on one page is told on several, and all of it before anything is believed.
#[tokio::test]
async fn news_of_many_pages_is_told_to_the_end() {
    for size in [1, 2, 3, 7, 100] {
        let w = World::new().await;
        let (directory, tenants) = paged(size).await;
        let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
        let tenancy = Tenancy::builder(directory.clone())
            .identification(tenancy_core::Identification::new().header("x-organization-id"))
            .authenticator(tokens.build().unwrap())
            .clock(w.clock.clone())
            .build()
            .unwrap();
        let status = async |tenant: &TenantRecord, user: UserId| {
            let request = FakeRequest::new("/")
                .header("x-organization-id", tenant.slug.as_str())
                .bearer(&w.token(user, serde_json::json!({})));
            let admitted = match tenancy.admit(&request, RouteNeeds::tenant()) {
                Admission::Ready(answer) => answer.map(drop),
                Admission::Pending(pending) => pending.resolve().await.map(drop),
            };
            admitted.map_or_else(|refusal| refusal.kind().status(), |()| 200)
        };
        for (tenant, user) in tenants.iter().chain(&tenants) {
            assert_eq!(status(tenant, *user).await, 200);
        }
        let elsewhere = directory.directory();
        for (number, (tenant, user)) in tenants.iter().enumerate() {
            if number % 2 == 0 {
                let to = TenantStatus::Suspended;
                elsewhere.set_status(tenant.id, to).await.unwrap();
            } else {
                let revoked_before = RevokedBefore::revoking_at(w.clock.now());
                let of = TokenSubject::User(*user);
                elsewhere.revoke_before(&of, revoked_before).await.unwrap();
            }
        }
        let pages = directory.pages();
        tenancy.catch_up().await.unwrap();
        assert_eq!(
            directory.pages() - pages,
            10_usize.div_ceil(size).max(1),
            "{size}"
        );
        let questions = directory.questions();
        for (number, (tenant, user)) in tenants.iter().enumerate() {
            let expected = if number % 2 == 0 { 403 } else { 401 };
            assert_eq!(status(tenant, *user).await, expected, "{number} of {size}");
        }
        assert!(directory.questions() - questions <= 15);
    }
}

/// TokenRevocations that concern no token any more are forgotten, here and in the store, and by nobody's doing.
#[tokio::test]
async fn token_revocations_are_forgotten_after_the_longest_lifetime_of_a_token() {
    let lifetime = Duration::from_secs(3_600);
    let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
    let tokens = tokens.build().unwrap();
    let w = World::with(|builder| {
        let builder = builder.authenticator(tokens);
        builder.longest_token_lifetime(lifetime)
    })
    .await;
    let old = w.alice_at(HOST);
    w.admit(&old).await.unwrap();
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    let alice = TokenSubject::User(w.alice);
    admin.revoke_tokens(&alice).await.unwrap();
    assert_eq!(w.refused(&old).await.0, 401);
    for _ in 0..30 {
        w.clock.advance(lifetime);
        // The old one expires after an hour, and leeway; no token revocation is needed for it.
        assert_eq!(w.refused(&old).await.0, 401);
        w.clock.advance(Duration::from_secs(2));
        let _ = w.tenancy.admit(&w.alice_at(HOST), RouteNeeds::tenant());
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    use tenancy_core::TokenRevocationDirectory as _;
    let stored = w
        .directory
        .directory()
        .find_token_revocation(&[alice])
        .await
        .unwrap();
    assert_eq!(stored, RevokedBefore::NONE);
}

#[tokio::test]
async fn a_token_that_was_issued_longer_ago_than_any_may_be_is_refused() {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
    let tokens = tokens.build().unwrap();
    let w = World::with(|builder| {
        let builder = builder.authenticator(tokens);
        builder.longest_token_lifetime(Duration::from_secs(60))
    })
    .await;
    let request = w.alice_at(HOST);
    for _ in 0..3 {
        w.admit(&request).await.unwrap();
    }
    w.clock.advance(Duration::from_secs(62));
    assert_eq!(w.refused(&request).await, (401, "token-too-old"));
    w.admit(&w.alice_at(HOST)).await.unwrap();
}
