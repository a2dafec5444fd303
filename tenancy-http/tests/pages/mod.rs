//! What pages of other origins get, and which header fields responses carry: one specification for
//! every adapter. An adapter's tests include this file, build the service that [`Client`] describes,
//! and run each case by the macro `specify!`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tenancy_core::{
    CorsPolicy, Identification, Membership, MemoryDirectory, SecurityHeaders, Tenancy,
    TenantRecord, TenantStatus, UserId,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    testing::StoreDirectly as _,
    testing::SwitchedDirectory,
};

const SECRET: &[u8] = b"a secret of 32 bytes, for tests.";
const ISSUER: &str = "https://login.example";

const API: &str = "www.notes.example";
const ACME: &str = "acme.notes.example";
const GLOBEX: &str = "globex.notes.example";
const APP_PAGE: &str = "https://app.notes.test";
const ACME_PAGE: &str = "https://acme.notes.example";
const GLOBEX_PAGE: &str = "https://globex.notes.example";
/// A page at acme's own domain.
const DOMAIN_PAGE: &str = "https://notes.acme.test";

/// A service, from outside. Innermost are the routes, which all but `/open` need a tenant:
///
/// | route | answer |
/// |---|---|
/// | GET, HEAD, POST, OPTIONS `/notes` | the tenant's slug |
/// | POST `/json` | the body, read by the framework's `Json` |
/// | GET `/own` | `Vary: accept-language`, `Vary: accept-encoding`, `cache-control: max-age=60` |
/// | GET `/streams` | the text `first second`, in two chunks and without a length |
/// | GET `/fails` | an error of the handler, status 500 |
/// | GET `/open` | the fields of [`OPEN`]; no tenancy covers it |
///
/// Around them are the tenancy, a layer that counts requests in [`World::passed`], `TenancyCors`,
/// another one of the engine [`World::around`], if there is one, and, if [`World::secured`] says so,
/// the security headers.
pub(crate) trait Client {
    async fn new(world: &World) -> Self;
    async fn send(&self, ask: Ask) -> Got;
}

/// What the handler of `/open` says itself.
pub(crate) const OPEN: [(&str, &str); 7] = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-origin", "https://other.test"),
    ("access-control-allow-credentials", "true"),
    ("access-control-expose-headers", "x-secret"),
    ("vary", "accept-language, Origin"),
    ("vary", "accept-encoding"),
    ("x-secret", "of the handler"),
];

pub(crate) struct World {
    pub(crate) tenancy: Tenancy,
    pub(crate) around: Option<Tenancy>,
    pub(crate) secured: Option<SecurityHeaders>,
    pub(crate) passed: Arc<AtomicUsize>,
    pub(crate) directory: SwitchedDirectory,
    /// In acme.
    pub(crate) alice: UserId,
    /// In globex.
    bob: UserId,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(CorsPolicy::new()).await
    }

    async fn with(policy: CorsPolicy) -> Self {
        tenancy_logwatch::issued(SECRET);
        let directory = SwitchedDirectory::new(MemoryDirectory::new());
        let rules = Identification::new()
            .header("x-org")
            .subdomains_of("notes.example")
            .central_host(API)
            .custom_domains();
        let tenancy = Tenancy::builder(directory.clone())
            .identification(rules)
            .authenticator(tokens())
            .cors(
                policy
                    .origin(APP_PAGE)
                    .headers(["X-Trace"])
                    .expose(["ETag"]),
            )
            .build()
            .unwrap();
        let [alice, bob] = [UserId::new(), UserId::new()];
        for (slug, user) in [("acme", alice), ("globex", bob)] {
            let tenant =
                TenantRecord::new(slug.parse().unwrap(), slug).with_status(TenantStatus::Active);
            directory.create_tenant(&tenant).await.unwrap();
            let membership = Membership::new(tenant.id, user, "member".parse().unwrap());
            directory.put_membership(&membership).await.unwrap();
            if slug == "acme" {
                let domain = "notes.acme.test".parse().unwrap();
                tenancy
                    .admin(tenancy_core::testing::service())
                    .bind_domain(tenant.id, &domain)
                    .await
                    .unwrap();
            }
        }
        Self {
            tenancy,
            around: None,
            secured: None,
            passed: Arc::default(),
            directory,
            alice,
            bob,
        }
    }

    pub(crate) async fn secured() -> Self {
        let mut world = Self::new().await;
        let headers = SecurityHeaders::builder(&world.tenancy).build().unwrap();
        world.secured = Some(headers);
        world
    }

    /// With one more layer of the same engine.
    async fn nested() -> Self {
        let mut world = Self::new().await;
        world.around = Some(world.tenancy.clone());
        world
    }

    /// With one more layer of another engine, which knows one page.
    async fn nested_in_another(page: &str) -> Self {
        let mut world = Self::new().await;
        let another = Tenancy::builder(MemoryDirectory::new())
            .identification(Identification::new().header("x-org"))
            .authenticator(tokens())
            .cors(CorsPolicy::new().origin(page))
            .build()
            .unwrap();
        world.around = Some(another);
        world
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

fn tokens() -> JwtAuthenticator {
    let key = VerificationKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key);
    tokens.build().unwrap()
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) fields: Vec<(&'static str, String)>,
}

