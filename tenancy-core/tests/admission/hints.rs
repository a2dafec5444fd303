//! Hints: every one that is present agrees with every other and with the credential.

use serde_json::json;
use tenancy_core::{
    Admitted, ConfigError, Identification, MemoryDirectory, RouteNeeds, Tenancy, TenantStatus,
    jwt::JwtAuthenticator, testing::FakeRequest,
};

use crate::support::{ISSUER, World, answer, key};

#[tokio::test]
async fn every_kind_of_hint_finds_the_tenant() {
    let w = World::new().await;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .bind_domain(w.acme.id, &"notes.acme.test".parse().unwrap())
        .await
        .unwrap();
    let token = w.token(w.alice, json!({}));
    let path = format!("/t/{}/notes", w.acme.id);
    for request in [
        FakeRequest::new("/notes").header("x-organization-id", w.acme.id.to_string()),
        FakeRequest::new("/notes").header("x-organization-id", "acme"),
        FakeRequest::new("/notes").header("host", "acme.notes.example"),
        FakeRequest::new("/notes").header("host", "ACME.Notes.Example.:8443"),
        FakeRequest::new("/notes").authority("acme.notes.example"),
        FakeRequest::new("/notes").header("host", "notes.acme.test"),
        FakeRequest::new("/t/acme/notes"),
        FakeRequest::new(&path),
        FakeRequest::new("/t/acme").header("host", "acme.notes.example"),
    ] {
        let context = w.admit(&request.clone().bearer(&token)).await;
        assert_eq!(context.unwrap().tenant_id(), w.acme.id, "{request:?}");
    }
}

#[tokio::test]
async fn hints_that_disagree_are_refused_whoever_they_name() {
    let w = World::new().await;
    let token = w.token(w.alice, json!({}));
    let two = FakeRequest::new("/t/acme/notes").header("host", "globex.notes.example");
    assert_eq!(
        w.refused(&two.bearer(&token)).await,
        (404, "hints-contradict")
    );
    let three = FakeRequest::new("/t/acme/notes")
        .header("host", "acme.notes.example")
        .header("x-organization-id", w.globex.id.to_string());
    assert_eq!(
        w.refused(&three.bearer(&token)).await,
        (404, "hints-contradict")
    );
    let entry = w.last_audit();
    assert_eq!(entry.reason.as_deref(), Some("hints-contradict"));
    assert_eq!(entry.actor, Some(tenancy_core::Actor::User(w.alice)));
}

#[tokio::test]
async fn unknown_and_not_yours_are_the_same_answer() {
    let w = World::new().await;
    let unknown = w
        .admit(&w.alice_at("nobody.notes.example"))
        .await
        .unwrap_err();
    let not_yours = w
        .admit(&w.alice_at("globex.notes.example"))
        .await
        .unwrap_err();
    assert_eq!(
        (unknown.reason(), not_yours.reason()),
        ("tenant-unknown", "not-a-member")
    );
    assert_eq!(unknown.problem(), not_yours.problem());
    assert_eq!(unknown.problem().to_json(), not_yours.problem().to_json());
    // Bob belongs there: the refusal was about Alice and not about a tenant that is not there.
    let bob = FakeRequest::new("/")
        .header("host", "globex.notes.example")
        .bearer(&w.token(w.bob, json!({})));
    assert_eq!(w.admit(&bob).await.unwrap().tenant_id(), w.globex.id);
}

#[tokio::test]
async fn a_hint_that_can_not_be_read_is_refused_and_never_skipped() {
    let w = World::new().await;
    let token = w.token(w.alice, json!({}));
    let own = || FakeRequest::new("/t/acme").bearer(&token);
    for (request, reason) in [
        (
            own().header("x-organization-id", "Acme"),
            "header-malformed",
        ),
        (own().header("x-organization-id", ""), "header-malformed"),
        (
            own()
                .header("x-organization-id", "acme")
                .header("x-organization-id", "acme"),
            "header-repeated",
        ),
        (
            own().header("x-organization-id", b"\xff"),
            "header-not-text",
        ),
        (
            own().header("x-organization-id", "a".repeat(10_000)),
            "header-malformed",
        ),
        (
            own().header("host", "a.b.notes.example"),
            "subdomain-malformed",
        ),
        (
            own()
                .header("host", "acme.notes.example")
                .header("host", "x.test"),
            "host-repeated",
        ),
        (
            own()
                .header("host", "acme.notes.example")
                .authority("x.test"),
            "host-contradicts-target",
        ),
        (own().header("x-project-id", "p1"), "project-malformed"),
        (
            FakeRequest::new("/t/%61cme").bearer(&token),
            "path-malformed",
        ),
        (
            FakeRequest::new("/t//acme").bearer(&token),
            "path-malformed",
        ),
        (FakeRequest::new("/t/").bearer(&token), "path-malformed"),
    ] {
        assert_eq!(w.refused(&request).await, (404, reason), "{request:?}");
    }
}

