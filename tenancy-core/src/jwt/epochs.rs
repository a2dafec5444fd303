//! Since when tokens count: taking back, before they expire, what was issued.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use crate::{
    Actor, LookupError, Principal, Reach, ServiceId, Tenant, TenantKey, Timestamp, UserId,
};

/// Whose tokens an [`Epoch`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EpochOf<'a> {
    /// Every token of an issuer.
    Issuer(&'a str),
    /// The tokens of one user.
    User(UserId),
    /// The tokens of one service account.
    Service(ServiceId),
    /// The tokens that name a tenant.
    Tenant(&'a TenantKey),
}

/// The first moment at which a token that counts was issued.
///
/// ```
/// use tenancy_core::{Timestamp, jwt::Epoch};
///
/// let revoked = Epoch::revoking_at(Timestamp::from_unix_micros(1_800_000_000_250_000));
/// assert!(!revoked.admits(Timestamp::from_unix_seconds(1_800_000_000)));
/// assert!(revoked.admits(Timestamp::from_unix_seconds(1_800_000_001)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(Timestamp);

impl Epoch {
    /// Nothing was taken back.
    pub const NONE: Self = Self(Timestamp::from_unix_seconds(i64::MIN));

    /// Takes back what was issued up to this moment.
    ///
    /// It is the beginning of the next second: `iat` has whole seconds, and a token issued a moment
    /// before, in the same second, must not survive.
    #[must_use]
    pub const fn revoking_at(moment: Timestamp) -> Self {
        let next = moment.as_unix_seconds().saturating_add(1);
        Self(Timestamp::from_unix_seconds(next))
    }

    /// An epoch that was stored.
    #[must_use]
    pub const fn from_timestamp(first: Timestamp) -> Self {
        Self(first)
    }

    /// The first moment that counts, for storing it.
    #[must_use]
    pub const fn as_timestamp(self) -> Timestamp {
        self.0
    }

    /// Whether a token issued then counts.
    #[must_use]
    pub fn admits(self, issued_at: Timestamp) -> bool {
        issued_at >= self.0
    }
}

/// Knows since when tokens count, per issuer, user, service account and tenant.
///
/// Asked for every request, also for remembered tokens. A directory in a database implements it
/// over a small cache that its feed of changes keeps up to date: [`probe`](Self::probe) answers
/// from there, or says that it can't, and [`load`](Self::load) asks the database.
///
/// # Security
/// Answer [`Epoch::NONE`] only where it is known that nothing was taken back.
#[async_trait]
pub trait TokenEpochs: Send + Sync + fmt::Debug {
    /// Answers from memory; `None` if [`load`](Self::load) has to be called first.
    fn probe(&self, of: EpochOf<'_>, now: Timestamp) -> Option<Epoch>;

    /// Makes [`probe`](Self::probe) able to answer about each of these.
    ///
    /// # Errors
    /// [`LookupError`] if the store did not answer; the request is then answered 503.
    async fn load(&self, of: &[EpochOf<'_>], now: Timestamp) -> Result<(), LookupError>;
}

/// Whose epochs decide about a principal's token.
pub(super) fn of<'a>(principal: &'a Principal) -> impl Iterator<Item = EpochOf<'a>> {
    let issuer = EpochOf::Issuer(&principal.issuer);
    let actor = match principal.actor {
        Actor::User(user) => Some(EpochOf::User(user)),
        Actor::Service(service) => Some(EpochOf::Service(service)),
        Actor::Anonymous | Actor::System => None,
    };
    let tenants = match &principal.reach {
        Reach::Bound(tenant) => std::slice::from_ref(tenant),
        Reach::Set { tenants, .. } => tenants,
        Reach::Memberships => &[],
    };
    let tenants = tenants.iter().map(EpochOf::Tenant);
    std::iter::once(issuer).chain(actor).chain(tenants)
}

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
