//! API keys beside tokens: what they may do, and why they are refused.

use serde_json::json;

use crate::scenario::{
    Credential::{self, Guess, Key, KeyField, Text},
    Scenario, Shape, get, send,
};

fn notes(name: &str, credential: Credential) -> Scenario {
    get("/app/notes")
        .on(Shape::Keys)
        .named(name)
        .with(credential)
}

fn refused(name: &str, credential: Credential, audit: &'static str) -> Scenario {
    notes(name, credential)
        .refused(401, "unauthenticated")
        .audited(audit)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        notes("a key names its tenant", Key("all")).says(json!(3)),
        notes("another tenant's key", Key("globex's")).says(json!(5)),
        notes("a key in a field of its own", KeyField("all")).says(json!(3)),
        notes("a key from its network", Key("from here")).says(json!(3)),
        notes("a token beside keys", Credential::Of("alice"))
            .at("acme.notes.example")
            .says(json!(3)),
        notes("a key is no user", Key("all"))
            .about("GET /app/context")
            .target("/app/context")
            .says(json!({
                "tenant": "acme", "actor": "key", "role": null, "project": false,
                "ip": "127.0.0.1",
            })),
        send("POST", "/app/notes")
            .on(Shape::Keys)
            .named("a key writes as its creator may")
            .with(Key("all"))
            .json(json!("by a key"))
            .says(json!(1))
            .leaves(4, 5),
        send("POST", "/app/notes")
            .on(Shape::Keys)
            .named("a key does no more than its scopes")
            .with(Key("reading"))
            .json(json!("x"))
            .denied("notes:write")
            .audited("permission.check permission-not-held key acme"),
        send("POST", "/app/notes")
            .on(Shape::Keys)
            .named("a key does no more than its creator may now")
            .with(Key("a viewer's"))
            .json(json!("x"))
            .denied("notes:write")
            .audited("permission.check permission-not-held key acme"),
        notes("a key at another tenant", Key("all"))
            .at("globex.notes.example")
            .refused(404, "tenant-not-found")
            .audited("request.admit credential-of-another-tenant key -"),
        notes(
            "a key of somebody who is in both tenants, at the other",
            Key("carol's"),
        )
        .at("globex.notes.example")
        .refused(404, "tenant-not-found")
        .audited("request.admit credential-of-another-tenant key -"),
        notes("a key of a suspended tenant", Key("of asleep"))
            .refused(403, "tenant-suspended")
            .audited("request.admit tenant-suspended key asleep"),
        refused(
            "a revoked key",
            Key("revoked"),
            "request.admit key-revoked - acme",
        ),
        refused(
            "a key that is switched off",
            Key("disabled"),
            "request.admit key-disabled - acme",
        ),
        refused(
            "a key whose time is over",
            Key("expired"),
            "request.admit key-expired - acme",
        ),
        refused(
            "a key from elsewhere",
            Key("from elsewhere"),
            "request.admit key-network - acme",
        ),
        refused(
            "a guess at a secret",
            Guess("all"),
            "request.admit key-secret - -",
        ),
        refused(
            "a key with a typing error",
            Text(
                "Bearer notes_live_0000000000000000000000_00000000000000000000000000000000000000000000000000",
            ),
            "request.admit key-malformed - -",
        ),
        refused(
            "a key of another environment",
            Key("of another environment"),
            "request.admit key-environment - -",
        ),
        refused(
            "a key and a token",
            Key("all"),
            "request.admit credential-repeated - -",
        )
        .field("x-api-key", "notes_live_x"),
    ]
}