pub(crate) fn ask(method: &'static str, path: &'static str, host: &str) -> Ask {
    let ask = Ask {
        method,
        path,
        fields: Vec::new(),
    };
    ask.with("host", host)
}

fn preflight(host: &str, origin: &str) -> Ask {
    ask("OPTIONS", "/notes", host)
        .with("origin", origin)
        .with("access-control-request-method", "POST")
        .with("access-control-request-headers", "authorization,x-org")
}

impl Ask {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    pub(crate) fn by(self, user: UserId) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let end = (now + Duration::from_secs(300)).as_secs();
        let claims = json!({ "iss": ISSUER, "aud": "notes", "sub": user, "exp": end });
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
        tenancy_logwatch::issued(&token);
        self.with("authorization", &format!("Bearer {token}"))
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Got {
    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(one, _)| one == name);
        named.map(|(_, value)| &**value).collect()
    }

    /// The one field of this name.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is repeated: {self:?}");
        all.first().copied()
    }

    /// What `Vary` names, which is never the same twice.
    pub(crate) fn vary(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .all("vary")
            .iter()
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a name is repeated: {self:?}");
        names
    }

    /// The fields of CORS.
    fn cors(&self) -> BTreeMap<&str, &str> {
        let cors = self.fields.iter();
        let cors = cors.filter(|(name, _)| name.starts_with("access-control-"));
        cors.map(|(name, _)| (&**name, self.one(name).unwrap()))
            .collect()
    }

    /// Checks that a page of this origin may read the response.
    fn assert_readable(&self, origin: &str) {
        let want = [
            ("access-control-allow-origin", origin),
            (
                "access-control-expose-headers",
                "retry-after,www-authenticate,etag",
            ),
        ];
        assert_eq!(self.cors(), want.into(), "{self:?}");
        assert_eq!(self.vary(), ["origin"], "{self:?}");
    }

    /// Checks that no page of another origin may.
    fn assert_unreadable(&self) {
        assert_eq!(self.cors(), [].into(), "{self:?}");
        assert_eq!(self.vary(), ["origin"], "{self:?}");
    }

    /// Checks that the answer to a preflight says on what it depends.
    fn assert_varies_as_a_preflight(&self) {
        let want = [
            "access-control-request-headers",
            "access-control-request-method",
            "origin",
        ];
        assert_eq!(self.vary(), want, "{self:?}");
    }

    /// Checks that a preflight got a problem, and that no page may go on.
    fn assert_preflight_refused(&self, status: u16, name: &str) {
        self.assert_problem(status, name);
        assert_eq!(self.cors(), [].into(), "{self:?}");
        self.assert_varies_as_a_preflight();
    }

    fn assert_problem(&self, status: u16, name: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.one("content-type"), Some("application/problem+json"));
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["type"], format!("urn:tenancy:problem:{name}"));
        assert_eq!(problem["status"], status);
    }
}

fn assert_allowed(got: &Got, origin: &str) {
    assert_eq!((got.status, &*got.body), (200, ""), "{origin}: {got:?}");
    let want = [
        ("access-control-allow-origin", origin),
        (
            "access-control-allow-methods",
            "GET,HEAD,POST,PUT,PATCH,DELETE",
        ),
        (
            "access-control-allow-headers",
            "authorization,content-type,x-trace,x-org",
        ),
        ("access-control-max-age", "600"),
    ];
    assert_eq!(got.cors(), want.into(), "{origin}");
    got.assert_varies_as_a_preflight();
}

