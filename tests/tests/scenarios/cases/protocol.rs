//! HEAD, HTTP/2, bodies that are announced, and heads that no client of good manners sends.

use serde_json::json;

use crate::scenario::{Scenario, WantedBody, get, send};

const ACME: &str = "acme.notes.example";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        send("HEAD", "/app/notes")
            .named("HEAD")
            .about("GET /app/notes")
            .at(ACME)
            .by("alice")
            .answers(200, WantedBody::Empty)
            .answering("content-type", Some("application/json"))
            .answering("content-length", Some("1")),
        send("HEAD", "/app/notes")
            .named("HEAD by nobody")
            .about("GET /app/notes")
            .at(ACME)
            .refused_to_head(401)
            .answering("www-authenticate", Some("Bearer"))
            .audited("request.admit credential-absent - -"),
        send("HEAD", "/app/notes")
            .named("HEAD at an unknown tenant")
            .about("GET /app/notes")
            .at("elsewhere.notes.example")
            .by("alice")
            .refused_to_head(404)
            .audited("request.admit tenant-unknown user -"),
        get("/app/notes")
            .named("HTTP/2")
            .at(ACME)
            .by("alice")
            .over_http2()
            .says(json!(3)),
        send("POST", "/app/notes")
            .named("HTTP/2 with a body")
            .at(ACME)
            .by("alice")
            .over_http2()
            .json(json!("over HTTP/2"))
            .says(json!(1))
            .leaves(4, 5),
        get("/app/notes")
            .named("HTTP/2 by a stranger")
            .at(ACME)
            .by("mallory")
            .over_http2()
            .refused(404, "tenant-not-found")
            .audited("request.admit not-a-member user acme"),
        get("/app/notes")
            .named("HTTP/2 with a field that contradicts the authority")
            .at(ACME)
            .by("carol")
            .over_http2()
            .field("x-organization-id", "globex")
            .refused(404, "tenant-not-found")
            .audited("request.admit hints-contradict user -"),
        send("POST", "/app/notes")
            .named("a large body by nobody is not waited for")
            .at(ACME)
            .announcing(10_000_000_000)
            .refused(401, "unauthenticated")
            .audited("request.admit credential-absent - -"),
        send("POST", "/app/notes")
            .named("a large body without the permission is not waited for")
            .at(ACME)
            .by("vera")
            .announcing(10_000_000_000)
            .denied("notes:write")
            .audited("permission.check permission-not-held user acme"),
        get("/app/notes")
            .named("HTTP/1.1 without a host, the tenant in a field")
            .without_host()
            .by("alice")
            .field("x-organization-id", "acme")
            .one_of(&[200, 400]),
        get("/app/notes")
            .named("a credential of 100 KiB")
            .at(ACME)
            .field(
                "authorization",
                format!("Bearer {}", "x".repeat(100 * 1024)),
            )
            .refused(401, "unauthenticated")
            .audited("request.admit credential-oversized - -"),
    ]
}
