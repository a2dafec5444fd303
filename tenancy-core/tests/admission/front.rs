//! Whole decisions that are remembered: who is asked again, and what ends one.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tenancy_core::{
    Actor, AllowedTenants, Authenticator, Credential, LookupError, Membership, Principal,
    Rejection, RouteNeeds, SystemRole, TenantStatus, Timestamp, UserId, Verdict, async_trait,
    jwt::{Algorithm, JwtAuthenticator, JwtIssuers, VerificationKey},
    testing::FakeRequest,
    testing::StoreDirectly as _,
};

use crate::support::{ISSUER, World, key, sign};

const HOST: &str = "acme.notes.example";

/// Sessions of the application: what a text stands for, how often it was asked, and the number that
/// vouches for it.
#[derive(Clone)]
struct Sessions(Arc<Inner>);

struct Inner {
    principal: Mutex<Option<Arc<Principal>>>,
    asked: AtomicUsize,
    /// 0: it wants to be asked each time.
    version: AtomicU64,
}

impl Sessions {
    fn of(user: UserId) -> Self {
        let principal = Principal::new(Actor::User(user), AllowedTenants::Memberships, "sessions");
        Self(Arc::new(Inner {
            principal: Mutex::new(Some(Arc::new(principal))),
            asked: AtomicUsize::new(0),
            version: AtomicU64::new(1),
        }))
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn set(&self, principal: Option<Principal>) {
        let mut held = (self.0.principal.lock()).unwrap_or_else(PoisonError::into_inner);
        *held = principal.map(Arc::new);
    }
}

#[async_trait]
impl Authenticator for Sessions {
    fn probe(&self, _: Credential<'_>, _: Timestamp) -> Verdict {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let held = (self.0.principal.lock()).unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(principal) => Verdict::Verified(Arc::clone(principal)),
            None => Verdict::Rejected(Rejection::new("session-over")),
        }
    }

    fn version(&self, _: Option<&str>, _: Timestamp) -> Option<u128> {
        let version = self.0.version.load(Ordering::SeqCst);
        (version > 0).then(|| version.into())
    }

