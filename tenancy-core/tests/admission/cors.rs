//! Origins: a page's own tenant is a hint like any other, and what is nobody's is refused.

mod preflights;

use serde_json::json;
use tenancy_core::{
    Admitted, CorsAnswer, CorsDecision, CorsPolicy, Identification, Membership, Refusal,
    RefusalKind, RouteNeeds, SystemRole, TenancyBuilder, jwt::JwtAuthenticator,
    testing::FakeRequest,
};

use crate::support::{ISSUER, World, answer, key};

const ACME: &str = "acme.notes.example";
const PAGE: &str = "https://acme.notes.example";
const API: &str = "www.notes.example";

fn with_tokens(builder: TenancyBuilder) -> TenancyBuilder {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .build()
        .unwrap();
    builder.authenticator(tokens)
}

async fn world(policy: CorsPolicy) -> World {
    World::with(|builder| with_tokens(builder).cors(policy)).await
}

/// An application at `app.notes.test`, and the custom domain `notes.acme.test` of acme.
async fn usual() -> World {
    let w = world(CorsPolicy::new().origin("https://app.notes.test")).await;
    let domain = "notes.acme.test".parse().unwrap();
    w.tenancy
        .admin(tenancy_core::testing::service())
        .bind_domain(w.acme.id, &domain)
        .await
        .unwrap();
    w
}

async fn cors(w: &World, request: &FakeRequest, method: &str) -> CorsDecision {
    match w.tenancy.cors(request, method) {
        CorsAnswer::Ready(decision) => decision,
        CorsAnswer::Pending(pending) => pending.resolve().await,
    }
}

