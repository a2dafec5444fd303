//! Since when tokens count: taking back, before they expire, what was issued.

mod memory;

use std::fmt;

use async_trait::async_trait;

pub use memory::MemoryEpochs;

use crate::{Actor, LookupError, Principal, Reach, ServiceId, TenantKey, Timestamp, UserId};

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
        // No token speaks for these.
        Actor::Key(_) | Actor::Anonymous | Actor::System => None,
    };
    let tenants = match &principal.reach {
        Reach::Bound(tenant) => std::slice::from_ref(tenant),
        Reach::Set { tenants, .. } => tenants,
        Reach::Memberships => &[],
    };
    let tenants = tenants.iter().map(EpochOf::Tenant);
    std::iter::once(issuer).chain(actor).chain(tenants)
}
