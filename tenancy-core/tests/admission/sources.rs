//! Credentials from other places than `Authorization: Bearer`, and what browsers send by themselves.

use std::{net::IpAddr, sync::Arc};

use serde_json::json;
use tenancy_core::{
    Actor, Admitted, AllowedTenants, Authenticator, CorsPolicy, Credential, CredentialSource,
    EstablishedPrincipal, Field, Identification, KeyId, LookupError, Membership, Principal,
    Rejection, RouteNeeds, ServiceId, SystemRole, Tenancy, TenancyBuilder, Timestamp, UserId,
    Verdict, async_trait, jwt::JwtAuthenticator, testing::FakeRequest, testing::StoreDirectly as _,
};

use crate::support::{ISSUER, World, answer, key};

/// Sessions in a table: `good` is this user's, `old` was one.
#[derive(Debug)]
pub(crate) struct Sessions(pub(crate) UserId);

#[async_trait]
impl Authenticator for Sessions {
    fn probe(&self, credential: Credential<'_>, _: Timestamp) -> Verdict {
        match credential.expose() {
            "elsewhere" => Verdict::NotMine,
            "old" => Verdict::Rejected(Rejection::new("session-expired")),
            _ => Verdict::NeedsLookup,
        }
    }

    async fn verify(&self, it: Credential<'_>, now: Timestamp) -> Result<Verdict, LookupError> {
        if it.expose() != "good" {
            return Ok(Verdict::Rejected(Rejection::new("session-unknown")));
        }
        let mut principal =
            Principal::new(Actor::User(self.0), AllowedTenants::Memberships, "sessions");
        principal.issued_at = Some(now);
        Ok(Verdict::Verified(Arc::new(principal)))
    }
}

/// What adds a credential to a request.
type Adds = fn(FakeRequest) -> FakeRequest;

/// An engine whose sessions come from these places, with a member of `acme` to whom `good` belongs.
async fn world(
    sources: &[CredentialSource],
    more: impl FnOnce(TenancyBuilder) -> TenancyBuilder,
) -> (World, UserId) {
    let user = UserId::new();
    let sessions = Sessions(user);
    let sources = sources.to_vec();
    let w = World::with(|builder| more(builder.authenticator_from(sources, sessions))).await;
    let membership = Membership::new(w.acme.id, user, SystemRole::Member.name());
    w.directory.put_membership(&membership).await.unwrap();
    (w, user)
}

fn get() -> FakeRequest {
    FakeRequest::new("/notes").header("host", "acme.notes.example")
}

fn post() -> FakeRequest {
    get().method("POST")
}

fn proxy() -> IpAddr {
    IpAddr::from([10, 0, 0, 1])
}

fn behind_proxy(builder: TenancyBuilder) -> TenancyBuilder {
    let rules = Identification::new().subdomains_of("notes.example");
    builder.identification(rules.trusted_proxies(["10.0.0.0/8".parse().unwrap()]))
}

const SESSION: &str = "__Host-session";

fn cookie() -> CredentialSource {
    CredentialSource::cookie(SESSION)
}

/// The session as a cookie, among others.
fn session(request: FakeRequest, value: &str) -> FakeRequest {
    request.header("cookie", format!("theme=dark; {SESSION}={value}; x=\u{e9}"))
}