pub(crate) async fn preflights_of_allowed_pages_are_answered_before_authentication<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    for (host, origin) in [
        (API, APP_PAGE),
        (ACME, APP_PAGE),
        (API, ACME_PAGE),
        (ACME, ACME_PAGE),
        (API, "https://ACME.notes.example."),
        (API, "https://acme.notes.example:443"),
        (API, "https://nobody.notes.example"),
        (API, DOMAIN_PAGE),
        (ACME, DOMAIN_PAGE),
        (API, "https://www.notes.example"),
    ] {
        // Once from the directory, where it is asked, and once from memory.
        for _ in 0..2 {
            assert_allowed(&client.send(preflight(host, origin)).await, origin);
        }
    }
    let many_empty = ",".repeat(60_000);
    let many_times = "authorization, x-org,".repeat(2_000);
    for headers in [
        "",
        "X-Org , ,CONTENT-type",
        "x-trace",
        ",\t, ,x-org,",
        &many_empty,
        &many_times,
    ] {
        let asking = ask("OPTIONS", "/nowhere", API)
            .with("origin", APP_PAGE)
            .with("access-control-request-method", "DELETE")
            .with("access-control-request-headers", headers);
        assert_allowed(&client.send(asking).await, APP_PAGE);
    }
    // It need not name header fields, and whether the network is private is not answered.
    let plain = ask("OPTIONS", "/notes", API)
        .with("origin", APP_PAGE)
        .with("access-control-request-method", "GET");
    assert_allowed(&client.send(plain.clone()).await, APP_PAGE);
    let private = plain.with("access-control-request-private-network", "true");
    assert_allowed(&client.send(private).await, APP_PAGE);
    assert_eq!(world.passed(), 0);
}

pub(crate) async fn preflights_of_other_pages_are_refused_and_say_nothing<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    let asking = |method, headers| {
        ask("OPTIONS", "/notes", API)
            .with("origin", APP_PAGE)
            .with("access-control-request-method", method)
            .with("access-control-request-headers", headers)
    };
    let evil_at_the_end = "authorization,".repeat(4_000) + "x-evil";
    let one_long_name = "x".repeat(60_000);
    for refused in [
        preflight(API, "https://evil.test"),
        preflight(API, "https://app.notes.test.evil.test"),
        preflight(API, "http://acme.notes.example"),
        preflight(API, "null"),
        preflight(API, ""),
        preflight(API, APP_PAGE).with("origin", APP_PAGE),
        preflight(GLOBEX, ACME_PAGE),
        preflight(ACME, GLOBEX_PAGE),
        asking("PURGE", "authorization"),
        asking("post", "authorization"),
        asking("", "authorization"),
        asking("not a method", "authorization"),
        asking("POST", "x-evil"),
        asking("POST", "authorization,*"),
        asking("POST", "authorization x-org"),
        asking("POST", "authorization;x-org"),
        asking("POST", "\"authorization\""),
        asking("POST", "authorization, caf\u{e9}"),
        asking("POST", &evil_at_the_end),
        asking("POST", &one_long_name),
        asking("POST", "authorization").with("access-control-request-headers", "x-org"),
        asking("POST", "authorization").with("access-control-request-method", "POST"),
        asking("POST, GET", "authorization"),
        preflight(API, "https://app.notes.test, https://app.notes.test"),
        preflight(API, "https://app.notes.test https://evil.test"),
        preflight(API, "*"),
        preflight(API, "null").with("origin", APP_PAGE),
    ] {
        for _ in 0..2 {
            let got = client.send(refused.clone()).await;
            got.assert_preflight_refused(403, "origin-not-allowed");
        }
    }
    assert_eq!(world.passed(), 0);
}

pub(crate) async fn a_custom_domain_is_asked_for_once<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    for origin in [ACME_PAGE, DOMAIN_PAGE] {
        let before = world.directory.questions();
        assert_allowed(&client.send(preflight(API, origin)).await, origin);
        let asked = world.directory.questions();
        assert_eq!(asked > before, origin == DOMAIN_PAGE);
        assert_allowed(&client.send(preflight(API, origin)).await, origin);
        assert_eq!(world.directory.questions(), asked);
    }
    assert_eq!(world.passed(), 0);
}

