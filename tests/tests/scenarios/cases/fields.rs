//! Header fields that contradict each other, come twice, or are no text.

use serde_json::{Value, json};

use crate::scenario::{Credential, Scenario, Shape, get};

fn notes() -> Scenario {
    get("/app/notes").by("carol")
}

fn malformed(name: &str, credential: &'static str) -> Scenario {
    get("/app/notes")
        .named(name)
        .at("acme.notes.example")
        .with(Credential::Text(credential))
        .refused(401, "unauthenticated")
        .audited("request.admit credential-malformed - -")
}

/// Behind a trusted proxy, asked what the caller's address is.
fn forwarded(name: &str, line: &str) -> Scenario {
    notes()
        .named(name)
        .on(Shape::BehindProxy)
        .at("acme.notes.example")
        .about("GET /app/context")
        .target("/app/context")
        .field("x-forwarded-for", line)
}

fn from(ip: impl Into<Value>) -> Value {
    json!({
        "tenant": "acme", "actor": "user", "role": "member", "project": false, "ip": ip.into(),
    })
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let lost = |scenario: Scenario, audit| scenario.refused(404, "tenant-not-found").audited(audit);
    vec![
        notes()
            .named("a slug in the field")
            .field("x-organization-id", "globex")
            .says(json!(5)),
        notes()
            .named("an id in the field")
            .field("x-organization-id", "{globex}")
            .says(json!(5)),
        notes()
            .named("field and host agree")
            .at("acme.notes.example")
            .field("x-organization-id", "acme")
            .says(json!(3)),
        notes()
            .named("host in another case, with a port and a dot")
            .at("ACME.Notes.Example.:8443")
            .says(json!(3)),
        notes()
            .named("the tenant's own domain")
            .at("notes.acme.example")
            .says(json!(3)),
        lost(
            notes()
                .named("a domain that is nobody's")
                .at("notes.globex.example"),
            "request.admit tenant-unknown user -",
        ),
        lost(
            notes()
                .named("field and host contradict")
                .at("acme.notes.example")
                .field("x-organization-id", "globex"),
            "request.admit hints-contradict user -",
        ),
        lost(
            notes()
                .named("the field twice, the same")
                .field("x-organization-id", "acme")
                .field("x-organization-id", "acme"),
            "request.admit header-repeated user -",
        ),
        lost(
            notes()
                .named("the field twice, with another")
                .field("x-organization-id", "acme")
                .field("X-Organization-Id", "globex"),
            "request.admit header-repeated user -",
        ),
        lost(
            notes()
                .named("a list in the field")
                .field("x-organization-id", "acme, globex"),
            "request.admit header-malformed user -",
        ),
        lost(
            notes()
                .named("the field is empty")
                .field("x-organization-id", ""),
            "request.admit header-malformed user -",
        ),
        lost(
            notes()
                .named("the field is Latin-1")
                .field("x-organization-id", b"caf\xe9"),
            "request.admit header-not-text user -",
        ),
        lost(
            notes()
                .named("the field is UTF-8")
                .field("x-organization-id", "café"),
            "request.admit header-not-text user -",
        ),
        lost(
            notes().named("a label too many").at("a.acme.notes.example"),
            "request.admit subdomain-malformed user -",
        ),
        malformed("an empty credential", ""),
        malformed("a scheme and no credential", "Bearer "),
        malformed("two credentials in one field", "Bearer one, Bearer two"),
        get("/app/notes")
            .named("a credential of bytes")
            .at("acme.notes.example")
            .field("authorization", b"Bearer \xff\xfe")
            .refused(401, "unauthenticated")
            .audited("request.admit credential-not-text - -"),
        get("/app/notes")
            .named("a credential in UTF-8")
            .at("acme.notes.example")
            .field("authorization", "Bearer tökén")
            .refused(401, "unauthenticated")
            .audited("request.admit credential-not-text - -"),
        lost(
            notes()
                .named("a tenant of 9,000 bytes")
                .field("x-organization-id", "a".repeat(9_000)),
            "request.admit header-malformed user -",
        ),
        notes()
            .named("two hosts")
            .at("acme.notes.example")
            .field("host", "acme.notes.example")
            .field("x-organization-id", "acme")
            .one_of(&[400, 404])
            .auditing_only_refusals(),
        notes()
            .named("a host with a user")
            .at("me@acme.notes.example")
            .one_of(&[400, 404])
            .auditing_only_refusals(),
        notes()
            .named("a forwarded host from a trusted proxy")
            .on(Shape::BehindProxy)
            .at("globex.notes.example")
            .field("x-forwarded-host", "acme.notes.example")
            .says(json!(3)),
        notes()
            .named("a forwarded address from a trusted proxy")
            .on(Shape::BehindProxy)
            .at("acme.notes.example")
            .about("GET /app/context")
            .target("/app/context")
            .field("x-forwarded-for", "198.51.100.1, 192.0.2.7")
            .says(json!({
                "tenant": "acme", "actor": "user", "role": "member", "project": false,
                "ip": "192.0.2.7",
            })),
        forwarded("two lines of forwarded addresses", "198.51.100.1")
            .field("x-forwarded-for", "192.0.2.7:4711, 127.0.0.1")
            .says(from("192.0.2.7")),
        forwarded(
            "a forwarded address that can't be read",
            "192.0.2.7, unknown",
        )
        .says(from(Value::Null)),
        lost(
            notes()
                .named("two forwarded hosts from a trusted proxy")
                .on(Shape::BehindProxy)
                .at("acme.notes.example")
                .field("x-forwarded-host", "acme.notes.example")
                .field("x-forwarded-host", "globex.notes.example"),
            "request.admit forwarded-host-repeated user -",
        ),
        notes()
            .named("a forwarded host from nobody in particular")
            .at("acme.notes.example")
            .field("x-forwarded-host", "globex.notes.example")
            .field("forwarded", "host=globex.notes.example")
            .says(json!(3)),
        notes()
            .named("a forwarded address from nobody in particular")
            .at("acme.notes.example")
            .about("GET /app/context")
            .field("x-forwarded-for", "192.0.2.7")
            .target("/app/context")
            .says(json!({
                "tenant": "acme", "actor": "user", "role": "member", "project": false,
                "ip": "127.0.0.1",
            })),
        lost(
            notes()
                .named("a project that is none")
                .at("acme.notes.example")
                .field("x-project-id", "not an id"),
            "request.admit project-malformed user acme",
        ),
        lost(
            notes()
                .named("a project that does not exist")
                .at("acme.notes.example")
                .field("x-project-id", "{globex}"),
            "request.admit project-unknown user acme",
        ),
    ]
}
