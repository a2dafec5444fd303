//! The tenant in the path, paths that are written in other ways, and paths that nobody knows.

use serde_json::json;

use crate::scenario::{Scenario, Shape, WantedBody, get, send};

const ACME: &str = "acme.notes.example";

fn in_path(target: &'static str) -> Scenario {
    get(target).about("GET /t/{tenant}/notes").by("carol")
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let lost = |scenario: Scenario, audit| scenario.refused(404, "tenant-not-found").audited(audit);
    vec![
        in_path("/t/acme/notes")
            .named("a slug in the path")
            .says(json!(3)),
        in_path("/t/{globex}/notes")
            .named("an id in the path")
            .says(json!(5)),
        in_path("/t/globex/notes?tenant=acme")
            .named("a query names nothing")
            .says(json!(5)),
        lost(
            in_path("/t/acme/notes")
                .named("path and host contradict")
                .at("globex.notes.example"),
            "request.admit hints-contradict user -",
        ),
        lost(
            in_path("/t/%61cme/notes").named("a slug in percent"),
            "request.admit path-malformed user -",
        ),
        lost(
            get("/%74/acme/notes")
                .named("a prefix in percent, and another tenant in the field")
                .about("GET /t/{tenant}/notes")
                .by("carol")
                .field("x-organization-id", "globex"),
            "request.admit path-malformed user -",
        )
        .on(Shape::Covered),
        lost(
            in_path("//t/acme/notes")
                .named("a slash too many before the prefix, and another tenant in the field")
                .field("x-organization-id", "globex"),
            "request.admit path-malformed user -",
        )
        .on(Shape::Covered),
        lost(
            in_path("/t/ACME/notes").named("a slug in capitals"),
            "request.admit path-malformed user -",
        ),
        lost(
            in_path("/t/nowhere/notes").named("an unknown slug in the path"),
            "request.admit tenant-unknown user -",
        ),
        in_path("http://globex.notes.example/t/globex/notes")
            .named("a target in absolute form")
            .at("globex.notes.example")
            .says(json!(5)),
        lost(
            in_path("http://acme.notes.example/t/globex/notes")
                .named("an absolute target contradicts the host")
                .at("globex.notes.example"),
            "request.admit host-contradicts-target user -",
        ),
        get("/app/notes/")
            .named("a slash too many, normalised")
            .about("GET /app/notes")
            .on(Shape::Normalized)
            .at(ACME)
            .by("alice")
            .says(json!(3)),
        in_path("/t/acme/notes/")
            .named("a slash too many after a tenant's path, normalised")
            .on(Shape::Normalized)
            .says(json!(3)),
        get("/app/notes/")
            .named("a slash too many, normalised, by nobody")
            .about("GET /app/notes")
            .on(Shape::Normalized)
            .at(ACME)
            .refused(401, "unauthenticated")
            .audited("request.admit credential-absent - -"),
        get("/notes")
            .named("a service covered as a whole")
            .on(Shape::Covered)
            .at(ACME)
            .by("alice")
            .says(json!(3)),
        get("/no-such-path")
            .named("an unknown path, by nobody")
            .on(Shape::Covered)
            .at(ACME)
            .refused(401, "unauthenticated")
            .audited("request.admit credential-absent - -"),
        get("/no-such-path")
            .named("an unknown path")
            .on(Shape::Covered)
            .at(ACME)
            .by("alice")
            .answers(404, WantedBody::Empty),
        get("/no-such-path")
            .named("an unknown path outside every scope")
            .answers(404, WantedBody::Empty),
        send("POST", "/notes")
            .named("another method, by nobody")
            .on(Shape::Covered)
            .at(ACME)
            .refused(401, "unauthenticated")
            .audited("request.admit credential-absent - -"),
        send("POST", "/notes")
            .named("another method")
            .on(Shape::Covered)
            .at(ACME)
            .by("alice")
            .answers(405, WantedBody::Empty),
        send("PATCH", "/app/notes")
            .named("another method, by nobody, of a path in a scope")
            .at(ACME)
            .refused(401, "unauthenticated")
            .audited("request.admit credential-absent - -"),
        send("PATCH", "/app/notes")
            .named("another method of a path in a scope")
            .at(ACME)
            .by("alice")
            .answers(405, WantedBody::Empty),
    ]
}
