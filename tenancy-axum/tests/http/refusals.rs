//! Each question has one answer, and it tells nothing else.

use axum::{Router, body::Body, routing::get as on_get};
use http::{Method, StatusCode};
use tenancy_axum::TenancyLayer;
use tenancy_core::{Refusal, RefusalKind, UserId};
use tower::ServiceExt as _;

use crate::support::{Sending, World, get, slug, token, token_until, unix_now};

fn app(world: &World) -> Router {
    Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy))
}

fn notes() -> Sending {
    get("/notes")
}

#[tokio::test]
async fn a_member_is_served_cold_and_warm() {
    let world = World::new().await;
    let app = app(&world);
    for tenant in ["acme", "globex", "acme", "globex"] {
        let answer = notes()
            .tenant(tenant)
            .bearer(&token(world.member))
            .send(&app)
            .await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, tenant));
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem_that_keeps_its_reason() {
    use RefusalKind as Kind;

    let world = World::new().await;
    let app = app(&world);
    let member = token(world.member);
    let stranger = token(world.stranger);
    let forged = token(world.member).replace('.', "x.");
    let expired = token_until(world.member, unix_now() - 3_600);
    let cases = [
        (
            "no credential",
            notes().tenant("acme"),
            Kind::Unauthenticated,
        ),
        (
            "no bearer",
            notes().tenant("acme").header("authorization", "Basic YTpi"),
            Kind::Unauthenticated,
        ),
        (
            "forged",
            notes().tenant("acme").bearer(&forged),
            Kind::Unauthenticated,
        ),
        (
            "expired",
            notes().tenant("acme").bearer(&expired),
            Kind::Unauthenticated,
        ),
        ("no tenant", notes().bearer(&member), Kind::TenantRequired),
        (
            "unknown",
            notes().tenant("nowhere").bearer(&member),
            Kind::TenantNotFound,
        ),
        (
            "a stranger's",
            notes().tenant("acme").bearer(&stranger),
            Kind::TenantNotFound,
        ),
        (
            "suspended, a stranger",
            notes().tenant("asleep").bearer(&stranger),
            Kind::TenantNotFound,
        ),
        (
            "suspended",
            notes().tenant("asleep").bearer(&member),
            Kind::TenantSuspended,
        ),
        (
            "contradicting",
            get("https://globex.example.com/notes")
                .tenant("acme")
                .bearer(&member),
            Kind::TenantNotFound,
        ),
    ];
    for (case, request, kind) in cases {
        let answer = request.send(&app).await;
        let refusal = answer
            .extensions
            .get::<Refusal>()
            .expect("the refusal, for outer layers");
        assert_eq!(refusal.kind(), kind, "{case}");
        assert_eq!(answer.status.as_u16(), kind.status(), "{case}");
        assert_eq!(answer.body, refusal.problem().to_json(), "{case}");
        let tells = answer.body.contains(refusal.reason());
        assert!(!tells || refusal.reason() == kind.as_str(), "{case}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{case}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{case}");
        let challenge = (kind == Kind::Unauthenticated).then_some("Bearer");
        assert_eq!(answer.header("www-authenticate"), challenge, "{case}");
        assert_eq!(answer.header("retry-after"), None, "{case}");
    }
}

#[tokio::test]
async fn unknown_and_foreign_tenants_get_the_same_bytes() {
    let world = World::new().await;
    let app = app(&world);
    let ask = |tenant: &'static str, user: UserId| notes().tenant(tenant).bearer(&token(user));
    let unknown = ask("nowhere", world.viewer).send(&app).await;
    let foreign = ask("globex", world.viewer).send(&app).await;
    let foreign_suspended = ask("asleep", world.viewer).send(&app).await;
    for other in [foreign, foreign_suspended] {
        assert_eq!(other.status, unknown.status);
        assert_eq!(other.headers, unknown.headers);
        assert_eq!(other.body, unknown.body);
    }
}

#[tokio::test]
async fn a_directory_that_fails_is_a_503_and_no_404() {
    let world = World::new().await;
    world.directory.fail(true);
    let request = notes().tenant("acme").bearer(&token(world.member));
    let answer = request.send(&app(&world)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem(), "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.body.contains("10.1.2.3"), "{}", answer.body);
}

#[tokio::test]
async fn head_is_refused_without_a_body_and_with_the_length_of_gets() {
    let world = World::new().await;
    // As a bare service, because axum's router would empty the body itself.
    let service = |_: http::Request<Body>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
    };
    let layered = tower::ServiceBuilder::new()
        .layer(TenancyLayer::new(&world.tenancy))
        .service_fn(service);
    let sent = |method: Method| layered.clone().oneshot(notes().method(method).build());
    let got = sent(Method::GET).await.unwrap();
    let headed = sent(Method::HEAD).await.unwrap();
    assert_eq!(headed.status(), StatusCode::UNAUTHORIZED);
    let of_get = axum::body::to_bytes(got.into_body(), 10_000).await.unwrap();
    let length = headed.headers()["content-length"].to_str().unwrap();
    assert_eq!(length, of_get.len().to_string());
    assert!(
        axum::body::to_bytes(headed.into_body(), 10_000)
            .await
            .unwrap()
            .is_empty()
    );

    // Decided by a future, because nobody has asked for this tenant before.
    let unknown = notes()
        .method(Method::HEAD)
        .tenant("nowhere")
        .bearer(&token(world.member));
    let unknown = layered.clone().oneshot(unknown.build()).await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(
        axum::body::to_bytes(unknown.into_body(), 10_000)
            .await
            .unwrap()
            .is_empty()
    );

    let routed = notes().method(Method::HEAD).send(&app(&world)).await;
    assert_eq!(routed.body, "");
    assert_eq!(
        routed.header("content-length"),
        Some(&*of_get.len().to_string())
    );
}

#[tokio::test]
async fn refusals_are_audited_with_the_peer() {
    use std::net::{IpAddr, SocketAddr};

    let world = World::new().await;
    let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
    let request = notes()
        .tenant("globex")
        .bearer(&token(world.viewer))
        .header("user-agent", "curl/8")
        .extension(axum::extract::ConnectInfo(peer));
    request.send(&app(&world)).await;
    let entries = world.audit.entries();
    let [entry] = &*entries else {
        panic!("one entry: {entries:?}")
    };
    assert_eq!(entry.ip, Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(entry.user_agent.as_deref(), Some("curl/8"));
    assert_eq!(entry.reason.as_deref(), Some("not-a-member"));
}
