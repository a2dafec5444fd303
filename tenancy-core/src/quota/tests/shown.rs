//! What pages show of limits: names, units and absent values stay as they are.

use serde_json::{json, to_value};

use super::seconds;
use crate::{
    TenantRecord,
    quota::{LimitUsage, MAX_AMOUNT, Scope, Standing, TenantUsage},
};

fn usage(name: &str, scope: Scope, standing: Standing) -> LimitUsage {
    LimitUsage {
        name: name.to_owned(),
        meter: "egress".to_owned(),
        unit: "bytes".to_owned(),
        scope,
        standing,
    }
}

#[test]
fn what_a_tenant_has_used_is_shown_with_its_units_and_without_its_settings() {
    let rest = seconds(2_400) + std::time::Duration::from_nanos(1);
    let limits = vec![
        usage(
            "egress-monthly",
            Scope::Tenant,
            Standing::new(1_000, 1_063, Some(rest)),
        ),
        usage(
            "egress-held",
            Scope::Project,
            Standing::new(MAX_AMOUNT, 7, None),
        ),
    ];
    let record = TenantRecord::new("acme".parse().unwrap(), "Acme");
    let id = record.id;
    let shown = TenantUsage {
        record,
        plan: None,
        limits,
    };
    assert_eq!(
        to_value(&shown).unwrap(),
        json!({
            "tenant": { "id": id, "slug": "acme", "name": "Acme" },
            "plan": null,
            "limits": [
                {
                    "name": "egress-monthly", "meter": "egress", "unit": "bytes", "scope": "tenant",
                    "limit": 1_000, "used": 1_063, "remaining": 0, "reset": 2_401,
                },
                {
                    "name": "egress-held", "meter": "egress", "unit": "bytes", "scope": "project",
                    "limit": null, "used": 7, "remaining": null, "reset": null,
                },
            ],
        })
    );
}

#[test]
fn each_scope_has_a_name() {
    let names = [
        (Scope::Address, "address"),
        (Scope::Caller, "caller"),
        (Scope::Key, "key"),
        (Scope::Project, "project"),
        (Scope::Tenant, "tenant"),
        (Scope::System, "system"),
    ];
    for (scope, name) in names {
        assert_eq!(to_value(scope).unwrap(), json!(name));
    }
}
