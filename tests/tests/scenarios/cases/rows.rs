//! What is one tenant's does not exist for the other; and the same requests of the owner do
//! something.

use serde_json::{Value, json};

use crate::scenario::{Scenario, get, send};

const ACME: &str = "acme.notes.example";
const GLOBEX: &str = "globex.notes.example";

fn note(method: &'static str, target: &str) -> Scenario {
    let route = match method {
        "GET" => "GET /app/notes/{id}",
        "PUT" => "PUT /app/notes/{id}",
        _ => "DELETE /app/notes/{id}",
    };
    send(method, target)
        .about(route)
        .named(&format!("{method} {target}"))
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        get("/app/notes")
            .named("only one's own are counted")
            .at(GLOBEX)
            .by("bob")
            .says(json!(5)),
        send("POST", "/app/notes")
            .named("a note goes to the tenant of the request")
            .at(GLOBEX)
            .by("carol")
            .json(json!("a note"))
            .says(json!(1))
            .leaves(3, 6),
        note("GET", "/app/notes/{acme:1}")
            .at(ACME)
            .by("alice")
            .says(json!("acme's note 1")),
        note("GET", "/app/notes/{globex:1}")
            .at(ACME)
            .by("alice")
            .says(Value::Null),
        note("PUT", "/app/notes/{acme:1}")
            .at(ACME)
            .by("alice")
            .says(json!(1))
            .overwrites("acme"),
        note("PUT", "/app/notes/{globex:1}")
            .at(ACME)
            .by("alice")
            .says(json!(0)),
        note("DELETE", "/app/notes/{acme:1}")
            .at(ACME)
            .by("alice")
            .says(json!(1))
            .leaves(2, 5),
        note("DELETE", "/app/notes/{globex:1}")
            .at(ACME)
            .by("alice")
            .says(json!(0)),
    ]
}
