//! Origins: a page's own tenant is a hint like any other, and what is nobody's is refused.

use proptest::prelude::*;
use serde_json::json;
use tenancy_core::{
    Admitted, CorsAnswer, CorsDecision, CorsPolicy, Identification, Refusal, RefusalKind,
    RouteNeeds, TenancyBuilder, TenantStatus, jwt::JwtAuthenticator, testing::FakeRequest,
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
        .admin()
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
    let bound = w.token(w.alice, json!({ "org_id": "acme" }));
    let bound = FakeRequest::new("/notes")
        .header("host", API)
        .header("origin", "https://globex.notes.example")
        .bearer(&bound);
    assert_eq!(w.refused(&bound).await.0, 404);
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
    w.tenancy.admin().suspend(w.acme.id).await.unwrap();
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
async fn a_preflight_is_allowed_only_as_the_policy_says() {
    let w = usual().await;
    for fields in [
        "",
        "authorization",
        "authorization,content-type",
        "X-Organization-Id , ,x-project-id",
    ] {
        let asked = preflight(API, PAGE).header("access-control-request-headers", fields);
        let decision = cors(&w, &asked, "OPTIONS").await;
        assert!(
            matches!(decision, CorsDecision::Allowed),
            "{fields}: {decision:?}"
        );
    }
    let bare = || {
        FakeRequest::new("/notes")
            .header("host", API)
            .header("origin", PAGE)
    };
    for (asked, reason) in [
        (
            bare().header("access-control-request-method", "PURGE"),
            "method-not-allowed",
        ),
        (
            bare().header("access-control-request-method", "post"),
            "method-not-allowed",
        ),
        (
            bare().header("access-control-request-method", "*"),
            "method-not-allowed",
        ),
        (
            bare().header("access-control-request-method", b"\xff"),
            "method-not-allowed",
        ),
        (
            preflight(API, PAGE).header("access-control-request-method", "GET"),
            "method-not-allowed",
        ),
        (
            preflight(API, PAGE).header("access-control-request-headers", "x-evil"),
            "header-not-allowed",
        ),
        (
            preflight(API, PAGE).header("access-control-request-headers", "authorization,*"),
            "header-not-allowed",
        ),
        (
            preflight(API, PAGE)
                .header("access-control-request-headers", "authorization")
                .header("access-control-request-headers", "x-evil"),
            "header-not-allowed",
        ),
        (preflight(API, "https://evil.test/"), "origin-malformed"),
        (preflight(API, "null"), "origin-null"),
        (
            preflight(ACME, "https://globex.notes.example"),
            "origin-of-another-tenant",
        ),
    ] {
        let refusal = refused(cors(&w, &asked, "OPTIONS").await);
        assert_eq!(refusal.kind(), RefusalKind::OriginNotAllowed);
        assert_eq!(refusal.reason(), reason, "{asked:?}");
    }
    // Of anything but a preflight, only the origin is asked.
    let plain = bare().header("access-control-request-method", "PURGE");
    assert!(matches!(
        cors(&w, &plain, "GET").await,
        CorsDecision::Allowed
    ));
    assert!(matches!(
        cors(&w, &bare(), "OPTIONS").await,
        CorsDecision::Allowed
    ));
}

#[tokio::test]
async fn a_refused_preflight_is_counted_and_sampled_and_any_other_left_to_admission() {
    let w = usual().await;
    let before = w.audit.entries().len();
    for _ in 0..3 {
        let _ = refused(cors(&w, &preflight(API, "null"), "OPTIONS").await);
        let _ = refused(cors(&w, &preflight(API, "null"), "POST").await);
    }
    assert_eq!(w.tenancy.refused(RefusalKind::OriginNotAllowed), 3);
    assert_eq!(w.audit.entries().len(), before + 1);
    let entry = w.last_audit();
    assert_eq!(entry.action, "cors.preflight");
    assert_eq!(entry.target.as_deref(), Some("origin=null"));
    let request = w
        .alice_at(ACME)
        .header("origin", format!("x{}", "y".repeat(1000)));
    assert_eq!(w.refused(&request).await, (403, "origin-scheme-unknown"));
    assert_eq!(w.tenancy.refused(RefusalKind::OriginNotAllowed), 4);
    let entry = w.last_audit();
    assert_eq!(entry.action, "request.admit");
    assert_eq!(
        entry.target.map(|target| target.len()),
        Some("origin=".len() + 256)
    );
}

#[tokio::test]
async fn subdomains_are_answered_without_the_directory_whether_there_is_such_a_tenant_or_not() {
    let w = usual().await;
    w.directory.fail(true);
    w.tenancy.invalidate(w.acme.id);
    let asked = w.directory.questions();
    for origin in [PAGE, "https://nobody.notes.example"] {
        let decision = w.tenancy.cors(&preflight(API, origin), "OPTIONS");
        assert!(
            matches!(decision, CorsAnswer::Ready(CorsDecision::Allowed)),
            "{origin}: {decision:?}"
        );
    }
    for (host, path) in [("globex.notes.example", "/"), (API, "/t/globex/notes")] {
        let other = FakeRequest::new(path)
            .header("host", host)
            .header("origin", PAGE);
        let refusal = refused(cors(&w, &other, "GET").await);
        assert_eq!(refusal.reason(), "origin-of-another-tenant");
    }
    assert_eq!(w.directory.questions(), asked);
}

#[tokio::test]
async fn a_custom_domain_is_looked_up_once_and_allowed_while_its_tenant_is_served() {
    let w = usual().await;
    let asking = || preflight(API, "https://notes.acme.test");
    let unknown = preflight(API, "https://evil.test");
    assert!(matches!(
        w.tenancy.cors(&asking(), "OPTIONS"),
        CorsAnswer::Pending(_)
    ));
    assert!(matches!(
        cors(&w, &asking(), "OPTIONS").await,
        CorsDecision::Allowed
    ));
    assert_eq!(
        refused(cors(&w, &unknown, "OPTIONS").await).reason(),
        "origin-unknown"
    );
    let asked = w.directory.questions();
    for _ in 0..5 {
        let warm = w.tenancy.cors(&asking(), "OPTIONS");
        assert!(matches!(warm, CorsAnswer::Ready(CorsDecision::Allowed)));
        let warm = w.tenancy.cors(&unknown, "OPTIONS");
        assert!(matches!(warm, CorsAnswer::Ready(CorsDecision::Refused(_))));
    }
    assert_eq!(w.directory.questions(), asked);
    for (status, allowed) in [
        (TenantStatus::PastDue, true),
        (TenantStatus::Suspended, false),
        (TenantStatus::PendingDeletion, false),
        (TenantStatus::Deleted, false),
    ] {
        w.tenancy
            .admin()
            .set_status(w.acme.id, status)
            .await
            .unwrap();
        let decision = cors(&w, &asking(), "OPTIONS").await;
        assert_eq!(
            matches!(decision, CorsDecision::Allowed),
            allowed,
            "{status}: {decision:?}"
        );
    }
}

#[tokio::test]
async fn many_first_preflights_ask_once() {
    let w = usual().await;
    let asked = w.directory.questions();
    let page = preflight(API, "https://notes.acme.test");
    let all = futures_util::future::join_all((0..100).map(|_| cors(&w, &page, "OPTIONS"))).await;
    assert!(
        all.iter()
            .all(|decision| matches!(decision, CorsDecision::Allowed))
    );
    assert_eq!(w.directory.questions(), asked + 1);
}

#[tokio::test]
async fn a_directory_that_is_down_is_unavailable_and_not_remembered() {
    let w = usual().await;
    w.directory.fail(true);
    let page = preflight(API, "https://notes.acme.test");
    let refusal = refused(cors(&w, &page, "OPTIONS").await);
    assert_eq!(refusal.kind(), RefusalKind::Unavailable);
    assert_eq!(w.tenancy.refused(RefusalKind::Unavailable), 1);
    let central = FakeRequest::new("/").header("origin", "https://notes.acme.test");
    let central = w.admit_as(&central, RouteNeeds::central()).await;
    assert_eq!(answer(central).0, 503);
    w.directory.fail(false);
    assert!(matches!(
        cors(&w, &page, "OPTIONS").await,
        CorsDecision::Allowed
    ));
}

#[tokio::test]
async fn a_suspended_tenants_page_is_told_by_admission() {
    let w = usual().await;
    w.tenancy.admin().suspend(w.acme.id).await.unwrap();
    let page = w.alice_at(API).header("origin", PAGE);
    assert!(matches!(
        cors(&w, &page, "GET").await,
        CorsDecision::Allowed
    ));
    assert_eq!(w.refused(&page).await, (403, "tenant-suspended"));
}

#[test]
fn no_text_is_allowed_but_those_that_mean_an_allowed_origin() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let w = runtime.block_on(World::with(|builder| {
        let rules = Identification::new().subdomains_of("notes.example");
        let policy = CorsPolicy::new().origin("https://app.notes.test");
        with_tokens(builder).identification(rules).cors(policy)
    }));
    let pieces = prop::collection::vec(
        prop_oneof![
            Just("https://".to_owned()),
            Just("http://".to_owned()),
            Just("acme".to_owned()),
            Just(".notes.example".to_owned()),
            Just("app.notes.test".to_owned()),
            Just(":443".to_owned()),
            Just("null".to_owned()),
            "[@#/:?.,%\\\\\\[\\] a-zA-Z0-9-]{0,3}",
            "\\PC{0,4}",
        ],
        0..6,
    );
    let meant = |text: &str| {
        let text = text.strip_prefix("https://")?;
        let text = text.strip_suffix(":443").unwrap_or(text);
        let text = text.strip_suffix('.').unwrap_or(text).to_lowercase();
        let label = text.strip_suffix(".notes.example");
        (text == "app.notes.test" || text == "api.notes.test" || label.is_some_and(is_label))
            .then_some(())
    };
    fn is_label(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }
    proptest!(|(pieces in pieces)| {
        let text: String = pieces.concat();
        let request = FakeRequest::new("/")
            .header("host", "api.notes.test")
            .header("origin", &text);
        let CorsAnswer::Ready(decision) = w.tenancy.cors(&request, "GET") else {
            return Err(TestCaseError::fail("subdomains are never looked up"));
        };
        if matches!(decision, CorsDecision::Allowed) {
            prop_assert!(meant(&text).is_some(), "{:?}", text);
        }
        // Decided alike at the door.
        let central = runtime.block_on(w.admit_as(&request, RouteNeeds::central()));
        prop_assert_eq!(central.is_ok(), matches!(decision, CorsDecision::Allowed));
    });
}
