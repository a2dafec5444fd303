//! Tokens of issuers that publish their keys: which are taken, and why the others are refused.

use serde_json::json;

use crate::scenario::{
    Credential::{Of, Token},
    Scenario, Shape, get, send,
};

const ACME: &str = "acme.notes.example";
const GLOBEX: &str = "globex.notes.example";

fn notes(name: &str, token: &'static str) -> Scenario {
    get("/app/notes")
        .on(Shape::Tokens)
        .named(name)
        .with(Token(token))
}

fn adds(name: &str, token: &'static str) -> Scenario {
    send("POST", "/app/notes")
        .on(Shape::Tokens)
        .named(name)
        .with(Token(token))
        .at(ACME)
        .json(json!("a note"))
}

fn refused(token: &'static str, audit: &'static str) -> Scenario {
    notes(&format!("published keys, a token {token}"), token)
        .at(ACME)
        .refused(401, "unauthenticated")
        .audited(audit)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    [published(), bad(), of_one_tenant(), claims(), programs()].concat()
}

/// The same for every issuer with published keys.
fn published() -> Vec<Scenario> {
    let admitted = |name, token| notes(name, token).at(ACME).says(json!(3));
    vec![
        admitted("a token under a published RSA key", "alice's, RS256"),
        admitted("a token under a published P-256 key", "alice's, ES256"),
        admitted("a token under a published Ed25519 key", "alice's, EdDSA"),
        admitted("a token whose algorithm leaves one key", "without a kid"),
        notes("a token under a published key, elsewhere", "bob's")
            .at(GLOBEX)
            .says(json!(5)),
        notes("a published key opens no other tenant", "alice's, EdDSA")
            .at(GLOBEX)
            .refused(404, "tenant-not-found")
            .audited("request.admit not-a-member user globex"),
        get("/app/notes")
            .on(Shape::Tokens)
            .named("a token of an issuer with a configured key, beside published ones")
            .with(Of("alice"))
            .at(ACME)
            .says(json!(3)),
    ]
}

/// Each is the same 401, and another line in the audit trail.
fn bad() -> Vec<Scenario> {
    vec![
        refused("of an unknown kid", "request.admit token-key-unknown - -"),
        refused("of an invented kid", "request.admit token-key-unknown - -"),
        refused("with an unusable kid", "request.admit token-key-id - -"),
        refused(
            "under another key's kid",
            "request.admit token-algorithm - -",
        ),
        refused("of another audience", "request.admit token-audience - -"),
        refused("without an audience", "request.admit token-audience - -"),
        refused(
            "of an unregistered issuer",
            "request.admit credential-unknown-kind - -",
        ),
        refused(
            "of nearly the issuer",
            "request.admit credential-unknown-kind - -",
        ),
        refused("expired", "request.admit token-expired - -"),
        refused("for logging out", "request.admit token-type - -"),
        refused(
            "for somebody who is no user",
            "request.admit token-subject - -",
        ),
        refused(
            "HS256 under the public key",
            "request.admit token-algorithm - -",
        ),
        refused(
            "HS256 under the published key",
            "request.admit token-algorithm - -",
        ),
        refused("HS256 under nothing", "request.admit token-algorithm - -"),
        refused("unsigned", "request.admit token-algorithm - -"),
        refused("forged", "request.admit token-signature - -"),
        refused(
            "that brings its key along",
            "request.admit token-signature - -",
        ),
        refused(
            "that says where its key is",
            "request.admit token-signature - -",
        ),
        refused(
            "of a kid of its own that says where its key is",
            "request.admit token-key-unknown - -",
        ),
    ]
}

