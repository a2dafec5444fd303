//! Credentials of browsers and of other schemes, and pages for visitors.

use serde_json::json;

use crate::{
    engines::APPLICATION,
    scenario::{
        Credential::{self, Ended, Session},
        Place::{Application, Certificate, Cookie, Field, Scheme},
        Scenario, Shape, get, send,
    },
};

const ACME: &str = "acme.notes.example";
const GLOBEX: &str = "globex.notes.example";
const CENTRAL: &str = "notes.example";
const NOT_OF_ACME: &str = "request.admit not-a-member user globex";

fn notes(name: &str, credential: Credential) -> Scenario {
    get("/app/notes")
        .on(Shape::Sessions)
        .at(ACME)
        .named(name)
        .with(credential)
}

fn post(name: &str, credential: Credential) -> Scenario {
    send("POST", "/app/notes")
        .on(Shape::Sessions)
        .at(ACME)
        .named(name)
        .with(credential)
        .json(json!("a note"))
}

fn written(scenario: Scenario) -> Scenario {
    scenario.says(json!(1)).leaves(4, 5)
}

/// What a request is told that a page of another site may have made a browser send.
fn forged(scenario: Scenario, reason: &'static str) -> Scenario {
    let scenario = scenario.refused(403, "origin-not-allowed");
    scenario.audited(reason).answering("vary", Some("cookie"))
}

fn repeated(scenario: Scenario) -> Scenario {
    scenario
        .refused(401, "unauthenticated")
        .challenged(Some("Bearer, Cookie, Token"))
        .audited("request.admit credential-repeated - -")
}

/// Who is who for a page that everybody may see.
fn visit(name: &str, host: &'static str, credential: Credential) -> Scenario {
    get("/visitors/maybe-principal")
        .on(Shape::Cookies)
        .at(host)
        .named(name)
        .with(credential)
        .answering("vary", Some("cookie"))
}

fn sign_in() -> Vec<Scenario> {
    vec![
        notes("a session's cookie", Session(Cookie, "alice"))
            .says(json!(3))
            .answering("vary", Some("cookie")),
        notes("a session's cookie over HTTP/2", Session(Cookie, "alice"))
            .over_http2()
            .says(json!(3)),
        notes(
            "a session's cookie at another tenant",
            Session(Cookie, "alice"),
        )
        .at(GLOBEX)
        .refused(404, "tenant-not-found")
        .audited(NOT_OF_ACME)
        .answering("vary", Some("cookie")),
        notes("a session that has ended", Ended("alice"))
            .on(Shape::Cookies)
            .refused(401, "unauthenticated")
            .challenged(Some("Cookie"))
            .audited("request.admit session-ended - -")
            .answering("vary", Some("cookie")),
        notes(
            "a token where only cookies are read",
            Credential::Of("alice"),
        )
        .on(Shape::Cookies)
        .refused(401, "unauthenticated")
        .challenged(Some("Cookie"))
        .audited("request.admit credential-scheme-unknown - -"),
        notes("another scheme than Bearer", Session(Scheme, "alice")).says(json!(3)),
        notes("a field of its own", Session(Field("x-session"), "alice")).says(json!(3)),
        notes(
            "the old name of a field",
            Session(Field("x-old-session"), "alice"),
        )
        .says(json!(3)),
        written(post(
            "a field that no browser sends",
            Session(Field("x-session"), "alice"),
        )),
        notes(
            "a certificate behind a trusted proxy",
            Session(Certificate, "alice"),
        )
        .says(json!(3)),
        notes(
            "a certificate from nobody in particular",
            Session(Certificate, "alice"),
        )
        .on(Shape::Cookies)
        .refused(401, "unauthenticated")
        .challenged(Some("Cookie"))
        .audited("request.admit certificate-from-untrusted-peer - -"),
        notes(
            "somebody whom the application has established",
            Session(Application, "alice"),
        )
        .says(json!(3)),
        notes(
            "a stranger whom the application has established",
            Session(Application, "bob"),
        )
        .refused(404, "tenant-not-found")
        .audited("request.admit not-a-member user acme"),
        notes(
            "somebody established for an engine that does not take it",
            Session(Application, "alice"),
        )
        .on(Shape::Cookies)
        .refused(401, "unauthenticated")
        .challenged(Some("Cookie"))
        .audited("request.admit credential-absent - -"),
    ]
}

