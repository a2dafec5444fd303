//! Operators: whose credentials are none of a tenant's, and whether an impersonation goes on.

use std::sync::Arc;

use super::{Decider, Interrupt, Step, refuse};
use crate::{
    Actor, Principal, RefusalKind,
    engine::load::{ImpersonationNow, Load},
    engine::operators::reason_of,
};

impl Decider<'_> {
    /// Whether a credential may stand for a user of tenants at all: that of an issuer of the staff may not.
    pub(super) fn is_for_tenants(&self, principal: &Principal) -> bool {
        match (&self.engine.operators, &principal.actor) {
            (Some(operators), Actor::User(_) | Actor::Service(_)) => {
                !operators.has_issuer(&principal.issuer)
            }
            _ => true,
        }
    }

    /// Who was admitted as somebody else before, if that goes on. The store is asked each time.
    pub(super) fn impersonator_again(&self, principal: &Arc<Principal>) -> Step<Arc<Principal>> {
        let Some(before) = &principal.impersonation else {
            return refuse(RefusalKind::Unauthenticated, "credential-actor");
        };
        // Without a question, so that what ends by its time is told so whether or not a store answers.
        if !principal.holds_at(self.now) {
            return refuse(RefusalKind::Unauthenticated, "impersonation-ended");
        }
        match self.loaded.get::<ImpersonationNow>(&before.id) {
            None => Err(Interrupt::Load(Load::of::<ImpersonationNow>(before.id))),
            Some(found) => match reason_of(found.as_ref(), self.now) {
                None => Ok(Arc::clone(principal)),
                Some(reason) => refuse(RefusalKind::Unauthenticated, reason),
            },
        }
    }
}
