//! Layers inside layers, and layers in the wrong order.

use serde_json::json;

use crate::scenario::{Scenario, get};

const ACME: &str = "acme.notes.example";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for path in [
        "/strict-in-optional/tenant",
        "/strict-in-public/tenant",
        "/strict-in-central/tenant",
    ] {
        scenarios.extend([
            get(path)
                .named(&format!("{path} by a member"))
                .at(ACME)
                .by("alice")
                .says(json!("acme")),
            get(path)
                .named(&format!("{path} by nobody"))
                .at(ACME)
                .refused(401, "unauthenticated")
                .audited("request.admit credential-absent - -"),
            get(path)
                .named(&format!("{path} by a stranger"))
                .at(ACME)
                .by("mallory")
                .refused(404, "tenant-not-found")
                .audited("request.admit not-a-member user acme"),
        ]);
    }
    for path in ["/app/events", "/app/socket"] {
        let nobody = get(path).named(&format!("{path} by nobody")).at(ACME);
        let nobody = nobody.refused(401, "unauthenticated");
        scenarios.push(nobody.audited("request.admit credential-absent - -"));
    }
    scenarios.extend([
        get("/central-in-strict/principal")
            .named("a central part of a strict scope knows its caller")
            .at(ACME)
            .by("alice")
            .says(json!("user")),
        get("/central-in-strict/tenant")
            .named("a central part of a strict scope has no tenant")
            .at(ACME)
            .by("alice")
            .misconfigured(&["`/central-in-strict/tenant`, which is declared central"]),
        get("/central-in-strict/principal")
            .named("a central part is behind the strict scope")
            .at(ACME)
            .refused(401, "unauthenticated")
            .audited("request.admit credential-absent - -"),
        get("/guarded/tenant")
            .named("a guarded scope")
            .at(ACME)
            .by("alice")
            .says(json!("acme")),
        get("/guarded/tenant")
            .named("a guarded scope, without the permission")
            .at(ACME)
            .by("vera")
            .denied("tenant:manage")
            .audited("permission.check permission-not-held user acme"),
        get("/inside-another-engine/tenant")
            .named("another engine's decision is never taken for one's own")
            .at(ACME)
            .by("alice")
            .says(json!("acme")),
        get("/inside-another-engine/tenant")
            .named("another engine refuses first, in a trail of its own")
            .at(ACME)
            .by("mallory")
            .refused(404, "tenant-not-found"),
        get("/guard-outside/tenant")
            .named("a guard outside the tenancy")
            .at(ACME)
            .by("alice")
            .misconfigured(&["`RequirePermission` is used on `/guard-outside/tenant`, which no"]),
        get("/guard-of-another-engine/tenant")
            .named("a guard of another engine")
            .at(ACME)
            .by("alice")
            .misconfigured(&["another engine; build both from the same `Tenancy`"]),
    ]);
    scenarios
}
