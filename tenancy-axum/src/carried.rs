//! What an admitted request carries in its extensions: its context, or a note that it has none.

use std::sync::Arc;

use http::Extensions;
use tenancy_core::{Actor, Admitted, Principal, RouteNeeds, Tenancy, TenantContext, TenantNeed};

/// The note on a request that was admitted without a tenant.
#[derive(Debug, Clone)]
pub(crate) struct WithoutTenant {
    tenancy: Tenancy,
    needs: RouteNeeds,
    pub(crate) principal: Option<Arc<Principal>>,
}

impl WithoutTenant {
    /// Whether the route never has a tenant, as against: has none for this request.
    pub(crate) fn is_central(&self) -> bool {
        self.needs.tenant_need() == TenantNeed::Central
    }
}

/// What was decided about a request.
#[derive(Debug)]
pub(crate) enum Carried<'a> {
    Tenant(&'a TenantContext),
    WithoutTenant(&'a WithoutTenant),
    /// No layer has seen the request.
    Nothing,
}

impl<'a> Carried<'a> {
    /// A context goes before a note, because a note that came later took the context away.
    pub(crate) fn by(extensions: &'a Extensions) -> Self {
        if let Some(context) = extensions.get() {
            Self::Tenant(context)
        } else if let Some(note) = extensions.get() {
            Self::WithoutTenant(note)
        } else {
            Self::Nothing
        }
    }
}

/// Puts a decision on a request in place of an earlier one, and a context on the current span.
pub(crate) fn carry(
    extensions: &mut Extensions,
    tenancy: &Tenancy,
    needs: RouteNeeds,
    admitted: Admitted,
) {
    match admitted {
        Admitted::Tenant(context) => {
            context.record_on(&tracing::Span::current());
            extensions.insert(context);
        }
        Admitted::NoTenant(principal) => {
            extensions.remove::<TenantContext>();
            extensions.insert(WithoutTenant {
                tenancy: tenancy.clone(),
                needs,
                principal,
            });
        }
    }
}

/// Whether an outer layer's decision is what this engine would decide for these needs.
///
/// A context is kept where a tenant may be and the caller is one whom these needs admit: for the
/// same request, the same engine would find the same tenant again.
pub(crate) fn is_settled(extensions: &Extensions, tenancy: &Tenancy, needs: RouteNeeds) -> bool {
    match Carried::by(extensions) {
        Carried::Tenant(context) => {
            let may_have_tenant = matches!(
                needs.tenant_need(),
                TenantNeed::Required | TenantNeed::Optional
            );
            let may_call = match context.principal().actor {
                Actor::Anonymous => needs.admits_anonymous(),
                // No request comes from the service itself; this context was put there by hand.
                Actor::System => false,
                _ => true,
            };
            context.tenancy().is(tenancy) && may_have_tenant && may_call
        }
        Carried::WithoutTenant(note) => note.tenancy.is(tenancy) && note.needs == needs,
        Carried::Nothing => false,
    }
}
