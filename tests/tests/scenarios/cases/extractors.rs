//! Each extractor on each kind of route, and on a route that nothing covers.

use serde_json::{Value, json};

use crate::scenario::{Scenario, get};

/// Who asks.
#[derive(Clone, Copy)]
enum Caller {
    /// A member, at the tenant.
    Member,
    /// A user, without naming a tenant.
    Lost,
    /// No credential, at the tenant.
    Nobody,
}

use Caller::{Lost, Member, Nobody};

fn asked(path: &'static str, caller: Caller) -> Scenario {
    let (scenario, who) = match caller {
        Member => (get(path).at("acme.notes.example").by("alice"), "a member"),
        Lost => (get(path).by("alice"), "a user without a tenant"),
        Nobody => (get(path).at("acme.notes.example"), "nobody"),
    };
    scenario.named(&format!("{path} by {who}"))
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    let mut says = |path, caller, value: Value| scenarios.push(asked(path, caller).says(value));
    says("/required/tenant", Member, json!("acme"));
    says("/required/maybe-tenant", Member, json!("acme"));
    says("/required/principal", Member, json!("user"));
    says("/required/maybe-principal", Member, json!("user"));
    says("/required/db", Member, json!("reached"));
    says("/required/open", Member, json!("reached"));
    says("/required/guarded", Member, json!("reached"));

    says("/public/tenant", Nobody, json!("acme"));
    says("/public/tenant", Member, json!("acme"));
    says("/public/maybe-tenant", Nobody, json!("acme"));
    says("/public/maybe-principal", Nobody, json!("none"));
    says("/public/maybe-principal", Member, json!("user"));
    says("/public/principal", Member, json!("user"));
    says("/public/db", Nobody, json!("reached"));
    says("/public/open", Nobody, json!("reached"));
    says("/public/guarded", Member, json!("reached"));

    says("/optional/tenant", Member, json!("acme"));
    says("/optional/maybe-tenant", Member, json!("acme"));
    says("/optional/maybe-tenant", Nobody, json!("none"));
    says("/optional/maybe-tenant", Lost, json!("none"));
    says("/optional/principal", Lost, json!("user"));
    says("/optional/maybe-principal", Nobody, json!("none"));
    says("/optional/db", Member, json!("reached"));
    says("/optional/open", Nobody, json!("reached"));
    says("/optional/guarded", Member, json!("reached"));

    says("/central/principal", Member, json!("user"));
    says("/central/principal", Lost, json!("user"));
    says("/central/maybe-principal", Nobody, json!("none"));
    says("/central/open", Nobody, json!("reached"));

    says("/uncovered/open", Nobody, json!("reached"));

    // Refused by the middleware: nobody is, where a credential is needed.
    for path in [
        "/required/tenant",
        "/required/maybe-tenant",
        "/required/principal",
        "/required/maybe-principal",
        "/required/db",
        "/required/open",
        "/required/guarded",
    ] {
        let refused = asked(path, Nobody).refused(401, "unauthenticated");
        scenarios.push(refused.audited("request.admit credential-absent - -"));
    }
    // Refused by extractors, of requests that the middleware admits.
    for (path, caller, status, problem) in [
        ("/public/principal", Nobody, 401, "unauthenticated"),
        ("/optional/tenant", Nobody, 401, "unauthenticated"),
        ("/optional/tenant", Lost, 400, "tenant-required"),
        ("/optional/db", Nobody, 401, "unauthenticated"),
        ("/optional/db", Lost, 400, "tenant-required"),
        ("/optional/principal", Nobody, 401, "unauthenticated"),
        ("/optional/guarded", Nobody, 401, "unauthenticated"),
        ("/optional/guarded", Lost, 400, "tenant-required"),
        ("/central/principal", Nobody, 401, "unauthenticated"),
    ] {
        scenarios.push(asked(path, caller).refused(status, problem));
    }
    scenarios.push(
        asked("/public/guarded", Nobody)
            .refused(401, "unauthenticated")
            .audited("permission.check anonymous-caller anonymous acme"),
    );
    // A mistake of the service's author: the caller learns nothing, the log what to do.
    for (path, logged) in [
        (
            "/central/tenant",
            ["`Tenant`", "`/central/tenant`, which is declared central"],
        ),
        (
            "/central/maybe-tenant",
            [
                "`MaybeTenant`",
                "`/central/maybe-tenant`, which is declared central",
            ],
        ),
        (
            "/central/db",
            ["`TenantDb`", "`/central/db`, which is declared central"],
        ),
        (
            "/central/guarded",
            [
                "`RequirePermission`",
                "`/central/guarded`, which is declared central",
            ],
        ),
        (
            "/uncovered/tenant",
            ["`Tenant` is used on `/uncovered/tenant`", "(&tenancy))`"],
        ),
        (
            "/uncovered/maybe-tenant",
            [
                "`MaybeTenant` is used on `/uncovered/maybe-tenant`",
                "(&tenancy))`",
            ],
        ),
        (
            "/uncovered/principal",
            [
                "`Principal` is used on `/uncovered/principal`",
                "(&tenancy))`",
            ],
        ),
        (
            "/uncovered/maybe-principal",
            [
                "Principal` is used on `/uncovered/maybe-principal`",
                "(&tenancy))`",
            ],
        ),
        (
            "/uncovered/db",
            ["`TenantDb` is used on `/uncovered/db`", "(&tenancy))`"],
        ),
        (
            "/uncovered/guarded",
            [
                "`RequirePermission` is used on `/uncovered/guarded`",
                "(&tenancy))`",
            ],
        ),
    ] {
        scenarios.push(asked(path, Member).misconfigured(&logged));
    }
    scenarios
}
