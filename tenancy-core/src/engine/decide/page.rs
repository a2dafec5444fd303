//! The page that sent a request: its origin must be one that may call the service.

use super::{Decider, Interrupt, Step};
use crate::{RefusalKind, cors::Claim, engine::refusal_log::Refused};

impl Decider<'_> {
    /// Refuses an origin that is nobody's, before anything else is looked at.
    pub(super) fn readable_page(&self) -> Step<()> {
        match &self.facts.origin {
            Ok(_) => Ok(()),
            Err(fault) => Err(Interrupt::Refused(Refused::of_page(fault))),
        }
    }

    /// Refuses a credential that browsers send by themselves, if a page of another site may have made
    /// one send it.
    pub(super) fn not_of_another_site(&self) -> Step<()> {
        match &self.facts.cross_site {
            None => Ok(()),
            Some(fault) => Err(Interrupt::Refused(Refused::of_page(fault))),
        }
    }

    /// Where hints are not asked for, a custom domain must still be one of a tenant that is served.
    pub(super) fn page_of_a_tenant(&self) -> Step<()> {
        let Ok(Claim::Tenant(key)) = &self.facts.origin else {
            return Ok(());
        };
        if !key.is_domain() {
            return Ok(());
        }
        let reason = match self.tenant(key)? {
            Some(tenant) if tenant.status.is_served() => return Ok(()),
            Some(_) => "origin-not-served",
            None => "origin-unknown",
        };
        let refused = Refused::new(RefusalKind::OriginNotAllowed, reason);
        Err(Interrupt::Refused(
            refused.target(format!("origin={}", key.to_key())),
        ))
    }
}
