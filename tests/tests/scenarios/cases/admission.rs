//! Who is let in, and what the others are told.

use serde_json::json;

use crate::scenario::{Credential, Scenario, get};

const ACME: &str = "acme.notes.example";
const GLOBEX: &str = "globex.notes.example";

fn notes() -> Scenario {
    get("/app/notes")
}

fn unauthenticated(name: &str, credential: Option<Credential>, audit: &'static str) -> Scenario {
    let scenario = notes()
        .at(ACME)
        .refused(401, "unauthenticated")
        .audited(audit);
    match credential {
        Some(credential) => scenario.with(credential),
        None => scenario,
    }
    .named(name)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    use Credential::{Expired, Forged, OfAnotherIssuer, Text, Twice};
    vec![
        notes()
            .named("an owner")
            .at(ACME)
            .by("alice")
            .says(json!(3)),
        notes()
            .named("another tenant's owner")
            .at(GLOBEX)
            .by("bob")
            .says(json!(5)),
        notes()
            .named("one user, first tenant")
            .at(ACME)
            .by("carol")
            .says(json!(3)),
        notes()
            .named("one user, second tenant")
            .at(GLOBEX)
            .by("carol")
            .says(json!(5)),
        unauthenticated("no credential", None, "request.admit credential-absent - -"),
        unauthenticated(
            "an expired token",
            Some(Expired("alice")),
            "request.admit token-expired - -",
        ),
        unauthenticated(
            "a token of another issuer",
            Some(OfAnotherIssuer("alice")),
            "request.admit credential-unknown-kind - -",
        ),
        unauthenticated(
            "a forged token",
            Some(Forged("alice")),
            "request.admit token-signature - -",
        ),
        unauthenticated(
            "no token at all",
            Some(Text("Bearer nonsense")),
            "request.admit credential-unknown-kind - -",
        ),
        unauthenticated(
            "another scheme",
            Some(Text("Basic YWxpY2U6aHVudGVyMg==")),
            "request.admit credential-scheme-unknown - -",
        ),
        unauthenticated(
            "two credentials",
            Some(Twice("alice")),
            "request.admit credential-repeated - -",
        ),
        notes()
            .named("a member of another tenant")
            .at(GLOBEX)
            .by("alice")
            .refused(404, "tenant-not-found")
            .audited("request.admit not-a-member user globex"),
        notes()
            .named("a member of nothing")
            .at(ACME)
            .by("mallory")
            .refused(404, "tenant-not-found")
            .audited("request.admit not-a-member user acme"),
        notes()
            .named("an unknown tenant")
            .at("nowhere.notes.example")
            .by("alice")
            .refused(404, "tenant-not-found")
            .audited("request.admit tenant-unknown user -"),
        notes()
            .named("a suspended tenant of one's own")
            .at("asleep.notes.example")
            .by("alice")
            .refused(403, "tenant-suspended")
            .audited("request.admit tenant-suspended user asleep"),
        notes()
            .named("a suspended tenant of somebody else")
            .at("asleep.notes.example")
            .by("bob")
            .refused(404, "tenant-not-found")
            .audited("request.admit not-a-member user asleep"),
        notes()
            .named("a tenant of one's own that is being set up")
            .at("new.notes.example")
            .by("alice")
            .refused(403, "tenant-inactive")
            .audited("request.admit tenant-inactive user new"),
        notes()
            .named("no tenant named")
            .by("alice")
            .refused(400, "tenant-required")
            .audited("request.admit tenant-not-named user -"),
    ]
}
