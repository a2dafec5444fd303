//! Agreement: hints and credential must name one tenant.

use std::sync::Arc;

use super::{Decider, Interrupt, Step, refuse};
use crate::{
    AllowedTenants, Principal, RefusalKind, TenantKey, TenantRecord, engine::refusal_log::Refused,
    identification::KeyRef,
};

impl Decider<'_> {
    /// The one tenant that every hint names; `None` without hints.
    pub(super) fn hinted_tenant(&self) -> Step<Option<Arc<TenantRecord>>> {
        let hints = match &self.facts.hints {
            Ok(hints) => hints,
            Err(fault) => {
                let refused = Refused::new(RefusalKind::TenantNotFound, fault.reason)
                    .target(fault.source.as_str().to_owned());
                return Err(Interrupt::Refused(refused));
            }
        };
        let mut agreed: Option<Arc<TenantRecord>> = None;
        for hint in hints.iter() {
            let about = |reason| {
                let target = format!("{}={}", hint.source.as_str(), hint.key.to_key());
                Refused::new(RefusalKind::TenantNotFound, reason).target(target)
            };
            let Some(tenant) = self.tenant(&hint.key)? else {
                return Err(Interrupt::Refused(about("tenant-unknown")));
            };
            match &agreed {
                Some(other) if other.id != tenant.id => {
                    return Err(Interrupt::Refused(about("hints-contradict")));
                }
                _ => agreed = Some(tenant),
            }
        }
        Ok(agreed)
    }

    /// The tenant that hints and credential agree on; `None` if neither names one.
    pub(super) fn agreed_tenant(
        &self,
        principal: Option<&Arc<Principal>>,
        hinted: Option<Arc<TenantRecord>>,
    ) -> Step<Option<Arc<TenantRecord>>> {
        let Some(principal) = principal else {
            return Ok(hinted);
        };
        match (&principal.allowed_tenants, hinted) {
            // Most often both name the same, and nothing more has to be looked up.
            (AllowedTenants::Bound(key), Some(hinted)) if names(key, &hinted) => Ok(Some(hinted)),
            (AllowedTenants::Bound(key), hinted) => {
                let Some(own) = self.tenant(&KeyRef::Owned(key.clone()))? else {
                    return refuse(RefusalKind::TenantNotFound, "tenant-of-credential-unknown");
                };
                match hinted {
                    Some(hinted) if hinted.id != own.id => {
                        let refused = Refused::new(
                            RefusalKind::TenantNotFound,
                            "credential-of-another-tenant",
                        )
                        .against(hinted.id);
                        Err(Interrupt::Refused(refused))
                    }
                    _ => Ok(Some(own)),
                }
            }
            // Rights of an actor that is no user come from its credential alone, which must then
            // name its tenant.
            (_, _) if principal.user().is_none() => {
                refuse(RefusalKind::TenantNotFound, "credential-not-bound")
            }
            (AllowedTenants::Set { tenants, .. }, Some(hinted)) => {
                if tenants.iter().any(|key| names(key, &hinted)) {
                    Ok(Some(hinted))
                } else {
                    let refused =
                        Refused::new(RefusalKind::TenantNotFound, "tenant-not-in-credential")
                            .against(hinted.id);
                    Err(Interrupt::Refused(refused))
                }
            }
            (AllowedTenants::Set { tenants, default }, None) => {
                let only = match tenants.as_slice() {
                    [only] => Some(only),
                    _ => None,
                };
                match default.as_ref().or(only) {
                    None => Ok(None),
                    Some(key) => match self.tenant(&KeyRef::Owned(key.clone()))? {
                        Some(tenant) => Ok(Some(tenant)),
                        None => refuse(RefusalKind::TenantNotFound, "tenant-of-credential-unknown"),
                    },
                }
            }
            (AllowedTenants::Memberships, hinted) => Ok(hinted),
        }
    }
}

/// Whether a key from a credential means this tenant. Credentials list ids or slugs; anything else names nothing
/// here.
fn names(key: &TenantKey, tenant: &TenantRecord) -> bool {
    key.names(tenant) == Some(true)
}