fn twice() -> Vec<Scenario> {
    vec![
        repeated(
            notes("a cookie and a token", Credential::Of("alice"))
                .field("cookie", "__Host-session=open.x"),
        ),
        repeated(
            notes("a cookie twice", Session(Cookie, "alice"))
                .field("cookie", "__Host-session=open.x"),
        ),
        repeated(
            notes(
                "an established principal and a token",
                Session(Application, "alice"),
            )
            .field("authorization", "Bearer x"),
        ),
        repeated(
            notes(
                "an established principal and a cookie",
                Session(Application, "alice"),
            )
            .field("cookie", "__Host-session=open.x"),
        ),
        repeated(
            notes("a certificate and a field", Session(Certificate, "alice"))
                .field("x-session", "open.x"),
        ),
        repeated(
            notes(
                "both names of a field",
                Session(Field("x-session"), "alice"),
            )
            .field("x-old-session", "open.x"),
        ),
        visit(
            "two cookies on a public page",
            ACME,
            Session(Cookie, "alice"),
        )
        .field("cookie", "__Host-session=open.x")
        .refused(401, "unauthenticated")
        .challenged(Some("Cookie"))
        .audited("request.admit credential-repeated - -"),
    ]
}

fn across_sites() -> Vec<Scenario> {
    let mut scenarios = vec![
        forged(
            post("a cookie and no proof", Session(Cookie, "alice")),
            "request.admit same-origin-proof-absent - -",
        ),
        forged(
            post("a page of another tenant", Session(Cookie, "alice"))
                .field("origin", "https://globex.notes.example"),
            "request.admit cross-site-request - -",
        ),
        forged(
            post("a sandboxed page", Session(Cookie, "alice")).field("origin", "null"),
            "request.admit cross-site-request - -",
        ),
        forged(
            send("POST", "/visitors/open")
                .on(Shape::Sessions)
                .at(ACME)
                .named("a page of another site signs out")
                .with(Session(Cookie, "alice"))
                .field("sec-fetch-site", "cross-site"),
            "request.admit cross-site-request - -",
        ),
        forged(
            get("/app/socket")
                .on(Shape::Sessions)
                .at(ACME)
                .named("a websocket of another site's page")
                .with(Session(Cookie, "alice"))
                .field("upgrade", "websocket")
                .field("origin", "https://evil.example"),
            "request.admit cross-site-request - -",
        ),
        written(
            post(
                "a page of the same origin, by its address",
                Session(Cookie, "alice"),
            )
            .field("origin", "https://acme.notes.example"),
        ),
        notes("a link on another site", Session(Cookie, "alice"))
            .field("sec-fetch-site", "cross-site")
            .says(json!(3)),
    ];
    for (place, what) in [
        (Cookie, "a cookie"),
        (Application, "an established principal"),
        (Certificate, "a certificate"),
    ] {
        let alice = Session(place, "alice");
        scenarios.push(forged(
            post(&format!("{what} by a page of another site"), alice)
                .field("sec-fetch-site", "cross-site"),
            "request.admit cross-site-request - -",
        ));
        scenarios.push(written(
            post(&format!("{what} by a page of the same origin"), alice)
                .field("sec-fetch-site", "same-origin"),
        ));
    }
    scenarios
}