/// A tenant's own single sign-on, which speaks for that tenant and for no other.
fn of_one_tenant() -> Vec<Scenario> {
    vec![
        notes("single sign-on names its tenant", "dana's").says(json!(3)),
        notes("single sign-on at its tenant", "dana's")
            .at(ACME)
            .says(json!(3)),
        notes(
            "single sign-on does not believe its own claims of tenants",
            "of SSO that claims another tenant",
        )
        .says(json!(3)),
        get("/app/notes")
            .on(Shape::Tokens)
            .named("a member of two tenants, by the service's issuer, at the second")
            .with(Of("dana"))
            .at(GLOBEX)
            .says(json!(5)),
        notes(
            "the same member, by the first tenant's single sign-on",
            "dana's",
        )
        .at(GLOBEX)
        .refused(404, "tenant-not-found")
        .audited("request.admit credential-of-another-tenant user -"),
        notes(
            "single sign-on knows nobody by the service's ids",
            "of SSO about the service's user",
        )
        .refused(404, "tenant-not-found")
        .audited("request.admit not-a-member user acme"),
        refused(
            "of SSO by the other issuer",
            "request.admit token-signature - -",
        ),
        refused("of the login by SSO", "request.admit token-signature - -"),
    ]
}

/// What claims say about tenants, permissions and applications.
fn claims() -> Vec<Scenario> {
    let denied = |name, token, audit| adds(name, token).denied("notes:write").audited(audit);
    let not_held = "permission.check permission-not-held user acme";
    vec![
        notes(
            "a token of two tenants, at the first",
            "carol's of two tenants",
        )
        .at(ACME)
        .says(json!(3)),
        notes(
            "a token of two tenants, at the second",
            "carol's of two tenants",
        )
        .at(GLOBEX)
        .says(json!(5)),
        notes("a token of two tenants, nowhere", "carol's of two tenants")
            .refused(400, "tenant-required")
            .audited("request.admit tenant-not-named user -"),
        notes(
            "a token of two tenants that means one",
            "carol's of two tenants, one of them meant",
        )
        .says(json!(5)),
        notes(
            "a token that leaves out one of its user's tenants, there",
            "carol's of one tenant",
        )
        .at(GLOBEX)
        .refused(404, "tenant-not-found")
        .audited("request.admit tenant-not-in-credential user -"),
        notes(
            "a token that lists a tenant its user is no member of",
            "alice's of a tenant that is not hers",
        )
        .at(GLOBEX)
        .refused(404, "tenant-not-found")
        .audited("request.admit not-a-member user globex"),
        refused("of no tenants", "request.admit token-tenant-malformed - -"),
        refused("without tenants", "request.admit token-tenant-missing - -"),
        adds("a token of all scopes", "alice's of all scopes")
            .says(json!(1))
            .leaves(4, 5),
        notes("a token for reading reads", "alice's for reading")
            .at(ACME)
            .says(json!(3)),
        denied(
            "a token for reading writes",
            "alice's for reading",
            not_held,
        ),
        denied("a token in a lesser role", "alice's as a viewer", not_held),
        denied(
            "a token that claims a higher role",
            "vera's as an owner",
            not_held,
        ),
        notes(
            "a token in a role that nobody knows",
            "alice's in a role that nobody knows",
        )
        .at(ACME)
        .denied("notes:read")
        .audited(not_held),
        refused("without scopes", "request.admit token-scope - -"),
        refused("without roles", "request.admit token-role - -"),
        refused(
            "for another application",
            "request.admit token-application - -",
        ),
        refused("for no application", "request.admit token-application - -"),
    ]
}

/// Service accounts, by client credentials.
fn programs() -> Vec<Scenario> {
    vec![
        notes("a service account names its tenant", "of a service account").says(json!(3)),
        notes("a service account is no user", "of a service account")
            .about("GET /app/context")
            .target("/app/context")
            .says(json!({
                "tenant": "acme", "actor": "service", "role": null, "project": false,
                "ip": "127.0.0.1",
            })),
        adds(
            "a service account does no more than its scopes",
            "of a service account",
        )
        .denied("notes:write")
        .audited("permission.check permission-not-held service acme"),
        notes("a service account elsewhere", "of a service account")
            .at(GLOBEX)
            .refused(404, "tenant-not-found")
            .audited("request.admit credential-of-another-tenant service -"),
        refused(
            "of a service account without a tenant",
            "request.admit token-tenant-missing - -",
        ),
        notes(
            "a user of the service accounts' issuer",
            "of the service account's maker",
        )
        .refused(404, "tenant-not-found")
        .audited("request.admit not-a-member user acme"),
    ]
}
