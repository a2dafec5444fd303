//! Epochs in memory.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use super::{Epoch, EpochOf, TokenEpochs};
use crate::{LookupError, ServiceId, Tenant, TenantKey, Timestamp, UserId};

/// Epochs in memory, of one process: for tests, and for services that run once.
///
/// Clones share them. An epoch never moves back.
///
/// ```
/// use tenancy_core::{Clock, SystemClock, UserId, jwt::MemoryEpochs};
///
/// let epochs = MemoryEpochs::new();
/// let (user, now) = (UserId::new(), SystemClock.now());
/// // Signs a user out everywhere: to be called after the password was changed.
/// epochs.revoke_user(user, now);
/// ```
#[derive(Clone, Default)]
pub struct MemoryEpochs(Arc<RwLock<Epochs>>);

#[derive(Default)]
struct Epochs {
    issuers: HashMap<Box<str>, Epoch>,
    users: HashMap<UserId, Epoch>,
    services: HashMap<ServiceId, Epoch>,
    tenants: Vec<(TenantKey, Epoch)>,
}

impl MemoryEpochs {
    /// Nothing was taken back yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes back what an issuer has issued so far: after its signing key was stolen, say.
    pub fn revoke_issuer(&self, issuer: &str, now: Timestamp) {
        self.write(|epochs| raise(&mut epochs.issuers, issuer.into(), now));
    }

    /// Takes back the tokens that a user has so far, of every issuer.
    pub fn revoke_user(&self, user: UserId, now: Timestamp) {
        self.write(|epochs| raise(&mut epochs.users, user, now));
    }

    /// Takes back the tokens that a service account has so far.
    pub fn revoke_service(&self, service: ServiceId, now: Timestamp) {
        self.write(|epochs| raise(&mut epochs.services, service, now));
    }

    /// Takes back the tokens that name this tenant so far, by its id or its slug.
    pub fn revoke_tenant(&self, tenant: &Tenant, now: Timestamp) {
        let epoch = Epoch::revoking_at(now);
        let keys = [tenant.id.into(), TenantKey::Slug(tenant.slug.clone())];
        self.write(|epochs| {
            for key in keys {
                match epochs.tenants.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, known)) => *known = epoch.max(*known),
                    None => epochs.tenants.push((key, epoch)),
                }
            }
        });
    }

    /// Forgets what concerns only tokens issued before `moment`: those that have expired anyway.
    pub fn forget_before(&self, moment: Timestamp) {
        let lasts = |epoch: &Epoch| epoch.0 > moment;
        self.write(|epochs| {
            epochs.issuers.retain(|_, epoch| lasts(epoch));
            epochs.users.retain(|_, epoch| lasts(epoch));
            epochs.services.retain(|_, epoch| lasts(epoch));
            epochs.tenants.retain(|(_, epoch)| lasts(epoch));
        });
    }

    fn write(&self, change: impl FnOnce(&mut Epochs)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn raise<K: Eq + Hash>(epochs: &mut HashMap<K, Epoch>, key: K, now: Timestamp) {
    let known = epochs.entry(key).or_insert(Epoch::NONE);
    *known = Epoch::revoking_at(now).max(*known);
}

#[async_trait]
impl TokenEpochs for MemoryEpochs {
    fn probe(&self, of: EpochOf<'_>, _now: Timestamp) -> Option<Epoch> {
        let epochs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = match of {
            EpochOf::Issuer(issuer) => epochs.issuers.get(issuer),
            EpochOf::User(user) => epochs.users.get(&user),
            EpochOf::Service(service) => epochs.services.get(&service),
            EpochOf::Tenant(key) => {
                let mut tenants = epochs.tenants.iter();
                tenants
                    .find(|(known, _)| known == key)
                    .map(|(_, epoch)| epoch)
            }
        };
        Some(known.copied().unwrap_or(Epoch::NONE))
    }

    async fn load(&self, _of: &[EpochOf<'_>], _now: Timestamp) -> Result<(), LookupError> {
        Ok(())
    }
}

impl fmt::Debug for MemoryEpochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEpochs").finish_non_exhaustive()
    }
}