/// What a page of a tenant may make its visitor's browser do, where a policy lets it send the cookie.
fn by_pages_of_tenants() -> Vec<Scenario> {
    let sent = |scenario: Scenario, name: &str, host, origin: &str| {
        let scenario = scenario.on(Shape::CookiesOfPages).named(name).at(host);
        let scenario = scenario.with(Session(Cookie, "carol"));
        scenario
            .field("origin", origin)
            .field("sec-fetch-site", "same-site")
    };
    let account = |name, origin| sent(send("POST", "/account/open"), name, CENTRAL, origin);
    let note = |name, host, origin| {
        let note = send("POST", "/app/notes").json(json!("a note"));
        sent(note, name, host, origin)
    };
    let forged = |scenario: Scenario| {
        let scenario = scenario.refused(403, "origin-not-allowed");
        scenario.audited("request.admit cross-site-request - -")
    };
    vec![
        forged(account(
            "a page of a tenant changes an account",
            "https://acme.notes.example",
        )),
        forged(account(
            "a page on a tenant's own domain changes an account",
            "https://notes.acme.example",
        )),
        forged(account(
            "a page of no tenant there is changes an account",
            "https://nowhere.notes.example",
        )),
        forged(
            sent(
                get("/account/principal"),
                "a page of a tenant opens a socket of the account",
                CENTRAL,
                "https://acme.notes.example",
            )
            .field("upgrade", "websocket"),
        ),
        sent(
            get("/account/principal"),
            "a page of a tenant reads an account",
            CENTRAL,
            "https://acme.notes.example",
        )
        .says(json!("user")),
        account("the application's page changes an account", APPLICATION).says(json!("reached")),
        account(
            "a page of the service's own host changes an account",
            "https://notes.example",
        )
        .says(json!("reached")),
        note(
            "a page of another tenant writes with a member's cookie",
            ACME,
            "https://globex.notes.example",
        )
        .refused(404, "tenant-not-found")
        .audited("request.admit hints-contradict user -"),
        note(
            "a page of another tenant names the tenant by a field",
            CENTRAL,
            "https://globex.notes.example",
        )
        .field("x-organization-id", "acme")
        .refused(404, "tenant-not-found")
        .audited("request.admit hints-contradict user -"),
        written(note(
            "a page on the tenant's own domain writes with a member's cookie",
            ACME,
            "https://notes.acme.example",
        )),
        written(note(
            "the application's page writes with a member's cookie",
            ACME,
            APPLICATION,
        )),
    ]
}

fn visitors() -> Vec<Scenario> {
    let strict = |name: &str, credential| {
        get("/strict-in-visitors/tenant")
            .on(Shape::Cookies)
            .at(GLOBEX)
            .named(name)
            .with(credential)
    };
    vec![
        visit("a member's page", ACME, Session(Cookie, "alice")).says(json!("user")),
        visit(
            "a non-member is a visitor",
            GLOBEX,
            Session(Cookie, "alice"),
        )
        .says(json!("none")),
        visit("a stale cookie is none", ACME, Ended("alice")).says(json!("none")),
        visit(
            "a visitor of no tenant there is",
            "nowhere.notes.example",
            Session(Cookie, "alice"),
        )
        .refused(404, "tenant-not-found")
        .audited("request.admit tenant-unknown user -"),
        visit(
            "a visitor of a suspended tenant",
            "asleep.notes.example",
            Session(Cookie, "bob"),
        )
        .refused(404, "tenant-not-found")
        .audited("request.admit not-a-member user asleep"),
        visit(
            "a stale cookie at no tenant there is",
            "nowhere.notes.example",
            Ended("alice"),
        )
        .refused(401, "unauthenticated")
        .challenged(Some("Cookie"))
        .audited("request.admit session-ended - -"),
        send("POST", "/visitors/open")
            .on(Shape::Cookies)
            .at(ACME)
            .named("signing out of a session that has ended")
            .with(Ended("alice"))
            .field("sec-fetch-site", "same-origin")
            .says(json!("reached")),
        get("/public/maybe-principal")
            .on(Shape::Cookies)
            .at(GLOBEX)
            .named("a non-member where the route says nothing of visitors")
            .with(Session(Cookie, "alice"))
            .refused(404, "tenant-not-found")
            .audited(NOT_OF_ACME),
        get("/public/maybe-principal")
            .on(Shape::Cookies)
            .at(ACME)
            .named("a stale cookie where the route says nothing of it")
            .with(Ended("alice"))
            .refused(401, "unauthenticated")
            .challenged(Some("Cookie"))
            .audited("request.admit session-ended - -"),
        strict(
            "a visitor inside a page for members",
            Session(Cookie, "alice"),
        )
        .refused(404, "tenant-not-found")
        .audited(NOT_OF_ACME),
        strict(
            "a member inside a page for visitors",
            Session(Cookie, "bob"),
        )
        .says(json!("globex")),
        get("/public-in-visitors/maybe-principal")
            .on(Shape::Cookies)
            .at(ACME)
            .named("a stale cookie inside, where the route says nothing of it")
            .with(Ended("alice"))
            .refused(401, "unauthenticated")
            .challenged(Some("Cookie"))
            .audited("request.admit session-ended - -"),
    ]
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        sign_in(),
        twice(),
        across_sites(),
        by_pages_of_tenants(),
        visitors(),
    ]
    .concat()
}