#[tokio::test]
async fn a_credential_is_read_where_its_source_says() {
    let signed = CredentialSource::request("signature", |request| {
        match (request.header("x-one"), request.header("x-two")) {
            (Field::Absent, _) => Ok(None),
            (Field::One(one), Field::One(two)) => Ok(Some(format!("{one}{two}"))),
            _ => Err(Rejection::new("signature-malformed")),
        }
    });
    for (source, request) in [
        (CredentialSource::bearer(), get().bearer("good")),
        (
            CredentialSource::scheme("Token"),
            get().header("authorization", "token good"),
        ),
        (
            CredentialSource::basic("notes"),
            get().header("authorization", "Basic  good"),
        ),
        (
            CredentialSource::header("X-Session"),
            get().header("x-session", "good"),
        ),
        (cookie(), session(get(), "good")),
        (
            cookie(),
            get()
                .header("cookie", "a=b")
                .header("cookie", format!("{SESSION}=good")),
        ),
        (
            CredentialSource::client_certificate("x-client-subject"),
            get().header("x-client-subject", "good").peer(proxy()),
        ),
        (signed, get().header("x-one", "go").header("x-two", "od")),
    ] {
        let what = format!("{source:?} {request:?}");
        let (w, user) = world(&[source], behind_proxy).await;
        let context = w.admit(&request).await.expect(&what);
        assert_eq!(context.principal().user(), Some(user), "{what}");
    }
}

#[tokio::test]
async fn several_fields_may_carry_the_same_credential() {
    let sources = ["x-token", "x-old-token"].map(CredentialSource::header);
    let (w, _) = world(&sources, |builder| builder).await;
    for name in ["x-token", "x-old-token"] {
        w.admit(&get().header(name, "good")).await.unwrap();
    }
    let both = get()
        .header("x-token", "good")
        .header("x-old-token", "good");
    assert_eq!(w.refused(&both).await, (401, "credential-repeated"));
}

/// A credential of one place is none at another: there, another authenticator may know it, or nobody.
#[tokio::test]
async fn an_authenticator_sees_its_own_sources_only() {
    let (w, _) = world(&[cookie()], |builder| builder).await;
    let bearer = get().bearer("good");
    assert_eq!(w.refused(&bearer).await, (401, "credential-scheme-unknown"));
    let other_cookie = get().header("cookie", "session=good");
    assert_eq!(w.refused(&other_cookie).await, (401, "credential-absent"));
    let (w, _) = world(&[cookie()], |builder| {
        builder.authenticator(Sessions(UserId::new()))
    })
    .await;
    assert_eq!(
        w.refused(&get().bearer("good")).await,
        (404, "not-a-member")
    );
    w.admit(&session(get(), "good")).await.unwrap();
}

#[tokio::test]
async fn two_credentials_are_refused_wherever_they_stand() {
    let certificate = CredentialSource::client_certificate("x-client-subject");
    let sources = [
        CredentialSource::bearer(),
        CredentialSource::header("x-session"),
        cookie(),
        certificate,
    ];
    let established = |request: FakeRequest| {
        let principal =
            EstablishedPrincipal::user(UserId::new(), Timestamp::from_unix_seconds(1), "x");
        request.established(principal)
    };
    let carry: [(&str, Adds); 5] = [
        ("bearer", |request| request.bearer("good")),
        ("another scheme", |request| {
            request.header("authorization", "Token x")
        }),
        ("header", |request| request.header("x-session", "good")),
        ("cookie", |request| session(request, "good")),
        ("certificate", |request| {
            request.header("x-client-subject", "good")
        }),
    ];
    let (w, _) = world(&sources, |builder| {
        behind_proxy(builder).established_principals()
    })
    .await;
    for needs in [
        RouteNeeds::tenant(),
        RouteNeeds::tenant().or_anonymous_if_stale(),
    ] {
        for (index, (one, first)) in carry.iter().enumerate() {
            let request = first(get().peer(proxy()));
            let both = established(request.clone());
            let refused = answer(w.admit_as(&both, needs).await);
            assert_eq!(
                refused,
                (401, "credential-repeated"),
                "{one} and established"
            );
            for (other, second) in &carry[index + 1..] {
                let refused = answer(w.admit_as(&second(request.clone()), needs).await);
                assert_eq!(refused, (401, "credential-repeated"), "{one} and {other}");
            }
        }
        let twice = get().header("cookie", format!("{SESSION}=good; {SESSION}=good"));
        let refused = answer(w.admit_as(&twice, needs).await);
        assert_eq!(refused, (401, "credential-repeated"));
    }
}