pub(crate) async fn a_directory_that_is_down_is_unavailable<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    world.directory.fail(true);
    let got = client.send(preflight(API, DOMAIN_PAGE)).await;
    got.assert_preflight_refused(503, "unavailable");
    assert!(got.one("retry-after").is_some());
    assert_eq!(world.passed(), 0);
    let page = ask("GET", "/notes", API).with("origin", DOMAIN_PAGE);
    let got = client.send(page.by(world.alice)).await;
    got.assert_problem(503, "unavailable");
    got.assert_unreadable();
    // No other page waits for the directory.
    assert_allowed(&client.send(preflight(API, ACME_PAGE)).await, ACME_PAGE);
    world.directory.fail(false);
    assert_allowed(&client.send(preflight(API, DOMAIN_PAGE)).await, DOMAIN_PAGE);
}

pub(crate) async fn an_allowed_page_reads_what_its_tenant_has<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    for (host, origin) in [
        (ACME, APP_PAGE),
        (API, ACME_PAGE),
        (ACME, ACME_PAGE),
        (API, DOMAIN_PAGE),
        ("notes.acme.test", ACME_PAGE),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let asking = ask(method, "/notes", host)
                .with("origin", origin)
                .by(world.alice);
            let got = client.send(asking).await;
            assert_eq!(got.status, 200, "{method} {host} {origin}: {got:?}");
            let body = if method == "HEAD" { "" } else { "acme" };
            assert_eq!(got.body, body);
            got.assert_readable(origin);
        }
    }
    assert_eq!(world.passed(), 15);
}

pub(crate) async fn an_options_request_that_asks_for_nothing_is_no_preflight<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    for origin in [ACME_PAGE, DOMAIN_PAGE] {
        let own = ask("OPTIONS", "/notes", API)
            .with("origin", origin)
            .by(world.alice);
        let got = client.send(own).await;
        assert_eq!((got.status, &*got.body), (200, "acme"));
        got.assert_readable(origin);
    }
    let no_page = ask("OPTIONS", "/notes", ACME)
        .with("access-control-request-method", "POST")
        .by(world.alice);
    let got = client.send(no_page).await;
    assert_eq!((got.status, &*got.body), (200, "acme"));
    got.assert_unreadable();
    assert_eq!(world.passed(), 3);
}

pub(crate) async fn an_allowed_page_reads_why_it_was_refused<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    let page = |path, origin| ask("GET", path, API).with("origin", origin);
    for origin in [ACME_PAGE, APP_PAGE, DOMAIN_PAGE] {
        let got = client.send(page("/notes", origin)).await;
        got.assert_problem(401, "unauthenticated");
        assert!(got.one("www-authenticate").is_some());
        got.assert_readable(origin);
        let head = ask("HEAD", "/notes", API).with("origin", origin);
        let got = client.send(head).await;
        assert_eq!((got.status, &*got.body), (401, ""));
        got.assert_readable(origin);
    }
    // Its own tenant, and not the caller's.
    let got = client
        .send(page("/notes", GLOBEX_PAGE).by(world.alice))
        .await;
    got.assert_problem(404, "tenant-not-found");
    got.assert_readable(GLOBEX_PAGE);
    let got = client.send(page("/fails", ACME_PAGE).by(world.alice)).await;
    got.assert_problem(500, "internal");
    got.assert_readable(ACME_PAGE);
    // What the framework answers by itself: no such path, no such method, no such body.
    let sent = |method, path| {
        let sent = ask(method, path, API).with("origin", ACME_PAGE);
        sent.with("content-type", "application/json")
            .by(world.alice)
    };
    for (asking, status) in [
        (sent("GET", "/nowhere"), 404),
        (sent("OPTIONS", "/nowhere"), 404),
        (sent("DELETE", "/notes"), 405),
        (sent("POST", "/json"), 400),
    ] {
        let got = client.send(asking.clone()).await;
        assert_eq!(got.status, status, "{asking:?}: {got:?}");
        got.assert_readable(ACME_PAGE);
    }
}

