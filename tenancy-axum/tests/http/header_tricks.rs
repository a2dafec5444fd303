//! Header fields that say two things, or nothing readable, name nobody.

use axum::{Router, routing::get as on_get};
use http::StatusCode;
use tenancy_axum::TenancyLayer;
use tenancy_core::Refusal;

use crate::support::{World, get, slug, token};

#[tokio::test]
async fn what_is_ambiguous_is_refused() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy));
    let member = token(world.member);
    let bearer = format!("Bearer {member}");
    let long = "a".repeat(9_000);
    let notes = || get("/notes");
    let known = || notes().bearer(&member);
    let cases = [
        (
            "two credentials",
            notes().tenant("acme").bearer(&member).bearer(&member),
            401,
            "credential-repeated",
        ),
        (
            "two in one field",
            notes()
                .tenant("acme")
                .header("authorization", format!("{bearer}, {bearer}")),
            401,
            "credential-malformed",
        ),
        (
            "bytes",
            notes()
                .tenant("acme")
                .header("authorization", b"Bearer \xff\xfe"),
            401,
            "credential-not-text",
        ),
        (
            "utf-8",
            notes()
                .tenant("acme")
                .header("authorization", "Bearer tökén"),
            401,
            "credential-not-text",
        ),
        (
            "oversized",
            notes().tenant("acme").bearer(&long),
            401,
            "credential-oversized",
        ),
        (
            "empty",
            notes().tenant("acme").header("authorization", ""),
            401,
            "credential-malformed",
        ),
        (
            "two tenants",
            known().tenant("acme").tenant("globex"),
            404,
            "header-repeated",
        ),
        (
            "one tenant twice",
            known().tenant("acme").tenant("acme"),
            404,
            "header-repeated",
        ),
        (
            "a list",
            known().tenant("acme, globex"),
            404,
            "header-malformed",
        ),
        (
            "an oversized tenant",
            known().tenant(&long),
            404,
            "header-malformed",
        ),
        (
            "an empty tenant",
            known().tenant(""),
            404,
            "header-malformed",
        ),
        (
            "a tenant of bytes",
            known().header("x-tenant", b"acme\xff"),
            404,
            "header-not-text",
        ),
        (
            "two hosts",
            known()
                .header("host", "acme.example.com")
                .header("host", "acme.example.com"),
            404,
            "host-repeated",
        ),
        (
            "a host of bytes",
            known().header("host", b"acme\xff.example.com"),
            404,
            "host-not-text",
        ),
        (
            "a host with a user",
            known().header("host", "me@acme.example.com"),
            404,
            "host-malformed",
        ),
    ];
    for (case, request, status, reason) in cases {
        let answer = request.send(&app).await;
        assert_eq!(answer.status.as_u16(), status, "{case}");
        assert_eq!(
            answer.extensions.get::<Refusal>().unwrap().reason(),
            reason,
            "{case}"
        );
    }
}

#[tokio::test]
async fn the_host_is_read_from_http1_and_http2_and_must_not_differ() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy));
    let member = token(world.member);
    let http1 = get("/notes").header("host", "acme.example.com:8080");
    let http2 = get("https://acme.example.com/notes");
    let both = get("https://acme.example.com/notes").header("host", "acme.example.com");
    for request in [http1, http2, both] {
        let answer = request.bearer(&member).send(&app).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "acme"));
    }
    let two_faced = get("https://acme.example.com/notes").header("host", "globex.example.com");
    let answer = two_faced.bearer(&member).send(&app).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let with_user = get("https://me@acme.example.com/notes")
        .bearer(&member)
        .send(&app)
        .await;
    assert_eq!(with_user.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn forwarded_fields_count_only_from_a_listed_proxy() {
    use std::net::{IpAddr, SocketAddr};
    use tenancy_axum::PeerAddr;
    use tenancy_core::Identification;

    let rules = Identification::new()
        .subdomains_of("example.com")
        .trusted_proxies(["10.0.0.1/32".parse().unwrap()]);
    let world = World::with(|builder| builder.identification(rules)).await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy));
    let forwarded = || {
        get("/notes")
            .bearer(&token(world.member))
            .header("host", "globex.example.com")
            .header("x-forwarded-host", "acme.example.com")
    };
    let connected = |ip: [u8; 4]| axum::extract::ConnectInfo(SocketAddr::from((ip, 4711)));

    let by_proxy = forwarded()
        .extension(connected([10, 0, 0, 1]))
        .send(&app)
        .await;
    assert_eq!(by_proxy.body, "acme");
    let by_own_peer = forwarded().extension(PeerAddr(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(by_own_peer.send(&app).await.body, "acme");
    let by_client = forwarded()
        .extension(connected([10, 0, 0, 2]))
        .send(&app)
        .await;
    assert_eq!(by_client.body, "globex");
    let by_nobody_known = forwarded().send(&app).await;
    assert_eq!(by_nobody_known.body, "globex");
}