#[tokio::test]
async fn a_certificate_counts_only_from_a_trusted_proxy() {
    let source = CredentialSource::client_certificate("x-client-subject");
    let (w, _) = world(&[source], behind_proxy).await;
    let said = get().header("x-client-subject", "good");
    for request in [
        said.clone(),
        said.clone().peer(IpAddr::from([192, 0, 2, 1])),
    ] {
        let refused = w.refused(&request).await;
        assert_eq!(refused, (401, "certificate-from-untrusted-peer"));
    }
    w.admit(&said.peer(proxy())).await.unwrap();
    let without = get().header("x-client-subject", "").peer(proxy());
    assert_eq!(w.refused(&without).await, (401, "credential-absent"));
}

#[tokio::test]
async fn a_principal_of_the_application_counts_for_an_engine_that_takes_it() {
    let (w, user) = world(&[cookie()], |builder| builder).await;
    let at = w.clock_now();
    let request = get().established(EstablishedPrincipal::user(user, at, "sessions"));
    assert_eq!(w.refused(&request).await, (401, "credential-absent"));

    let (w, user) = world(&[cookie()], TenancyBuilder::established_principals).await;
    let request = get().established(EstablishedPrincipal::user(user, at, "sessions"));
    let context = w.admit(&request).await.unwrap();
    assert_eq!(context.principal().user(), Some(user));
    assert_eq!(context.principal().issued_at, Some(at));
    let other = EstablishedPrincipal::user(UserId::new(), at, "sessions");
    let other = get().established(other);
    assert_eq!(w.refused(&other).await, (404, "not-a-member"));
}

#[tokio::test]
async fn a_principal_of_the_application_is_checked_like_any_other() {
    let (w, user) = world(&[cookie()], TenancyBuilder::established_principals).await;
    let now = w.clock_now();
    let acme = AllowedTenants::Bound(w.acme.id.into());
    for (actor, reason) in [
        (Actor::System, "credential-actor"),
        (Actor::Job("nightly".parse().unwrap()), "credential-actor"),
        (Actor::Anonymous, "credential-actor"),
        (Actor::Key(KeyId::new()), "credential-actor"),
    ] {
        let principal = Principal::new(actor, acme.clone(), "sessions");
        let request = get().established(EstablishedPrincipal::new(principal, now));
        assert_eq!(w.refused(&request).await, (401, reason));
    }
    let service = Principal::new(Actor::Service(ServiceId::new()), acme, "sessions");
    let service = get().established(EstablishedPrincipal::new(service, now));
    w.admit(&service).await.unwrap();

    let mut ended = Principal::new(Actor::User(user), AllowedTenants::Memberships, "sessions");
    ended.expires_at = Some(now);
    let ended = get().established(EstablishedPrincipal::new(ended, now));
    assert_eq!(w.refused(&ended).await, (401, "credential-expired"));

    let of = tenancy_core::TokenSubject::User(user);
    let request = get().established(EstablishedPrincipal::user(user, now, "sessions"));
    w.admit(&request).await.unwrap();
    w.tenancy
        .admin(tenancy_core::testing::service())
        .revoke_tokens(&of)
        .await
        .unwrap();
    assert_eq!(w.refused(&request).await, (401, "token-revoked"));
}