pub(crate) async fn a_stream_is_passed_on<C: Client>() {
    let world = World::secured().await;
    let client = C::new(&world).await;
    for origin in [ACME_PAGE, DOMAIN_PAGE] {
        let asking = ask("GET", "/streams", API).with("origin", origin);
        let got = client.send(asking.by(world.alice)).await;
        assert_eq!((got.status, &*got.body), (200, "first second"));
        assert_eq!(got.one("access-control-allow-origin"), Some(origin));
        assert_eq!(got.one("x-content-type-options"), Some("nosniff"));
        assert_eq!(got.vary(), ["authorization", "origin", "x-org"]);
        assert_eq!(got.one("content-length"), None);
    }
}

pub(crate) async fn fields_of_a_handler_give_way_where_the_policy_allows_a_page<C: Client>() {
    let vary = ["accept-encoding", "accept-language", "origin"];
    for credentials in [false, true] {
        let world = World::with(CorsPolicy::new().credentials(credentials)).await;
        let client = C::new(&world).await;
        for origin in [APP_PAGE, ACME_PAGE, DOMAIN_PAGE] {
            let got = client
                .send(ask("GET", "/open", API).with("origin", origin))
                .await;
            assert_eq!(got.status, 200);
            let mut want = BTreeMap::from([
                ("access-control-allow-origin", origin),
                (
                    "access-control-expose-headers",
                    "retry-after,www-authenticate,etag",
                ),
            ]);
            if credentials {
                want.insert("access-control-allow-credentials", "true");
            }
            assert_eq!(got.cors(), want, "{got:?}");
            assert_eq!(got.vary(), vary);
            assert_eq!(got.one("x-secret"), Some("of the handler"));
        }
        // No page is allowed here, so that the handler is the only one who says anything.
        for origin in [None, Some("https://evil.test"), Some("null")] {
            let asking = ask("GET", "/open", API);
            let asking = origin.map_or(asking.clone(), |origin| asking.with("origin", origin));
            let got = client.send(asking).await;
            assert_eq!(got.status, 200);
            for (name, _) in OPEN {
                let own: Vec<&str> = OPEN
                    .iter()
                    .filter(|(one, _)| *one == name)
                    .map(|(_, value)| *value)
                    .collect();
                assert_eq!(got.all(name), own, "{origin:?}");
            }
            assert_eq!(got.vary(), vary);
        }
    }
}

pub(crate) async fn a_layer_inside_another_decides_nothing_anew<C: Client>() {
    let (alone, nested) = (World::new().await, World::nested().await);
    let mut asked = Vec::new();
    for world in [&alone, &nested] {
        let client = C::new(world).await;
        let page = ask("GET", "/notes", API).with("origin", DOMAIN_PAGE);
        world.directory.fail(true);
        // Each layer that decides asks the directory, which does not answer.
        let before = world.directory.questions();
        let got = client.send(page.clone().by(world.alice)).await;
        got.assert_problem(503, "unavailable");
        got.assert_unreadable();
        asked.push(world.directory.questions() - before);
        world.directory.fail(false);
        let got = client.send(page.by(world.alice)).await;
        assert_eq!((got.status, &*got.body), (200, "acme"));
        got.assert_readable(DOMAIN_PAGE);
        assert_allowed(&client.send(preflight(API, DOMAIN_PAGE)).await, DOMAIN_PAGE);
        let got = client.send(ask("GET", "/notes", ACME)).await;
        got.assert_problem(401, "unauthenticated");
        got.assert_unreadable();
    }
    assert_eq!(asked.first(), asked.last(), "{asked:?}");
    assert_ne!(asked.first(), Some(&0));
}

pub(crate) async fn a_layer_inside_one_of_another_engine_decides_for_itself<C: Client>() {
    let world = World::nested_in_another("https://elsewhere.test").await;
    let client = C::new(&world).await;
    let read = |origin: &str| {
        let read = ask("GET", "/notes", ACME).with("origin", origin);
        read.by(world.alice)
    };
    // Each engine has its pages. The tenancy inside is of the inner one.
    let got = client.send(read(APP_PAGE)).await;
    assert_eq!((got.status, &*got.body), (200, "acme"));
    got.assert_readable(APP_PAGE);
    let elsewhere = "https://elsewhere.test";
    let got = client.send(read(elsewhere)).await;
    got.assert_problem(404, "tenant-not-found");
    assert_eq!(got.one("access-control-allow-origin"), Some(elsewhere));
    assert_eq!(got.vary(), ["origin"]);
    client.send(read("null")).await.assert_unreadable();
}

