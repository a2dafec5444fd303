//! Credentials: one answer to every bad one, and a good one reaches only as far as it says.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tenancy_core::{
    Actor, AllowedTenants, Authenticator, Credential, LookupError, Membership, MembershipStatus,
    Principal, RefusalKind, SystemRole, Timestamp, UserId, Verdict, async_trait,
    jwt::JwtAuthenticator, testing::FakeRequest,
};

use crate::support::{ISSUER, World, answer, key};

#[tokio::test]
async fn every_bad_credential_gets_the_same_answer() {
    let w = World::new().await;
    let good = w.token(w.alice, json!({}));
    let at = || FakeRequest::new("/").header("host", "acme.notes.example");
    let mut bodies = Vec::new();
    for (request, reason) in [
        (at(), "credential-absent"),
        (at().header("authorization", ""), "credential-malformed"),
        (
            at().header("authorization", "Bearer"),
            "credential-malformed",
        ),
        (
            at().header("authorization", "Bearer "),
            "credential-malformed",
        ),
        (
            at().header("authorization", "Basic YTpi"),
            "credential-scheme-unknown",
        ),
        (
            at().header("authorization", b"Bearer \xff"),
            "credential-not-text",
        ),
        (at().bearer(&good).bearer(&good), "credential-repeated"),
        (
            at().bearer(&format!("{good},{good}")),
            "credential-malformed",
        ),
        (
            at().bearer(&format!("{good} {good}")),
            "credential-malformed",
        ),
        (at().bearer(&"x".repeat(9_000)), "credential-oversized"),
        (at().bearer("opaque"), "credential-unknown-kind"),
        (
            at().bearer(&w.token(w.alice, json!({ "exp": 1 }))),
            "token-expired",
        ),
        (
            at().bearer(&w.token(w.alice, json!({ "aud": "other" }))),
            "token-audience",
        ),
        (
            at().bearer(&w.token(w.alice, json!({ "sub": "alice" }))),
            "token-subject",
        ),
    ] {
        let refusal = w.admit(&request).await.unwrap_err();
        assert_eq!(refusal.reason(), reason);
        assert_eq!(refusal.kind(), RefusalKind::Unauthenticated);
        bodies.push((
            refusal.problem().to_json(),
            refusal.problem().www_authenticate().map(str::to_owned),
        ));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(w.admit(&at().bearer(&good)).await.is_ok());
}

#[tokio::test]
async fn a_bad_credential_is_refused_before_anything_about_the_tenant_is_told() {
    let w = World::new().await;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.globex.id)
        .await
        .unwrap();
    for host in [
        "acme.notes.example",
        "globex.notes.example",
        "nobody.notes.example",
        "a.b.notes.example",
    ] {
        let request = FakeRequest::new("/").header("host", host).bearer("opaque");
        assert_eq!(
            w.refused(&request).await,
            (401, "credential-unknown-kind"),
            "{host}"
        );
    }
    assert_eq!(w.directory.questions(), 0);
}

#[tokio::test]
async fn a_credential_that_is_cached_still_expires() {
    let w = World::new().await;
    let request = w.alice_at("acme.notes.example");
    assert!(w.admit(&request).await.is_ok());
    assert!(w.admit(&request).await.is_ok());
    w.clock.advance(Duration::from_secs(3600 + 31));
    assert_eq!(w.refused(&request).await, (401, "token-expired"));
}

#[tokio::test]
async fn a_bound_token_names_its_tenant_and_no_hint_can_move_it() {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .tenant_claim("org")
        .build()
        .unwrap();
    let w = World::with(|builder| builder.authenticator(tokens)).await;
    // Alice belongs to both, so that only the binding is left to refuse her.
    let both = Membership::new(w.globex.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&both)
        .await
        .unwrap();
    let token = w.token(w.alice, json!({ "org": "acme" }));
    let plain = FakeRequest::new("/").bearer(&token);
    assert_eq!(w.admit(&plain).await.unwrap().tenant_id(), w.acme.id);
    let agreeing = plain
        .clone()
        .header("x-organization-id", w.acme.id.to_string());
    assert_eq!(w.admit(&agreeing).await.unwrap().tenant_id(), w.acme.id);
    let elsewhere = plain.clone().header("host", "globex.notes.example");
    assert_eq!(
        w.refused(&elsewhere).await,
        (404, "credential-of-another-tenant")
    );
    assert_eq!(
        w.last_audit().target,
        Some(format!("tenant={}", w.globex.id))
    );

    let unknown = FakeRequest::new("/").bearer(&w.token(w.alice, json!({ "org": "nobody" })));
    assert_eq!(
        w.refused(&unknown).await,
        (404, "tenant-of-credential-unknown")
    );
    let unbound = FakeRequest::new("/t/acme").bearer(&w.token(w.alice, json!({})));
    assert_eq!(w.refused(&unbound).await.0, 401);
}