fn refused(decision: CorsDecision) -> Refusal {
    match decision {
        CorsDecision::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn preflight(host: &str, origin: &str) -> FakeRequest {
    FakeRequest::new("/notes")
        .header("host", host)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
}

#[tokio::test]
async fn a_page_of_the_tenant_of_the_application_or_of_the_same_host_is_admitted() {
    let w = usual().await;
    for (host, origin) in [
        (ACME, PAGE),
        (ACME, "https://ACME.notes.example."),
        (ACME, "https://acme.notes.example:443"),
        (ACME, "https://notes.acme.test"),
        (ACME, "https://app.notes.test"),
        ("notes.acme.test", PAGE),
        ("notes.acme.test", "https://notes.acme.test"),
        ("acme.notes.example:8443", "https://acme.notes.example:8443"),
        ("acme.notes.example:8443", PAGE),
    ] {
        let request = w.alice_at(host).header("origin", origin);
        let context = w.admit(&request).await;
        assert_eq!(context.unwrap().tenant_id(), w.acme.id, "{host} {origin}");
        let decision = cors(&w, &request, "GET").await;
        assert!(matches!(decision, CorsDecision::Allowed), "{host} {origin}");
    }
    let no_page = cors(&w, &w.alice_at(ACME), "GET").await;
    assert!(matches!(no_page, CorsDecision::NotCors));
}

#[tokio::test]
async fn an_origin_alone_names_the_tenant_of_the_page() {
    let w = usual().await;
    for origin in [PAGE, "https://notes.acme.test"] {
        let page = w.alice_at(API).header("origin", origin);
        assert_eq!(w.admit(&page).await.unwrap().tenant_id(), w.acme.id);
    }
    let application = w.alice_at(API).header("origin", "https://app.notes.test");
    assert_eq!(w.refused(&application).await, (400, "tenant-not-named"));
    // It chooses among the caller's own, and authorizes nothing.
    let elsewhere = w
        .alice_at(API)
        .header("origin", "https://globex.notes.example");
    assert_eq!(w.refused(&elsewhere).await, (404, "not-a-member"));
    let nobody = FakeRequest::new("/notes").header("origin", PAGE);
    assert_eq!(w.refused(&nobody).await, (401, "credential-absent"));
}

#[tokio::test]
async fn a_page_of_another_tenant_is_answered_as_if_the_tenant_were_not_there() {
    let w = usual().await;
    let bob = FakeRequest::new("/notes")
        .header("host", "globex.notes.example")
        .header("origin", "https://globex.notes.example")
        .bearer(&w.token(w.bob, json!({})));
    assert_eq!(w.admit(&bob).await.unwrap().tenant_id(), w.globex.id);
    let unknown = w.admit(&w.alice_at("nobody.notes.example")).await;
    let unknown = unknown.unwrap_err().problem().to_json();
    for request in [
        w.alice_at(ACME),
        w.alice_at(API).header("x-organization-id", "acme"),
        w.alice_at("notes.acme.test"),
        FakeRequest::new("/t/acme/notes").bearer(&w.token(w.alice, json!({}))),
    ] {
        // Once from what the directory says, and then from what is remembered of acme.
        for _ in 0..2 {
            assert!(w.admit(&request).await.is_ok());
            let page = request
                .clone()
                .header("origin", "https://globex.notes.example");
            let refusal = w.admit(&page).await.unwrap_err();
            assert_eq!(refusal.reason(), "hints-contradict");
            assert_eq!(refusal.problem().to_json(), unknown);
        }
    }
    let entry = w.last_audit();
    assert_eq!(entry.actor, Some(tenancy_core::Actor::User(w.alice)));
    assert_eq!(entry.target.as_deref(), Some("origin=slug:globex"));
}

#[tokio::test]
async fn a_credential_of_one_tenant_does_not_go_with_a_page_of_another() {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .tenant_claim("org_id")
        .build()
        .unwrap();
    let w = World::with(|builder| builder.authenticator(tokens).cors(CorsPolicy::new())).await;
    // A member of both, with a credential for acme.
    let both = Membership::new(w.globex.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&both)
        .await
        .unwrap();
    let token = w.token(w.alice, json!({ "org_id": w.acme.id }));
    let page = |origin| {
        FakeRequest::new("/notes")
            .header("host", API)
            .header("origin", origin)
            .bearer(&token)
    };
    assert_eq!(w.admit(&page(PAGE)).await.unwrap().tenant_id(), w.acme.id);
    assert_eq!(
        w.refused(&page("https://globex.notes.example")).await,
        (404, "credential-of-another-tenant")
    );
}

#[tokio::test]
async fn an_origin_that_is_nobodys_is_refused_before_authentication_on_every_route() {
    let w = usual().await;
    for (origin, reason) in [
        ("null", "origin-null"),
        ("", "origin-scheme-unknown"),
        ("chrome-extension://abc", "origin-scheme-unknown"),
        ("acme.notes.example", "origin-scheme-unknown"),
        ("http://acme.notes.example", "origin-insecure"),
        ("http://notes.acme.test", "origin-insecure"),
        ("https://acme.notes.example:8443", "origin-insecure"),
        ("https://acme.notes.example/", "origin-malformed"),
        ("https://acme.notes.example@evil.test", "origin-malformed"),
        (
            "https://acme.notes.example:443@evil.test",
            "origin-malformed",
        ),
        ("https://evil.test#acme.notes.example", "origin-malformed"),
        ("https://evil.test/.notes.example", "origin-malformed"),
        (
            "https://acme.notes.example, https://evil.test",
            "origin-malformed",
        ),
        ("https://a.acme.notes.example", "origin-unknown"),
        ("https://xn--bcher-kva.notes.example", "origin-unknown"),
        ("https://notes.example", "origin-unknown"),
        ("https://localhost", "origin-unknown"),
        ("https://192.0.2.1", "origin-unknown"),
        ("https://[2001:db8::1]", "origin-unknown"),
        ("http://app.notes.test", "origin-insecure"),
    ] {
        for needs in [
            RouteNeeds::tenant(),
            RouteNeeds::tenant().or_anonymous(),
            RouteNeeds::optional(),
            RouteNeeds::central(),
        ] {
            let asked = w.directory.questions();
            let request = FakeRequest::new("/t/acme/notes")
                .bearer("no.such.token")
                .header("origin", origin);
            let refusal = w.admit_as(&request, needs).await.unwrap_err();
            assert_eq!(refusal.kind(), RefusalKind::OriginNotAllowed, "{origin}");
            assert_eq!(refusal.reason(), reason, "{origin}");
            assert_eq!(w.directory.questions(), asked);
            let decision = refused(cors(&w, &request, "POST").await);
            assert_eq!(decision.reason(), reason, "{origin}");
        }
    }
    let twice = FakeRequest::new("/")
        .header("origin", PAGE)
        .header("origin", PAGE);
    let central = w.admit_as(&twice, RouteNeeds::central()).await;
    assert_eq!(answer(central), (403, "origin-repeated"));
    assert_eq!(
        refused(cors(&w, &twice, "GET").await).reason(),
        "origin-repeated"
    );
    let bytes = FakeRequest::new("/").header("origin", b"https://\xe4.example");
    let central = w.admit_as(&bytes, RouteNeeds::central()).await;
    assert_eq!(answer(central), (403, "origin-not-text"));
}

#[tokio::test]
async fn a_name_that_only_looks_like_a_tenants_host_is_a_domain_of_nobody() {
    let w = usual().await;
    for origin in [
        "https://acme.notes.example.evil.test",
        "https://acme-notes.example",
        "https://evilnotes.example",
        "https://www.notes.acme.test",
        "https://app.notes.test.evil.test",
    ] {
        let page = w.alice_at(ACME).header("origin", origin);
        assert_eq!(w.refused(&page).await, (404, "tenant-unknown"), "{origin}");
        let central = w.admit_as(&page, RouteNeeds::central()).await;
        assert_eq!(answer(central), (403, "origin-unknown"), "{origin}");
        let decision = refused(cors(&w, &page, "GET").await);
        assert_eq!(decision.reason(), "origin-unknown", "{origin}");
    }
}

#[tokio::test]
async fn routes_without_a_tenant_answer_pages_of_any_tenant_and_of_nobody_else() {
    let w = usual().await;
    for needs in [RouteNeeds::central(), RouteNeeds::optional()] {
        let from = |origin: &str| {
            FakeRequest::new("/sign-up")
                .header("host", API)
                .header("origin", origin)
        };
        for origin in [PAGE, "https://notes.acme.test", "https://app.notes.test"] {
            let admitted = w.admit_as(&from(origin), needs).await.unwrap();
            assert!(matches!(admitted, Admitted::NoTenant(None)), "{origin}");
        }
        let evil = w.admit_as(&from("https://evil.test"), needs).await;
        assert_eq!(answer(evil), (403, "origin-unknown"));
    }
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    let page = FakeRequest::new("/sign-up").header("origin", "https://notes.acme.test");
    let central = w.admit_as(&page, RouteNeeds::central()).await;
    assert_eq!(answer(central), (403, "origin-not-served"));
}

#[tokio::test]
async fn the_same_host_is_the_same_origin_only_with_its_port_and_securely() {
    let w = World::with(|builder| {
        with_tokens(builder)
            .identification(Identification::new().header("x-organization-id"))
            .cors(CorsPolicy::new())
    })
    .await;
    for (host, origin, allowed) in [
        ("api.notes.example", "https://api.notes.example", true),
        ("api.notes.example:443", "https://api.notes.example", true),
        (
            "api.notes.example:8443",
            "https://api.notes.example:8443",
            true,
        ),
        ("API.notes.example.", "https://api.notes.example", true),
        ("localhost:3000", "http://localhost:3000", true),
        ("[::1]:3000", "http://[::1]:3000", true),
        ("127.0.0.1", "http://127.0.0.1", true),
        ("127.8.0.1", "http://127.8.0.1", true),
        // Others on the way can put words into what such a page sends.
        ("192.168.0.5:3000", "http://192.168.0.5:3000", false),
        ("192.168.0.5:3000", "https://192.168.0.5:3000", true),
        ("intranet", "http://intranet", false),
        ("api.notes.example", "http://api.notes.example", false),
        ("api.notes.example", "https://api.notes.example:8443", false),
        ("api.notes.example:8443", "https://api.notes.example", false),
        ("api.notes.example", "https://notes.example", false),
        ("localhost:3000", "http://localhost:3001", false),
        ("localhost:3000", "http://127.0.0.1:3000", false),
        ("[::1]:3000", "http://[::2]:3000", false),
        ("127.0.0.1", "http://localhost", false),
    ] {
        let request = w.alice_at(host).header("origin", origin);
        let admitted = w.admit_as(&request, RouteNeeds::central()).await;
        assert_eq!(admitted.is_ok(), allowed, "{host} {origin}: {admitted:?}");
        let decision = cors(&w, &request, "GET").await;
        let says = matches!(decision, CorsDecision::Allowed);
        assert_eq!(says, allowed, "{host} {origin}: {decision:?}");
    }
    let two_hosts = w
        .alice_at("api.notes.example")
        .header("host", "api.notes.example")
        .header("origin", "https://api.notes.example");
    let central = w.admit_as(&two_hosts, RouteNeeds::central()).await;
    assert_eq!(answer(central), (403, "origin-unknown"));
}

#[tokio::test]
async fn a_proxy_in_front_tells_the_host_the_page_came_from() {
    let w = World::with(|builder| {
        with_tokens(builder)
            .identification(Identification::new().trusted_proxies(["10.0.0.0/8".parse().unwrap()]))
            .cors(CorsPolicy::new())
    })
    .await;
    let request = |peer: &str| {
        FakeRequest::new("/")
            .peer(peer.parse().unwrap())
            .header("host", "inner:8080")
            .header("x-forwarded-host", "api.notes.example")
            .header("origin", "https://api.notes.example")
    };
    let trusted = w
        .admit_as(&request("10.0.0.1"), RouteNeeds::central())
        .await;
    assert!(trusted.is_ok());
    let stranger = w
        .admit_as(&request("192.0.2.1"), RouteNeeds::central())
        .await;
    assert_eq!(answer(stranger), (403, "origin-unknown"));
}

#[tokio::test]
async fn insecure_origins_are_for_development() {
    let w = world(CorsPolicy::new().insecure_origins()).await;
    for origin in [
        "http://acme.notes.example",
        "http://acme.notes.example:5173",
        "https://acme.notes.example:8443",
    ] {
        let page = w.alice_at(API).header("origin", origin);
        assert_eq!(w.admit(&page).await.unwrap().tenant_id(), w.acme.id);
    }
    let own = w.alice_at(API).header("origin", "http://www.notes.example");
    assert!(w.admit_as(&own, RouteNeeds::central()).await.is_ok());
    let null = w.alice_at(ACME).header("origin", "null");
    assert_eq!(w.refused(&null).await, (403, "origin-null"));
}

#[tokio::test]
async fn without_a_policy_an_origin_is_ignored() {
    let w = World::new().await;
    assert!(w.tenancy.cors_policy().is_none());
    for origin in [
        "null",
        "https://evil.test",
        "https://globex.notes.example",
        "\x01",
    ] {
        let page = w.alice_at(ACME).header("origin", origin);
        assert_eq!(w.admit(&page).await.unwrap().tenant_id(), w.acme.id);
        assert!(matches!(
            cors(&w, &page, "GET").await,
            CorsDecision::NotCors
        ));
        let preflight = preflight(ACME, origin);
        assert!(matches!(
            cors(&w, &preflight, "OPTIONS").await,
            CorsDecision::NotCors
        ));
    }
    assert_eq!(w.tenancy.refused(RefusalKind::OriginNotAllowed), 0);
}

#[tokio::test]
async fn a_suspended_tenants_page_is_told_by_admission() {
    let w = usual().await;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    let page = w.alice_at(API).header("origin", PAGE);
    assert!(matches!(
        cors(&w, &page, "GET").await,
        CorsDecision::Allowed
    ));
    assert_eq!(w.refused(&page).await, (403, "tenant-suspended"));
}