pub(crate) async fn a_page_that_may_not_is_refused_by_the_tenancy_and_reads_nothing<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    let at = |host, user| ask("GET", "/notes", host).by(user);
    // Both tenants are there, each for its own page.
    for (host, user, origin, slug) in [
        (ACME, world.alice, ACME_PAGE, "acme"),
        (GLOBEX, world.bob, GLOBEX_PAGE, "globex"),
    ] {
        let got = client.send(at(host, user).with("origin", origin)).await;
        assert_eq!((got.status, &*got.body), (200, slug));
    }
    for (asking, status, problem) in [
        (
            at(ACME, world.alice).with("origin", GLOBEX_PAGE),
            404,
            "tenant-not-found",
        ),
        (
            at(GLOBEX, world.bob).with("origin", ACME_PAGE),
            404,
            "tenant-not-found",
        ),
        (
            at(ACME, world.alice).with("origin", "https://evil.test"),
            404,
            "tenant-not-found",
        ),
        (
            at(ACME, world.alice).with("origin", "null"),
            403,
            "origin-not-allowed",
        ),
        (
            at(ACME, world.alice).with("origin", "http://acme.notes.example"),
            403,
            "origin-not-allowed",
        ),
        (
            at(ACME, world.alice)
                .with("origin", ACME_PAGE)
                .with("origin", ACME_PAGE),
            403,
            "origin-not-allowed",
        ),
    ] {
        let before = world.passed();
        let got = client.send(asking).await;
        got.assert_problem(status, problem);
        got.assert_unreadable();
        assert_eq!(world.passed(), before + 1);
    }
}

pub(crate) async fn credentials_never_go_with_a_wildcard<C: Client>() {
    let world = World::with(CorsPolicy::new().credentials(true)).await;
    let client = C::new(&world).await;
    for origin in [APP_PAGE, ACME_PAGE, DOMAIN_PAGE] {
        let page = ask("GET", "/notes", ACME).with("origin", origin);
        for asking in [preflight(ACME, origin), page.clone(), page.by(world.alice)] {
            let is_preflight = asking.method == "OPTIONS";
            let got = client.send(asking).await;
            assert_eq!(got.one("access-control-allow-credentials"), Some("true"));
            assert_eq!(got.one("access-control-allow-origin"), Some(origin));
            assert!(
                got.cors().values().all(|value| !value.contains('*')),
                "{got:?}"
            );
            if is_preflight {
                got.assert_varies_as_a_preflight();
            } else {
                assert_eq!(got.vary(), ["origin"]);
            }
        }
    }
    for origin in ["https://evil.test", "null"] {
        let got = client.send(preflight(API, origin)).await;
        got.assert_preflight_refused(403, "origin-not-allowed");
        let page = ask("GET", "/notes", ACME).with("origin", origin);
        client.send(page).await.assert_unreadable();
    }
}

pub(crate) async fn every_response_says_that_it_depends_on_the_origin<C: Client>() {
    let world = World::new().await;
    let client = C::new(&world).await;
    for (path, user, status) in [
        ("/notes", Some(world.alice), 200),
        ("/fails", Some(world.alice), 500),
        ("/nowhere", Some(world.alice), 404),
        ("/notes", Some(world.bob), 404),
        ("/notes", None, 401),
    ] {
        let asking = ask("GET", path, ACME);
        let got = client
            .send(user.map_or(asking.clone(), |user| asking.by(user)))
            .await;
        assert_eq!(got.status, status);
        got.assert_unreadable();
    }
    // What the handler says of itself stays.
    let own = ask("GET", "/own", ACME).by(world.alice);
    for asking in [
        own.clone(),
        own.clone().with("origin", ACME_PAGE),
        own.with("origin", APP_PAGE),
    ] {
        let got = client.send(asking).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.vary(), ["accept-encoding", "accept-language", "origin"]);
        assert_eq!(got.all("vary").len(), 3);
    }
}