#[tokio::test]
async fn central_hosts_addresses_and_bare_names_hint_at_nobody() {
    let w = World::new().await;
    for host in [
        "notes.example",
        "www.notes.example",
        "localhost:3000",
        "127.0.0.1",
        "[::1]:80",
    ] {
        assert_eq!(
            w.refused(&w.alice_at(host)).await,
            (400, "tenant-not-named"),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_stranger_to_a_suspended_tenant_does_not_learn_that_it_is() {
    let w = World::new().await;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.globex.id)
        .await
        .unwrap();
    let own = w.admit(&w.alice_at("acme.notes.example")).await;
    assert_eq!(answer(own), (403, "tenant-suspended"));
    let other = w.admit(&w.alice_at("globex.notes.example")).await;
    assert_eq!(answer(other), (404, "not-a-member"));
}

#[tokio::test]
async fn only_served_tenants_are_served() {
    for (status, want) in [
        (TenantStatus::PastDue, None),
        (TenantStatus::Suspended, Some((403, "tenant-suspended"))),
        (
            TenantStatus::PendingDeletion,
            Some((403, "tenant-inactive")),
        ),
    ] {
        let w = World::new().await;
        w.tenancy
            .admin(tenancy_core::testing::service())
            .set_status(w.acme.id, status)
            .await
            .unwrap();
        let answered = w.admit(&w.alice_at("acme.notes.example")).await;
        match want {
            None => assert_eq!(answered.unwrap().record().status, status),
            Some(want) => assert_eq!(answer(answered), want),
        }
    }
    let w = World::new().await;
    for step in [TenantStatus::PendingDeletion, TenantStatus::Deleted] {
        w.tenancy
            .admin(tenancy_core::testing::service())
            .set_status(w.acme.id, step)
            .await
            .unwrap();
    }
    let gone = w.admit(&w.alice_at("acme.notes.example")).await;
    assert_eq!(answer(gone), (404, "tenant-deleted"));
}

#[tokio::test]
async fn routes_without_a_tenant_need_no_credential_but_refuse_a_bad_one() {
    let w = World::new().await;
    let nobody = FakeRequest::new("/sign-up").header("host", "acme.notes.example");
    for needs in [RouteNeeds::central(), RouteNeeds::optional()] {
        let admitted = w.admit_as(&nobody, needs).await.unwrap();
        assert!(matches!(admitted, Admitted::NoTenant(None)), "{needs:?}");
        let bad = w.admit_as(&nobody.clone().bearer("x.y.z"), needs).await;
        assert_eq!(answer(bad).0, 401, "{needs:?}");
    }
    let alice = w.alice_at("acme.notes.example");
    let central = w.admit_as(&alice, RouteNeeds::central()).await.unwrap();
    assert!(
        matches!(central, Admitted::NoTenant(Some(principal)) if principal.user() == Some(w.alice))
    );
    let optional = w.admit_as(&alice, RouteNeeds::optional()).await.unwrap();
    assert!(matches!(optional, Admitted::Tenant(context) if context.tenant_id() == w.acme.id));
    let unnamed = w
        .admit_as(&w.alice_at("notes.example"), RouteNeeds::optional())
        .await
        .unwrap();
    assert!(matches!(unnamed, Admitted::NoTenant(Some(_))));
}

#[tokio::test]
async fn anonymous_visitors_enter_only_where_a_route_says_so_and_may_nothing() {
    let w = World::new().await;
    let visitor = FakeRequest::new("/").header("host", "acme.notes.example");
    assert_eq!(w.refused(&visitor).await, (401, "credential-absent"));
    let public = RouteNeeds::tenant().or_anonymous();
    let Admitted::Tenant(context) = w.admit_as(&visitor, public).await.unwrap() else {
        panic!("a tenant");
    };
    assert_eq!(context.tenant_id(), w.acme.id);
    assert_eq!(context.user_id(), None);
    assert_eq!(
        answer(context.require("notes:read")),
        (401, "anonymous-caller")
    );
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(
        answer(w.admit_as(&visitor, public).await),
        (404, "tenant-not-served")
    );
}

#[test]
fn rules_that_can_not_apply_are_an_error_at_build() {
    let build = |rules: Identification| -> Result<Tenancy, ConfigError> {
        let tokens = JwtAuthenticator::builder(ISSUER, "notes")
            .key(key())
            .build()
            .unwrap();
        Tenancy::builder(MemoryDirectory::new())
            .identification(rules)
            .authenticator(tokens)
            .build()
    };
    for (rules, says) in [
        (
            Identification::new().header("x org"),
            "`x org` is not a header name",
        ),
        (
            Identification::new().header("Authorization"),
            "can't name a tenant",
        ),
        (Identification::new().header("Host"), "subdomains_of"),
        (
            Identification::new().subdomains_of("intranet"),
            "`intranet` is not a domain",
        ),
        (
            Identification::new().subdomains_of("example.com:80"),
            "without port",
        ),
        (
            Identification::new().path_prefix("t"),
            "must be `/` and segments",
        ),
        (Identification::new().path_prefix("/"), "such as `/t`"),
        (
            Identification::new().path_prefix("/größe"),
            "written in several ways",
        ),
    ] {
        let message = build(rules).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
    let unauthenticated = Tenancy::builder(MemoryDirectory::new())
        .build()
        .unwrap_err();
    assert!(unauthenticated.to_string().contains("authenticator"));
}

/// M6. Also where the answer is asked for again, and so perhaps remembered.
#[tokio::test]
async fn a_directory_that_answers_with_another_tenants_record_opens_nothing() {
    let w = World::new().await;
    w.directory.mistake_all_for(&w.acme);
    let id = w.globex.id.to_string();
    for named in ["globex", &id] {
        let request = w
            .alice_at("www.notes.example")
            .header("x-organization-id", named);
        for _ in 0..5 {
            assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
        }
        // Nor from what others have had loaded.
        let bobs = FakeRequest::new("/notes")
            .header("host", "www.notes.example")
            .header("x-organization-id", named)
            .bearer(&w.token(w.bob, serde_json::json!({})));
        for _ in 0..3 {
            assert_eq!(w.refused(&bobs).await, (404, "tenant-unknown"));
        }
        assert_eq!(w.refused(&request).await, (404, "tenant-unknown"));
    }
}
