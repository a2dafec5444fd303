//! Pages of other origins: preflights, refusals that a script may read, and pages of one tenant that
//! call another.

use serde_json::json;

use crate::{
    engines::APPLICATION,
    scenario::{Credential::KeyField, Scenario, Shape, WantedBody, get, send},
};

const ACME: &str = "acme.notes.example";
const OF_ACME: &str = "https://acme.notes.example";
const OF_ACMES_OWN: &str = "https://notes.acme.example";
const OF_GLOBEX: &str = "https://globex.notes.example";

fn page(scenario: Scenario, name: &str, origin: &str) -> Scenario {
    scenario
        .on(Shape::Pages)
        .named(name)
        .at(ACME)
        .field("origin", origin)
}

fn preflight(name: &str, origin: &str, method: &str, headers: &str) -> Scenario {
    page(send("OPTIONS", "/app/notes"), name, origin)
        .field("access-control-request-method", method)
        .field("access-control-request-headers", headers)
}

fn allowed(scenario: Scenario, origin: &'static str) -> Scenario {
    scenario
        .answering("access-control-allow-origin", Some(origin))
        .answering("access-control-allow-credentials", Some("true"))
}

fn closed(scenario: Scenario) -> Scenario {
    scenario.answering("access-control-allow-origin", None)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let granted = |name, origin: &'static str| {
        let asked = preflight(
            name,
            origin,
            "POST",
            "authorization,content-type,x-organization-id,x-api-key",
        );
        allowed(asked, origin).answers(200, WantedBody::Empty)
    };
    let denied = |name, origin: &str, method: &str, headers: &str, audit: &'static str| {
        let asked = preflight(name, origin, method, headers);
        closed(asked.refused(403, "origin-not-allowed")).audited(audit)
    };
    vec![
        granted("a preflight of the application's page", APPLICATION),
        granted("a preflight of the tenant's page", OF_ACME),
        granted(
            "a preflight of the page on the tenant's own domain",
            OF_ACMES_OWN,
        ),
        denied(
            "a preflight of another tenant's page",
            OF_GLOBEX,
            "GET",
            "authorization",
            "cors.preflight origin-of-another-tenant - -",
        ),
        denied(
            "a preflight of anybody's page",
            "https://evil.example.org",
            "GET",
            "authorization",
            "cors.preflight origin-unknown - -",
        ),
        denied(
            "a preflight of an unencrypted page of the tenant",
            "http://acme.notes.example",
            "GET",
            "authorization",
            "cors.preflight origin-insecure - -",
        ),
        closed(
            page(
                get("/central/open"),
                "the page of a suspended tenant's domain, where no tenant is read",
                "https://notes.asleep.example",
            )
            .refused(403, "origin-not-allowed"),
        )
        .audited("request.admit origin-not-served - -"),
        denied(
            "a preflight of a page without an origin",
            "null",
            "GET",
            "authorization",
            "cors.preflight origin-null - -",
        ),
        denied(
            "a preflight for a method that is not allowed",
            APPLICATION,
            "TRACE",
            "authorization",
            "cors.preflight method-not-allowed - -",
        ),
        denied(
            "a preflight for a field that is not allowed",
            APPLICATION,
            "GET",
            "x-anything",
            "cors.preflight header-not-allowed - -",
        ),
        allowed(
            page(
                get("/app/notes"),
                "the application's page reads",
                APPLICATION,
            ),
            APPLICATION,
        )
        .by("alice")
        .says(json!(3))
        .answering("x-content-type-options", Some("nosniff")),
        allowed(
            page(get("/app/notes"), "the tenant's page reads", OF_ACME),
            OF_ACME,
        )
        .by("alice")
        .says(json!(3)),
        allowed(
            page(
                get("/app/notes"),
                "a page reads with a key in a field of its own",
                OF_ACME,
            ),
            OF_ACME,
        )
        .with(KeyField("all"))
        .says(json!(3)),
        closed(
            page(
                get("/app/notes"),
                "another tenant's page, with a key",
                OF_GLOBEX,
            )
            .with(KeyField("all"))
            .refused(404, "tenant-not-found"),
        )
        .audited("request.admit hints-contradict key -"),
        allowed(
            page(
                get("/app/notes"),
                "a page may read that it needs a credential",
                APPLICATION,
            )
            .refused(401, "unauthenticated"),
            APPLICATION,
        )
        .answering("x-content-type-options", Some("nosniff"))
        .audited("request.admit credential-absent - -"),
        closed(
            page(
                get("/app/notes"),
                "another tenant's page, with a member's credential",
                OF_GLOBEX,
            )
            .by("carol")
            .refused(404, "tenant-not-found"),
        )
        .audited("request.admit hints-contradict user -"),
        closed(
            page(
                send("POST", "/app/notes"),
                "a page without an origin writes nothing",
                "null",
            )
            .by("alice")
            .json(json!("a note"))
            .refused(403, "origin-not-allowed"),
        )
        .audited("request.admit origin-null - -"),
        get("/app/notes")
            .named("no page at all")
            .on(Shape::Pages)
            .at(ACME)
            .by("alice")
            .says(json!(3))
            .answering("access-control-allow-origin", None)
            .answering(
                "vary",
                Some("authorization, x-api-key, x-organization-id, x-project-id, origin"),
            )
            .answering("x-content-type-options", Some("nosniff"))
            .answering("referrer-policy", Some("strict-origin-when-cross-origin"))
            .answering("cache-control", Some("no-store")),
    ]
}
