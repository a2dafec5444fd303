//! Whether a token was taken back.

use super::{Decider, Interrupt, Step};
use crate::{
    AllowedTenants, Principal, RefusalKind, RevokedBefore, TenantId, TokenSubject,
    cache::Probe,
    engine::{
        load::{Load, NewestTokenRevocation, News},
        refusal_log::Refused,
        token_revocations::{holder, issuer},
    },
    identification::KeyRef,
};

impl Decider<'_> {
    /// Refuses a token that was taken back from its issuer or its holder, wherever it is used.
    pub(super) fn not_taken_back(&self, principal: &Principal) -> Step<()> {
        match holder(principal) {
            Some(holder) => self.newer_than(principal, || [issuer(principal), holder.clone()]),
            None => Ok(()),
        }
    }

    /// Refuses a token that was taken back from a tenant.
    ///
    /// Only for whom the tenant is theirs: a stranger does not learn of it.
    pub(super) fn not_taken_back_in(&self, principal: &Principal, tenant: TenantId) -> Step<()> {
        if self.loaded.feed_answered().is_none() && self.engine.feed.is_marked_stale(tenant) {
            return Err(Interrupt::Load(Load::of::<News>(Some(tenant))));
        }
        match holder(principal) {
            Some(_) => self.newer_than(principal, || [TokenSubject::Tenant(tenant)]),
            None => Ok(()),
        }
    }

    /// The same where no tenant is asked for: a token that speaks for one alone is still that
    /// tenant's.
    pub(super) fn not_taken_back_where_bound(&self, principal: &Principal) -> Step<()> {
        let (AllowedTenants::Bound(key), Some(_)) = (&principal.allowed_tenants, holder(principal))
        else {
            return Ok(());
        };
        match self.tenant(&KeyRef::Owned(key.clone()))? {
            Some(tenant) => self.not_taken_back_in(principal, tenant.id),
            // Nothing of a tenant is asked for, so that it does not matter that there is none.
            None => Ok(()),
        }
    }

    fn newer_than<const N: usize>(
        &self,
        principal: &Principal,
        of: impl Fn() -> [TokenSubject; N],
    ) -> Step<()> {
        let issued_at = principal.issued_at;
        if self.engine.token_revocations.outlive(issued_at, self.now) {
            let refused = Refused::new(RefusalKind::Unauthenticated, "token-too-old");
            return Err(Interrupt::Refused(
                refused.target(principal.actor.to_string()),
            ));
        }
        // Whether there is news comes before what it says.
        let vouched = self.cached(|| Probe::Found((), self.now))?;
        // What this process knows of holds whatever a store says: no token revocation moves back, and a write
        // that failed here is in no store.
        let known = self.engine.token_revocations.concerning(&of, issued_at);
        let admitted = known.admits(issued_at)
            && match vouched {
                Probe::Found((), _) => true,
                Probe::Absent | Probe::Unknown => self.looked_up(of())?.admits(issued_at),
            };
        if admitted {
            return Ok(());
        }
        let refused = Refused::new(RefusalKind::Unauthenticated, "token-revoked");
        Err(Interrupt::Refused(
            refused.target(principal.actor.to_string()),
        ))
    }

    fn looked_up<const N: usize>(&self, of: [TokenSubject; N]) -> Step<RevokedBefore> {
        match self.loaded.get::<NewestTokenRevocation>(of.as_slice()) {
            Some(revoked_before) => Ok(*revoked_before),
            None => Err(Interrupt::Load(Load::of::<NewestTokenRevocation>(
                of.into(),
            ))),
        }
    }
}
