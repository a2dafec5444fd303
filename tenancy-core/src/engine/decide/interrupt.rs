//! Why a decision stops: something has to be loaded, or the request is refused.

use crate::{
    Principal, RefusalKind, TenantId,
    engine::{load::Load, refusal_log::Refused},
};

/// Why there is no answer yet, or no good one.
pub(in crate::engine) enum Interrupt {
    Refused(Refused),
    Load(Load),
}

pub(super) type Step<T> = Result<T, Interrupt>;

impl Interrupt {
    /// Notes for the trail who was refused.
    pub(super) fn of_principal(mut self, principal: &Principal) -> Self {
        if let Self::Refused(refused) = &mut self {
            refused.note_caller(principal);
        }
        self
    }

    /// Notes for the trail in which tenant it was.
    pub(super) fn in_tenant(mut self, tenant: TenantId) -> Self {
        if let Self::Refused(refused) = &mut self {
            refused.tenant = Some(tenant);
        }
        self
    }
}

pub(super) fn refuse<T>(kind: RefusalKind, reason: &'static str) -> Step<T> {
    Err(Interrupt::Refused(Refused::new(kind, reason)))
}