#[tokio::test]
async fn a_token_that_lists_tenants_lets_a_hint_choose_among_them_and_membership_decide() {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .tenant_set_claim("orgs")
        .default_tenant_claim("org")
        .build()
        .unwrap();
    let w = World::with(|builder| builder.authenticator(tokens)).await;
    let orgs = json!({ "orgs": ["acme", w.globex.id.to_string()] });
    let plain = FakeRequest::new("/").bearer(&w.token(w.alice, orgs));
    let at = |slug: &str| plain.clone().header("x-organization-id", slug);
    assert_eq!(w.refused(&plain).await, (400, "tenant-not-named"));
    assert_eq!(w.admit(&at("acme")).await.unwrap().tenant_id(), w.acme.id);
    assert_eq!(w.refused(&at("globex")).await, (404, "not-a-member"));

    let narrow = FakeRequest::new("/").bearer(&w.token(w.alice, json!({ "orgs": ["acme"] })));
    assert_eq!(w.admit(&narrow).await.unwrap().tenant_id(), w.acme.id);
    let beyond = narrow.header("x-organization-id", "globex");
    assert_eq!(w.refused(&beyond).await, (404, "tenant-not-in-credential"));

    let chosen = json!({ "orgs": ["acme", "globex"], "org": "acme" });
    let default = FakeRequest::new("/").bearer(&w.token(w.alice, chosen));
    assert_eq!(w.admit(&default).await.unwrap().tenant_id(), w.acme.id);
}

#[tokio::test]
async fn a_membership_that_is_not_active_is_none() {
    for status in [MembershipStatus::Invited, MembershipStatus::Suspended] {
        let w = World::new().await;
        let membership =
            Membership::new(w.acme.id, w.alice, SystemRole::Owner.name()).with_status(status);
        w.tenancy
            .admin(tenancy_core::testing::service())
            .put_membership(&membership)
            .await
            .unwrap();
        let answered = w.admit(&w.alice_at("acme.notes.example")).await;
        assert_eq!(answer(answered), (404, "membership-not-active"));
    }
}

#[tokio::test]
async fn refusals_are_counted_and_those_of_strangers_sampled() {
    let w = World::new().await;
    let stranger = FakeRequest::new("/")
        .header("host", "acme.notes.example")
        .bearer("opaque");
    for _ in 0..500 {
        assert_eq!(w.refused(&stranger).await.0, 401);
    }
    assert_eq!(w.tenancy.refused(RefusalKind::Unauthenticated), 500);
    assert_eq!(
        w.audit.entries().len(),
        1,
        "one source, one reason, one window: one entry"
    );

    for _ in 0..20 {
        assert_eq!(w.refused(&w.alice_at("globex.notes.example")).await.0, 404);
    }
    let recorded = w.audit.entries().len();
    assert_eq!(
        recorded, 17,
        "whoever authenticated is recorded a few times"
    );

    w.clock.advance(Duration::from_secs(11));
    assert_eq!(w.refused(&stranger).await.0, 401);
    // What was left out of the stranger's was told with the first of the member's.
    assert_eq!(w.last_audit().suppressed, 4);
    let entries = w.audit.entries();
    let suppressed: u64 = entries.iter().map(|entry| entry.suppressed).sum();
    assert_eq!(suppressed, 499 + 4);
}

#[tokio::test]
async fn no_audit_entry_and_no_debug_output_holds_a_credential() {
    let w = World::new().await;
    let token = w.token(UserId::new(), json!({ "note": "a personal claim" }));
    let request = FakeRequest::new("/")
        .header("host", "acme.notes.example")
        .bearer(&token);
    assert_eq!(w.refused(&request).await.0, 404);
    let admitted = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let shown = format!("{:?} {:?} {:?}", w.audit.entries(), w.tenancy, admitted);
    let signature = token.rsplit('.').next().unwrap();
    assert!(!shown.contains(signature) && !shown.contains("a personal claim"));
    let recorded = serde_json::to_string(&w.audit.entries()).unwrap();
    assert!(recorded.contains("not-a-member") && !recorded.contains(signature));
}

/// An authenticator of the application's own that says who everybody is.
#[derive(Debug)]
struct Says(Arc<Principal>);

#[async_trait]
impl Authenticator for Says {
    fn probe(&self, _: Credential<'_>, _: Timestamp) -> Verdict {
        Verdict::Verified(Arc::clone(&self.0))
    }

    async fn verify(&self, _: Credential<'_>, _: Timestamp) -> Result<Verdict, LookupError> {
        Ok(Verdict::NotMine)
    }
}

#[tokio::test]
async fn no_credential_stands_for_the_service_itself() {
    let acme: tenancy_core::Slug = "acme".parse().unwrap();
    let request = FakeRequest::new("/notes").bearer("anything");
    for (actor, answered) in [
        (Actor::System, (401, "credential-actor")),
        (
            Actor::Job("nightly".parse().unwrap()),
            (401, "credential-actor"),
        ),
        (Actor::Anonymous, (401, "credential-actor")),
        (Actor::User(UserId::new()), (404, "not-a-member")),
    ] {
        let principal = Principal::new(
            actor,
            AllowedTenants::Bound(acme.clone().into()),
            "sessions",
        );
        let says = Says(Arc::new(principal));
        let w = World::with(|builder| builder.authenticator(says)).await;
        assert_eq!(w.refused(&request).await, answered);
    }
}