    async fn verify(&self, _: Credential<'_>, _: Timestamp) -> Result<Verdict, LookupError> {
        unreachable!("the probe tells")
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

/// An engine whose sessions are those of a viewer of acme.
async fn with_sessions() -> (World, Sessions, UserId) {
    let user = UserId::new();
    let sessions = Sessions::of(user);
    let w = World::with(|b| b.authenticator(sessions.clone())).await;
    let viewer = Membership::new(w.acme.id, user, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&viewer)
        .await
        .unwrap();
    (w, sessions, user)
}

fn session() -> FakeRequest {
    FakeRequest::new("/")
        .header("host", HOST)
        .bearer("a-session")
}

async fn warm(w: &World, request: &FakeRequest) {
    for _ in 0..4 {
        w.admit(request).await.unwrap();
    }
}

#[tokio::test]
async fn an_authenticator_that_vouches_for_its_verdicts_is_not_asked_again() {
    let (w, sessions, user) = with_sessions().await;
    warm(&w, &session()).await;
    let asked = sessions.asked();
    for _ in 0..10 {
        let context = w.admit(&session()).await.unwrap();
        assert_eq!(context.user_id(), Some(user));
    }
    assert_eq!(sessions.asked(), asked);
    // Another text, another host or another project is another question.
    let other = FakeRequest::new("/").header("host", HOST).bearer("another");
    assert!(w.admit(&other).await.is_ok());
    assert!(sessions.asked() > asked);
    let elsewhere = FakeRequest::new("/")
        .header("host", "globex.notes.example")
        .bearer("a-session");
    assert_eq!(w.refused(&elsewhere).await, (404, "not-a-member"));
    let project = session().header("x-project-id", w.acme.id.to_string());
    assert_eq!(w.refused(&project).await, (404, "project-unknown"));
    // A central route has no tenant, whatever is remembered.
    let central = w.admit_as(&session(), RouteNeeds::central()).await.unwrap();
    assert!(matches!(central, tenancy_core::Admitted::NoTenant(Some(_))));
}

#[tokio::test]
async fn an_authenticator_that_does_not_vouch_is_asked_each_time() {
    let (w, sessions, _) = with_sessions().await;
    sessions.0.version.store(0, Ordering::SeqCst);
    warm(&w, &session()).await;
    for _ in 0..5 {
        let asked = sessions.asked();
        assert!(w.admit(&session()).await.is_ok());
        assert_eq!(sessions.asked(), asked + 1);
    }
    sessions.set(None);
    assert_eq!(w.refused(&session()).await, (401, "session-over"));
}

#[tokio::test]
async fn a_verdict_counts_no_more_once_its_authenticator_says_another_number() {
    let (w, sessions, _) = with_sessions().await;
    warm(&w, &session()).await;
    sessions.set(None);
    sessions.0.version.store(2, Ordering::SeqCst);
    assert_eq!(w.refused(&session()).await, (401, "session-over"));
    // Nor does it once it stops vouching.
    let bob = Principal::new(
        Actor::User(w.alice),
        AllowedTenants::Memberships,
        "sessions",
    );
    sessions.set(Some(bob));
    sessions.0.version.store(3, Ordering::SeqCst);
    warm(&w, &session()).await;
    sessions.set(None);
    sessions.0.version.store(0, Ordering::SeqCst);
    assert_eq!(w.refused(&session()).await, (401, "session-over"));
}

#[tokio::test]
async fn what_ends_an_admission_ends_a_whole_decision() {
    let (w, sessions, user) = with_sessions().await;
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    warm(&w, &session()).await;
    admin.suspend(w.acme.id).await.unwrap();
    assert_eq!(w.refused(&session()).await, (403, "tenant-suspended"));
    admin.activate(w.acme.id).await.unwrap();
    warm(&w, &session()).await;
    admin.remove_membership(w.acme.id, user).await.unwrap();
    assert_eq!(w.refused(&session()).await, (404, "not-a-member"));
    let viewer = Membership::new(w.acme.id, user, SystemRole::Viewer.name());
    admin.put_membership(&viewer).await.unwrap();
    warm(&w, &session()).await;

    // In a database whose feed tells nothing, until the bound.
    w.directory.silence_feed(true);
    let directory = w.directory.directory();
    let suspended = TenantStatus::Suspended;
    directory.set_status(w.acme.id, suspended).await.unwrap();
    w.clock.advance(w.tenancy.max_staleness());
    assert!(w.admit(&session()).await.is_ok());
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(w.refused(&session()).await, (403, "tenant-suspended"));
    w.directory.silence_feed(false);
    let active = TenantStatus::Active;
    directory.set_status(w.acme.id, active).await.unwrap();
    w.tenancy.catch_up().await.unwrap();
    warm(&w, &session()).await;

    // A session without a moment of issue, once anything is taken back.
    let of = tenancy_core::TokenSubject::User(user);
    admin.revoke_tokens(&of).await.unwrap();
    assert_eq!(w.refused(&session()).await, (401, "token-revoked"));
    assert!(sessions.asked() > 0);
}

#[tokio::test]
async fn a_credential_that_has_expired_ends_a_whole_decision() {
    let (w, sessions, user) = with_sessions().await;
    let mut principal = Principal::new(Actor::User(user), AllowedTenants::Memberships, "sessions");
    principal.expires_at = Some(tenancy_core::Clock::now(&*w.clock) + Duration::from_secs(3));
    sessions.set(Some(principal));
    warm(&w, &session()).await;
    w.clock
        .advance(Duration::from_secs(3) - Duration::from_micros(1));
    assert!(w.admit(&session()).await.is_ok());
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(w.refused(&session()).await, (401, "credential-expired"));
}

#[tokio::test]
async fn an_issuer_that_is_removed_or_comes_back_with_another_key_is_noticed() {
    let issuers = JwtIssuers::new();
    let jwt = |key| JwtAuthenticator::builder(ISSUER, "notes").key(key).build();
    issuers.add(jwt(key()).unwrap()).unwrap();
    let w = World::with(|b| b.authenticator(issuers.clone())).await;
    let request = w.alice_at(HOST);
    warm(&w, &request).await;
    issuers.remove(ISSUER);
    let nobodys = (401, "credential-unknown-kind");
    assert_eq!(w.refused(&request).await, nobodys);
    issuers.add(jwt(key()).unwrap()).unwrap();
    warm(&w, &request).await;
    issuers.remove(ISSUER);
    let other = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    issuers.add(jwt(other).unwrap()).unwrap();
    assert_eq!(w.refused(&request).await, (401, "token-signature"));
}

#[tokio::test]
async fn an_authenticator_that_stands_before_is_asked_once_it_may_know_the_credential() {
    // Looked at first, and trusts nobody yet.
    let first = JwtIssuers::new();
    let audience = "notes";
    let second = JwtAuthenticator::builder(ISSUER, audience).key(key());
    let second = second.build().unwrap();
    let w = World::with(|b| b.authenticator(first.clone()).authenticator(second)).await;
    let now = tenancy_core::Clock::now(&*w.clock).as_unix_seconds();
    let token = sign(&json!({
        "iss": ISSUER, "aud": audience, "sub": w.alice.to_string(), "exp": now + 600,
    }));
    let request = FakeRequest::new("/").header("host", HOST).bearer(&token);
    warm(&w, &request).await;
    // Now it does, and speaks for globex alone.
    let narrow = JwtAuthenticator::builder(ISSUER, audience)
        .key(key())
        .bound_to(w.globex.id);
    first.add(narrow.build().unwrap()).unwrap();
    assert_eq!(
        w.refused(&request).await,
        (404, "credential-of-another-tenant")
    );
    assert!(first.remove(ISSUER));
    assert!(w.admit(&request).await.is_ok());
}

#[tokio::test]
async fn users_are_remembered_whole_beside_operators_who_act_as_users() {
    let user = UserId::new();
    let sessions = Sessions::of(user);
    let w = World::over(|directory, builder| {
        let pepper = tenancy_core::key::Pepper::new(1, [7; 32]).unwrap();
        let operators = tenancy_core::Operators::new(directory.directory().clone())
            .issuer("https://staff.example")
            .impersonation(tenancy_core::ImpersonationPolicy::new(pepper));
        builder.authenticator(sessions.clone()).operators(operators)
    })
    .await;
    let viewer = Membership::new(w.acme.id, user, SystemRole::Viewer.name());
    w.directory.put_membership(&viewer).await.unwrap();
    let request = FakeRequest::new("/notes").header("host", HOST).bearer("x");
    for _ in 0..3 {
        w.admit(&request).await.unwrap();
    }
    let before = sessions.asked();
    w.admit(&request).await.unwrap();
    assert_eq!(sessions.asked(), before, "it is not asked again");
}
