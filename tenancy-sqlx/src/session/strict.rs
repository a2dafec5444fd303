//! Strict mode: the database says in the round trip of BEGIN whether a context still holds.

use std::fmt::Write as _;

use tenancy_core::{Actor, TenantContext};

/// Appends the statement that raises if the tenant has changed since the context was made, or if
/// its token was taken back.
pub(super) fn push_checks(sql: &mut String, context: &TenantContext) {
    let tenant = context.tenant_id();
    let generation = context.generation().as_i64();
    let _ = write!(
        sql,
        "; SELECT tenancy.require_generation('{tenant}', {generation})"
    );
    let principal = context.principal();
    let (holder, id) = match &principal.actor {
        Actor::User(user) => ("user", user.as_uuid()),
        Actor::Service(service) => ("service", service.as_uuid()),
        // Whoever acts as a user does so no longer than the user's own tokens hold. The end of an impersonation advances
        // the tenant's generation.
        Actor::Operator(_) => match principal.on_behalf_of {
            Some(user) => ("user", user.as_uuid()),
            None => return,
        },
        // Changes of a key advance the tenant's generation.
        _ => return,
    };
    // Hexadecimal digits and no `\x`: what a backslash means in a literal is a setting.
    let _ = write!(
        sql,
        ", tenancy.require_token('{tenant}', convert_from(decode('"
    );
    for byte in principal.issuer.bytes() {
        let _ = write!(sql, "{byte:02x}");
    }
    let _ = write!(sql, "', 'hex'), 'UTF8'), '{holder}', '{id}', ");
    let _ = match principal.issued_at {
        Some(moment) => write!(
            sql,
            "to_timestamp({}::float8 / 1000000))",
            moment.as_unix_micros()
        ),
        None => write!(sql, "NULL)"),
    };
}