#[tokio::test]
async fn what_browsers_send_by_themselves_needs_a_page_of_the_service() {
    let (w, _) = world(&[cookie()], |builder| builder).await;
    let local = || {
        let request = FakeRequest::new("/t/acme/notes").method("POST");
        session(request.header("host", "localhost:3000"), "good")
    };
    let good = || session(post(), "good");
    for request in [
        good().header("sec-fetch-site", "same-origin"),
        good().header("sec-fetch-site", "none"),
        good().header("origin", "https://acme.notes.example"),
        good().header("origin", "https://acme.notes.example:443"),
        local().header("origin", "http://localhost:3000"),
        session(get(), "good"),
        session(get().method("HEAD"), "good").header("sec-fetch-site", "cross-site"),
    ] {
        let admitted = w.admit(&request).await;
        assert!(admitted.is_ok(), "{request:?}: {admitted:?}");
    }
    let handshake = || session(get(), "good").header("upgrade", "WebSocket");
    for (request, reason) in [
        (good(), "same-origin-proof-absent"),
        (
            good().header("sec-fetch-site", "cross-site"),
            "cross-site-request",
        ),
        (
            good().header("sec-fetch-site", "same-site"),
            "cross-site-request",
        ),
        (good().header("origin", "null"), "cross-site-request"),
        (
            good().header("origin", "https://evil.example"),
            "cross-site-request",
        ),
        (
            good().header("origin", "https://globex.notes.example"),
            "cross-site-request",
        ),
        (
            good().header("origin", "http://acme.notes.example"),
            "cross-site-request",
        ),
        (
            good().header("origin", "https://acme.notes.example:8443"),
            "cross-site-request",
        ),
        (
            local().header("origin", "http://localhost:3001"),
            "cross-site-request",
        ),
        (
            session(get().method("DELETE"), "good"),
            "same-origin-proof-absent",
        ),
        (
            session(get().method("CONNECT"), "good"),
            "same-origin-proof-absent",
        ),
        (
            session(get().method("get"), "good"),
            "same-origin-proof-absent",
        ),
        (handshake(), "same-origin-proof-absent"),
        (
            handshake().header("origin", "https://evil.example"),
            "cross-site-request",
        ),
        (session(post(), "old"), "same-origin-proof-absent"),
    ] {
        let refusal = w.admit(&request).await.expect_err(&format!("{request:?}"));
        assert_eq!(
            (refusal.kind().status(), refusal.reason()),
            (403, reason),
            "{request:?}"
        );
        assert_eq!(w.last_audit().reason.as_deref(), Some(reason));
        w.clock.advance(std::time::Duration::from_secs(60));
    }
    w.admit(&handshake().header("origin", "https://acme.notes.example"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_page_that_may_call_with_credentials_may_change_things() {
    let policy = || CorsPolicy::new().origin("https://app.example");
    let request = |origin: &str| session(post(), "good").header("origin", origin);
    let (w, _) = world(&[cookie()], |builder| {
        builder.cors(policy().credentials(true))
    })
    .await;
    w.admit(&request("https://app.example")).await.unwrap();
    w.admit(&request("https://acme.notes.example"))
        .await
        .unwrap();
    let refused = w.refused(&request("https://globex.notes.example")).await;
    assert_eq!(refused, (404, "hints-contradict"));
    let refused = w.refused(&request("http://evil.test")).await;
    assert_eq!(refused, (403, "origin-insecure"));

    let (w, _) = world(&[cookie()], |builder| builder.cors(policy())).await;
    let refused = w.refused(&request("https://app.example")).await;
    assert_eq!(refused, (403, "cross-site-request"), "without credentials");
}

/// A tenant writes its own pages. On a route of the service itself there is no tenant that such a page
/// could be of.
#[tokio::test]
async fn a_page_of_a_tenant_proves_nothing_on_a_route_without_a_tenant() {
    let (w, user) = world(&[cookie()], |builder| {
        let policy = CorsPolicy::new().origin("https://app.example");
        let builder = builder.cors(policy.credentials(true));
        builder.established_principals()
    })
    .await;
    let domain = "notes.acme.example".parse().unwrap();
    let directory = &w.directory;
    directory.bind_domain(w.acme.id, &domain).await.unwrap();
    let central = || {
        let request = FakeRequest::new("/account").method("POST");
        request.header("host", "www.notes.example")
    };
    let cookie = || session(central(), "good");
    let known = EstablishedPrincipal::user(user, w.clock_now(), "sessions");
    let handshake = cookie().method("GET").header("upgrade", "websocket");
    let proven = async |request: &FakeRequest, needs| {
        w.clock.advance(std::time::Duration::from_secs(60));
        w.admit_as(request, needs).await.map(drop)
    };
    for needs in [
        RouteNeeds::central(),
        RouteNeeds::central()
            .or_anonymous_if_stale()
            .or_anonymous_if_not_member(),
    ] {
        for request in [
            cookie(),
            central().established(known.clone()),
            handshake.clone(),
        ] {
            for page in [
                "https://acme.notes.example",
                "https://globex.notes.example",
                "https://nowhere.notes.example",
                "https://notes.acme.example",
            ] {
                // Browsers say so where both hosts are of one site; others say nothing.
                for said in [None, Some("same-site"), Some("cross-site")] {
                    let mut request = request.clone().header("origin", page);
                    if let Some(said) = said {
                        request = request.header("sec-fetch-site", said);
                    }
                    let refused = answer(proven(&request, needs).await);
                    assert_eq!(refused, (403, "cross-site-request"), "{request:?}");
                }
            }
            for page in ["https://www.notes.example", "https://app.example"] {
                let request = request.clone().header("origin", page);
                proven(&request, needs).await.expect(page);
            }
        }
    }
    // It reads as before, and sends what it has itself: no cookie is needed for either.
    let reading = cookie().method("GET");
    for request in [reading, central()] {
        let request = request.header("origin", "https://globex.notes.example");
        let admitted = proven(&request, RouteNeeds::central()).await;
        admitted.expect("nothing changes in anybody's name");
    }
    // Where a route may have a tenant, the page names it, and its visitor has to be a member.
    let optional = |page: &str| cookie().header("origin", page);
    let needs = RouteNeeds::optional();
    let its_own = w
        .admit_as(&optional("https://acme.notes.example"), needs)
        .await;
    assert!(
        matches!(&its_own, Ok(Admitted::Tenant(context)) if context.record().id == w.acme.id),
        "{its_own:?}"
    );
    let refused = w
        .admit_as(&optional("https://globex.notes.example"), needs)
        .await;
    assert_eq!(answer(refused), (404, "not-a-member"));
}

#[tokio::test]
async fn the_host_that_a_trusted_proxy_forwards_is_the_origin_of_the_service() {
    let (w, _) = world(&[cookie()], behind_proxy).await;
    let request = |peer: [u8; 4]| {
        let request = FakeRequest::new("/notes")
            .method("POST")
            .peer(IpAddr::from(peer));
        session(request, "good")
            .header("host", "inner.notes.example")
            .header("x-forwarded-host", "acme.notes.example")
            .header("origin", "https://acme.notes.example")
    };
    w.admit(&request([10, 0, 0, 1])).await.unwrap();
    let refused = w.refused(&request([192, 0, 2, 1])).await;
    assert_eq!(refused, (403, "cross-site-request"));
}

#[tokio::test]
async fn each_source_that_browsers_send_can_be_told_to_accept_other_sites() {
    for source in [
        cookie(),
        CredentialSource::basic("notes"),
        CredentialSource::client_certificate("x-client-subject"),
        CredentialSource::request("own", |request| {
            let Field::One(text) = request.header("x-own") else {
                return Ok(None);
            };
            Ok(Some(text.to_owned()))
        }),
    ] {
        assert!(source.is_sent_by_browsers(), "{source:?}");
        let what = source.to_string();
        let request = match &*what {
            "`Authorization: Basic`" => post().header("authorization", "Basic good"),
            "the application's own `own`" => post().header("x-own", "good"),
            "the cookie `__Host-session`" => session(post(), "good"),
            _ => post().header("x-client-subject", "good"),
        };
        let request = request.peer(proxy());
        let (w, _) = world(std::slice::from_ref(&source), behind_proxy).await;
        let refused = w.refused(&request).await;
        assert_eq!(refused, (403, "same-origin-proof-absent"), "{what}");
        let (w, _) = world(&[source.danger_accept_cross_site()], behind_proxy).await;
        w.admit(&request).await.expect(&what);
    }
    let established = |w: &World, user| {
        post().established(EstablishedPrincipal::user(user, w.clock_now(), "sessions"))
    };
    let (w, user) = world(&[cookie()], TenancyBuilder::established_principals).await;
    let refused = w.refused(&established(&w, user)).await;
    assert_eq!(refused, (403, "same-origin-proof-absent"));
    let own = established(&w, user).header("sec-fetch-site", "same-origin");
    w.admit(&own).await.unwrap();
    let relaxed = TenancyBuilder::danger_established_principals_cross_site;
    let (w, user) = world(&[cookie()], relaxed).await;
    w.admit(&established(&w, user)).await.unwrap();
}

#[tokio::test]
async fn no_proof_is_asked_of_what_no_browser_sends() {
    let sources = [
        CredentialSource::bearer(),
        CredentialSource::header("x-session"),
    ];
    let (w, _) = world(&sources, |builder| builder).await;
    for request in [post().bearer("good"), post().header("x-session", "good")] {
        let request = request.header("sec-fetch-site", "cross-site");
        w.admit(&request).await.unwrap();
    }
}

async fn visitor(w: &World, request: &FakeRequest, needs: RouteNeeds) -> bool {
    let admitted = w.admit_as(request, needs).await;
    match admitted.unwrap_or_else(|refusal| panic!("{request:?}: {refusal}")) {
        Admitted::Tenant(context) => context.principal().actor == Actor::Anonymous,
        Admitted::NoTenant(principal) => principal.is_none(),
    }
}

#[tokio::test]
async fn a_stale_credential_counts_as_none_only_where_the_route_says_so() {
    let sources = [cookie(), CredentialSource::bearer()];
    let (w, user) = world(&sources, TenancyBuilder::established_principals).await;
    let public = RouteNeeds::tenant().or_anonymous();
    let lenient = public.or_anonymous_if_stale();
    let mut ended = Principal::new(Actor::User(user), AllowedTenants::Memberships, "sessions");
    ended.expires_at = Some(w.clock_now());
    let ended = EstablishedPrincipal::new(ended, w.clock_now());
    for request in [
        session(get(), "old"),
        session(get(), "unknown"),
        session(get(), "elsewhere"),
        session(get(), ""),
        session(get(), "\u{e9}"),
        get().bearer("old"),
        get().header("authorization", "nonsense"),
        get().established(ended),
    ] {
        let refused = answer(w.admit_as(&request, public).await);
        assert_eq!(refused.0, 401, "{request:?}");
        assert!(visitor(&w, &request, lenient).await, "{request:?}");
        let central = RouteNeeds::central().or_anonymous_if_stale();
        assert!(visitor(&w, &request, central).await, "{request:?}");
        let refused = answer(w.admit_as(&request, RouteNeeds::central()).await);
        assert_eq!(refused.0, 401, "{request:?}");
    }
    let good = session(get(), "good");
    assert!(
        !visitor(&w, &good, lenient).await,
        "a good one still counts"
    );
    let of = tenancy_core::TokenSubject::User(user);
    let established = EstablishedPrincipal::user(user, w.clock_now(), "sessions");
    let request = get().established(established);
    w.tenancy
        .admin(tenancy_core::testing::service())
        .revoke_tokens(&of)
        .await
        .unwrap();
    assert_eq!(
        answer(w.admit_as(&request, public).await),
        (401, "token-revoked")
    );
    assert!(visitor(&w, &request, lenient).await);
    let cross = session(post(), "old").header("sec-fetch-site", "cross-site");
    assert_eq!(
        answer(w.admit_as(&cross, lenient).await),
        (403, "cross-site-request")
    );
}

/// U2.
#[tokio::test]
async fn a_member_of_another_tenant_is_a_visitor_only_where_the_route_says_so() {
    let (w, user) = world(&[cookie()], |builder| builder).await;
    let public = RouteNeeds::tenant().or_anonymous();
    let lenient = public.or_anonymous_if_not_member();
    let at = |host: &str| session(FakeRequest::new("/notes").header("host", host), "good");
    let globex = at("globex.notes.example");
    assert_eq!(
        answer(w.admit_as(&globex, public).await),
        (404, "not-a-member")
    );
    assert!(visitor(&w, &globex, lenient).await);
    assert!(
        !visitor(&w, &at("acme.notes.example"), lenient).await,
        "a member is no visitor"
    );
    let nowhere = at("nowhere.notes.example");
    assert_eq!(
        answer(w.admit_as(&nowhere, lenient).await),
        (404, "tenant-unknown")
    );
    assert_eq!(w.last_audit().actor, Some(Actor::User(user)));
    let contradicting = at("acme.notes.example").header("x-organization-id", "globex");
    assert_eq!(
        answer(w.admit_as(&contradicting, lenient).await),
        (404, "hints-contradict")
    );

    // A removed member can see the page from which to sign out.
    w.tenancy
        .admin(tenancy_core::testing::service())
        .remove_membership(w.acme.id, user)
        .await
        .unwrap();
    assert!(visitor(&w, &at("acme.notes.example"), lenient).await);
    assert_eq!(
        answer(w.admit_as(&globex, RouteNeeds::tenant()).await),
        (404, "not-a-member")
    );
}

#[tokio::test]
async fn a_token_of_another_tenant_is_a_visitors_only_where_the_route_says_so() {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .tenant_claim("tenant")
        .build()
        .unwrap();
    let w = World::with(|builder| builder.authenticator(tokens)).await;
    let token = w.token(w.alice, json!({ "tenant": "acme" }));
    let request = FakeRequest::new("/notes")
        .header("host", "globex.notes.example")
        .bearer(&token);
    let lenient = RouteNeeds::tenant().or_anonymous_if_not_member();
    assert_eq!(
        answer(
            w.admit_as(&request, RouteNeeds::tenant().or_anonymous())
                .await
        )
        .0,
        404
    );
    assert!(visitor(&w, &request, lenient).await);
}

#[tokio::test]
async fn a_challenge_names_the_schemes_that_are_read() {
    for (sources, wanted) in [
        (vec![CredentialSource::bearer()], Some("Bearer")),
        (vec![cookie()], Some("Cookie")),
        (vec![CredentialSource::scheme("Token")], Some("Token")),
        (
            vec![CredentialSource::basic("notes"), CredentialSource::bearer()],
            Some("Basic realm=\"notes\", charset=\"UTF-8\", Bearer"),
        ),
        (vec![CredentialSource::header("x-session")], None),
    ] {
        let (w, _) = world(&sources, |builder| builder).await;
        let refusal = w.admit(&get()).await.unwrap_err();
        assert_eq!(refusal.problem().www_authenticate(), wanted);
        let by_cookie = sources
            .iter()
            .any(|source| source.to_string().contains("cookie"));
        assert_eq!(w.tenancy.varies_by_cookie(), by_cookie);
    }
    let (w, _) = world(
        &[CredentialSource::bearer()],
        TenancyBuilder::established_principals,
    )
    .await;
    assert!(w.tenancy.varies_by_cookie());
}

fn built(rules: Identification, sources: &[CredentialSource]) -> Result<Tenancy, String> {
    Tenancy::builder(tenancy_core::MemoryDirectory::new())
        .identification(rules)
        .authenticator_from(sources.to_vec(), Sessions(UserId::new()))
        .build()
        .map_err(|error| error.to_string())
}

/// M18.
#[test]
fn a_field_that_would_be_read_for_two_purposes_is_a_configuration_error() {
    let rules = Identification::new;
    let header = CredentialSource::header;
    let proxies = || rules().trusted_proxies(["10.0.0.0/8".parse().unwrap()]);
    let certificate = CredentialSource::client_certificate;
    let bearer = CredentialSource::bearer;
    for (rules, source, named) in [
        (
            rules().header("cookie"),
            bearer(),
            ["`cookie`", "hint", "cookies"],
        ),
        (
            rules().header("X-Org"),
            header("x-org"),
            ["`x-org`", "hint", "credential"],
        ),
        (
            rules().header("origin"),
            bearer(),
            ["`origin`", "hint", "page"],
        ),
        (
            rules().header("x-forwarded-for"),
            bearer(),
            ["`x-forwarded-for`", "hint", "proxies"],
        ),
        (
            rules().project_header("authorization"),
            bearer(),
            ["`authorization`", "project", "credentials"],
        ),
        (
            rules().header("x-a").project_header("x-a"),
            bearer(),
            ["`x-a`", "hint", "project"],
        ),
        (
            rules(),
            header("cookie"),
            ["`cookie`", "credential", "cookies"],
        ),
        (
            rules(),
            header("authorization"),
            ["`authorization`", "a credential", "credentials"],
        ),
        (
            rules(),
            header("host"),
            ["`host`", "credential", "host of a request"],
        ),
        (
            proxies().header("x-dn"),
            certificate("x-dn"),
            ["`x-dn`", "hint", "certificate"],
        ),
        (
            rules(),
            certificate("x-dn"),
            ["`x-dn`", "trusted proxies", "certificate"],
        ),
        (
            rules(),
            header("two words"),
            ["`two words`", "header field", "letters"],
        ),
        (
            rules(),
            CredentialSource::cookie("a;b"),
            ["`a;b`", "cookie", "name"],
        ),
        (
            rules(),
            CredentialSource::scheme(""),
            ["scheme", "one word", "credential"],
        ),
        (
            rules(),
            CredentialSource::basic("a\"b"),
            ["Basic", "realm", "quotes"],
        ),
    ] {
        let error = built(rules, &[source]).expect_err(&format!("{named:?}"));
        for part in named {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
    assert!(
        built(rules(), &[])
            .unwrap_err()
            .contains("CredentialSource")
    );
    let both = [cookie(), cookie().danger_accept_cross_site()];
    assert!(
        built(rules(), &both)
            .unwrap_err()
            .contains("danger_accept_cross_site")
    );
    built(
        rules().header("x-org"),
        &[bearer(), cookie(), header("x-session")],
    )
    .unwrap();
}

/// A session whose verdicts may be remembered, and another authenticator for the same text elsewhere.
#[derive(Debug)]
struct Lasting(UserId);

#[async_trait]
impl Authenticator for Lasting {
    fn probe(&self, _: Credential<'_>, now: Timestamp) -> Verdict {
        let mut principal =
            Principal::new(Actor::User(self.0), AllowedTenants::Memberships, "sessions");
        principal.issued_at = Some(now);
        Verdict::Verified(Arc::new(principal))
    }

    async fn verify(&self, it: Credential<'_>, now: Timestamp) -> Result<Verdict, LookupError> {
        Ok(self.probe(it, now))
    }

    fn version(&self, _: Option<&str>, _: Timestamp) -> Option<u128> {
        Some(1)
    }
}

#[tokio::test]
async fn what_is_remembered_of_a_credential_is_of_the_place_where_it_stood() {
    let (one, other) = (UserId::new(), UserId::new());
    let w = World::with(|builder| {
        builder
            .authenticator_from([CredentialSource::bearer()], Lasting(one))
            .authenticator_from([cookie()], Lasting(other))
    })
    .await;
    for user in [one, other] {
        let membership = Membership::new(w.acme.id, user, SystemRole::Member.name());
        w.directory.put_membership(&membership).await.unwrap();
    }
    let bearer = || get().bearer("good");
    let cross_site = || session(post(), "good").header("sec-fetch-site", "cross-site");
    // Twice each, so that the second is answered by what is remembered.
    for _ in 0..3 {
        assert_eq!(w.admit(&bearer()).await.unwrap().user_id(), Some(one));
        let by_cookie = w.admit(&session(get(), "good")).await.unwrap();
        assert_eq!(by_cookie.user_id(), Some(other));
        assert_eq!(w.refused(&cross_site()).await.0, 403);
    }
}
