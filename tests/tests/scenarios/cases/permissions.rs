//! What a role may do, by guards and in handlers.

use serde_json::json;

use crate::scenario::{Scenario, get, send};

const ACME: &str = "acme.notes.example";
const DENIED: &str = "permission.check permission-not-held user acme";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        get("/app/notes")
            .named("a viewer reads")
            .at(ACME)
            .by("vera")
            .says(json!(3)),
        send("POST", "/app/notes")
            .named("a viewer does not write")
            .at(ACME)
            .by("vera")
            .json(json!("x"))
            .denied("notes:write")
            .audited(DENIED),
        send("PUT", "/app/notes/{acme:1}")
            .named("a viewer does not change")
            .about("PUT /app/notes/{id}")
            .at(ACME)
            .by("vera")
            .denied("notes:write")
            .audited(DENIED),
        send("DELETE", "/app/notes/{acme:1}")
            .named("a viewer does not delete")
            .about("DELETE /app/notes/{id}")
            .at(ACME)
            .by("vera")
            .denied("notes:write")
            .audited(DENIED),
        send("POST", "/app/manage")
            .named("an owner manages")
            .at(ACME)
            .by("alice")
            .says(json!("managed")),
        send("POST", "/app/manage")
            .named("a member does not manage, says the handler")
            .at(ACME)
            .by("carol")
            .denied("tenant:manage")
            .audited(DENIED),
        send("HEAD", "/app/notes")
            .named("a guard on GET guards HEAD")
            .about("GET /app/notes")
            .at("globex.notes.example")
            .by("vera")
            .refused_to_head(404)
            .audited("request.admit not-a-member user globex"),
    ]
}