const SECURED: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("content-security-policy", "frame-ancestors 'self'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

pub(crate) async fn every_response_is_secured<C: Client>() {
    let world = World::secured().await;
    let client = C::new(&world).await;
    let at = |method, path| ask(method, path, ACME);
    for (asking, status) in [
        (at("GET", "/notes").by(world.alice), 200),
        (at("HEAD", "/notes").by(world.alice), 200),
        (
            at("GET", "/notes")
                .by(world.alice)
                .with("origin", ACME_PAGE),
            200,
        ),
        (at("GET", "/notes"), 401),
        (at("HEAD", "/notes"), 401),
        (at("GET", "/notes").by(world.bob), 404),
        (at("GET", "/nowhere").by(world.alice), 404),
        (at("DELETE", "/notes").by(world.alice), 405),
        (at("GET", "/fails").by(world.alice), 500),
        (
            at("GET", "/notes").by(world.alice).with("origin", "null"),
            403,
        ),
        (preflight(ACME, ACME_PAGE), 200),
        (preflight(ACME, DOMAIN_PAGE), 200),
        (preflight(ACME, "https://evil.test"), 403),
    ] {
        let got = client.send(asking.clone()).await;
        assert_eq!(got.status, status, "{asking:?}: {got:?}");
        for (name, value) in SECURED {
            assert_eq!(got.one(name), Some(value), "{asking:?}");
        }
        let mut vary = vec!["authorization", "origin", "x-org"];
        if asking.method == "OPTIONS" {
            vary.extend([
                "access-control-request-headers",
                "access-control-request-method",
            ]);
            vary.sort_unstable();
        }
        assert_eq!(got.vary(), vary, "{asking:?}");
        let hsts = "max-age=31536000; includeSubDomains";
        assert_eq!(got.one("strict-transport-security"), Some(hsts));
    }
}

pub(crate) async fn what_a_handler_says_itself_stays<C: Client>() {
    let world = World::secured().await;
    let client = C::new(&world).await;
    let got = client.send(ask("GET", "/own", ACME).by(world.alice)).await;
    assert_eq!(got.one("cache-control"), Some("max-age=60"));
    assert_eq!(got.one("x-content-type-options"), Some("nosniff"));
    let vary = [
        "accept-encoding",
        "accept-language",
        "authorization",
        "origin",
        "x-org",
    ];
    assert_eq!(got.vary(), vary);
}

pub(crate) async fn transport_security_depends_on_the_host<C: Client>() {
    let world = World::secured().await;
    let client = C::new(&world).await;
    for (host, want) in [
        (ACME, Some("max-age=31536000; includeSubDomains")),
        (API, Some("max-age=31536000; includeSubDomains")),
        ("notes.acme.test", Some("max-age=31536000")),
        ("localhost:3000", None),
        ("127.0.0.1", None),
    ] {
        let got = client.send(ask("GET", "/notes", host)).await;
        assert_eq!(got.one("strict-transport-security"), want, "{host}");
        assert_eq!(
            got.one("referrer-policy"),
            Some("strict-origin-when-cross-origin")
        );
    }
}

/// Makes a test of each case: `specify!(tokio::test, Client)`.
macro_rules! specify {
    ($test:meta, $client:ty) => {
        $crate::pages::specify! { @ $test, $client:
            preflights_of_allowed_pages_are_answered_before_authentication
            preflights_of_other_pages_are_refused_and_say_nothing
            a_custom_domain_is_asked_for_once
            a_directory_that_is_down_is_unavailable
            an_allowed_page_reads_what_its_tenant_has
            an_options_request_that_asks_for_nothing_is_no_preflight
            an_allowed_page_reads_why_it_was_refused
            a_stream_is_passed_on
            fields_of_a_handler_give_way_where_the_policy_allows_a_page
            a_layer_inside_another_decides_nothing_anew
            a_layer_inside_one_of_another_engine_decides_for_itself
            a_page_that_may_not_is_refused_by_the_tenancy_and_reads_nothing
            credentials_never_go_with_a_wildcard
            every_response_says_that_it_depends_on_the_origin
            every_response_is_secured
            what_a_handler_says_itself_stays
            transport_security_depends_on_the_host
        }
    };
    (@ $test:meta, $client:ty: $($case:ident)*) => {
        $(#[$test] async fn $case() { $crate::pages::$case::<$client>().await; })*
    };
}
pub(crate) use specify;
