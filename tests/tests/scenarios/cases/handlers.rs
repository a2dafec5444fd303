//! What handlers do: succeed, refuse, fail, panic.

use serde_json::json;

use crate::scenario::{Scenario, get, send};

const ACME: &str = "acme.notes.example";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        get("/app/context")
            .named("a context, whole")
            .at(ACME)
            .by("alice")
            .says(json!({
                "tenant": "acme", "actor": "user", "role": "owner", "project": false,
                "ip": "127.0.0.1",
            })),
        get("/app/broken")
            .named("an error of the database")
            .at(ACME)
            .by("alice")
            .refused(500, "internal")
            .logging("a_table_that_is_secret"),
        get("/app/failing")
            .named("an error of the application's own")
            .at(ACME)
            .by("alice")
            .refused(500, "internal")
            .logging("hunter2"),
        get("/app/undeclared")
            .named("a permission that was never declared")
            .at(ACME)
            .by("alice")
            .refused(500, "internal")
            .logging("permission-not-declared"),
        // Twice as often as the pool has connections: a panic that kept one would be noticed.
        panics("a panic"),
        panics("a panic again"),
        panics("a third panic"),
        send("POST", "/app/notes")
            .named("a body that is no JSON of the right kind")
            .at(ACME)
            .by("alice")
            .json(json!({ "not": "a string" }))
            .one_of(&[400, 422]),
        get("/app/notes/not-an-id")
            .named("an id that is none")
            .about("GET /app/notes/{id}")
            .at(ACME)
            .by("alice")
            .one_of(&[400, 404]),
    ]
}

fn panics(name: &str) -> Scenario {
    get("/app/panicking")
        .named(name)
        .at(ACME)
        .by("alice")
        .closes()
}
