//! What was decided about a request, for the request to carry.

use std::sync::Arc;

use tenancy_core::{Actor, Admitted, Principal, RouteNeeds, Tenancy, TenantContext, TenantNeed};

use crate::Caller;

/// What was decided about a request: its context, or that it has none.
///
/// Each covered request carries exactly one, in the extensions; a layer that decides anew replaces
/// it.
///
/// # Security
/// Code that can put one into a request's extensions decides for the request: layers of the same engine keep a
/// decision that is enough for them, whatever the header fields say by then. It holds a context that
/// only an engine makes.
#[derive(Debug, Clone)]
pub struct AdmissionDecision(Outcome);

#[derive(Debug, Clone)]
enum Outcome {
    Tenant {
        context: TenantContext,
        needs: RouteNeeds,
    },
    WithoutTenant {
        tenancy: Tenancy,
        needs: RouteNeeds,
        principal: Option<Arc<Principal>>,
    },
}

impl AdmissionDecision {
    /// The decision that an engine made for these needs; records a context on the current span.
    #[must_use]
    pub fn new(tenancy: &Tenancy, needs: RouteNeeds, admitted: Admitted) -> Self {
        Self(match admitted {
            Admitted::Tenant(context) => {
                context.record_on(&tracing::Span::current());
                Outcome::Tenant { context, needs }
            }
            Admitted::NoTenant(principal) => Outcome::WithoutTenant {
                tenancy: tenancy.clone(),
                needs,
                principal,
            },
        })
    }

    /// What was decided, without what it was decided for.
    #[must_use]
    pub fn admitted(&self) -> Admitted {
        match &self.0 {
            Outcome::Tenant { context, .. } => Admitted::Tenant(context.clone()),
            Outcome::WithoutTenant { principal, .. } => Admitted::NoTenant(principal.clone()),
        }
    }

    /// The request's context; `None` if it was admitted without a tenant.
    #[must_use]
    pub const fn context(&self) -> Option<&TenantContext> {
        match &self.0 {
            Outcome::Tenant { context, .. } => Some(context),
            Outcome::WithoutTenant { .. } => None,
        }
    }

    /// Who is calling; `None` without a credential.
    #[must_use]
    pub fn caller(&self) -> Option<Caller> {
        let caller = match &self.0 {
            Outcome::Tenant { context, .. } => Some(Caller::in_context(context.clone())),
            Outcome::WithoutTenant { principal, .. } => principal.clone().map(Caller::alone),
        };
        caller.filter(|caller| caller.actor != Actor::Anonymous)
    }

    /// The engine that decided.
    #[must_use]
    pub fn tenancy(&self) -> &Tenancy {
        match &self.0 {
            Outcome::Tenant { context, .. } => context.tenancy(),
            Outcome::WithoutTenant { tenancy, .. } => tenancy,
        }
    }

    /// Whether the route never has a tenant, as against: has none for this request.
    #[must_use]
    pub fn is_central(&self) -> bool {
        match &self.0 {
            Outcome::Tenant { .. } => false,
            Outcome::WithoutTenant { needs, .. } => needs.tenant_need() == TenantNeed::Central,
        }
    }

    /// Whether an outer layer's decision is what this engine would decide for these needs.
    ///
    /// A context is kept where a tenant may be and the caller is one whom these needs admit: for the
    /// same request, the same engine would find the same tenant again.
    #[must_use]
    pub fn settles(&self, tenancy: &Tenancy, needs: RouteNeeds) -> bool {
        match &self.0 {
            Outcome::Tenant {
                context,
                needs: for_needs,
            } => {
                let may_have_tenant = matches!(
                    needs.tenant_need(),
                    TenantNeed::Required | TenantNeed::Optional
                );
                let may_call = match context.principal().actor {
                    Actor::Anonymous => needs.admits_anonymous_as(*for_needs),
                    // No request comes from the service itself; this context was put there by hand.
                    Actor::System | Actor::Job(_) => false,
                    _ => true,
                };
                context.tenancy().is(tenancy) && may_have_tenant && may_call
            }
            Outcome::WithoutTenant {
                tenancy: decider,
                needs: for_needs,
                ..
            } => decider.is(tenancy) && *for_needs == needs,
        }
    }
}
