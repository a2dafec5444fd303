//! Ownership that is handed on in two steps: offers, and where they are kept.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ChangeRecord, RoleName, StoreError, StoreErrorKind, SystemRole, TenantId, Timestamp, UserId,
};

/// An offer of a tenant's ownership, from an owner to another member.
///
/// A tenant has one open offer at most. It is accepted once, by the user whom it is for, and ends when it expires, is
/// declined or withdrawn, when its owner is no active owner any more, or when the user whom it is for is no active
/// member. What has ended never comes back.
///
/// ```
/// use tenancy_core::{
///     Clock as _, OwnershipOffer, OwnershipTerms, SystemClock, SystemRole, TenantId, UserId,
/// };
///
/// let (alice, bob, now) = (UserId::new(), UserId::new(), SystemClock.now());
/// let offer = OwnershipOffer::new(TenantId::new(), alice, bob, &OwnershipTerms::new(), now);
/// assert_eq!(offer.from_becomes, SystemRole::Admin.name());
/// assert!(offer.is_open_at(now) && !offer.is_open_at(offer.expires_at));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnershipOffer {
    /// The tenant.
    pub tenant: TenantId,
    /// The owner who has made it.
    pub from: UserId,
    /// The member whom it is for.
    pub to: UserId,
    /// The role that the owner has once it is accepted.
    pub from_becomes: RoleName,
    /// The moment from which it can't be accepted any more.
    pub expires_at: Timestamp,
}

impl OwnershipOffer {
    /// An offer of now.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        from: UserId,
        to: UserId,
        terms: &OwnershipTerms,
        now: Timestamp,
    ) -> Self {
        Self {
            tenant,
            from,
            to,
            from_becomes: terms.becomes.clone(),
            expires_at: now + terms.lasts,
        }
    }

    /// Whether it has not expired.
    #[must_use]
    pub fn is_open_at(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// What an owner who offers the ownership becomes, and for how long the offer stands.
///
/// ```
/// use std::time::Duration;
/// use tenancy_core::{OwnershipTerms, SystemRole};
///
/// // Default: an admin, within 7 days.
/// let terms = OwnershipTerms::new()
///     .becomes(SystemRole::Viewer.name())
///     .lasts(Duration::from_secs(24 * 3600));
/// # let _ = terms;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct OwnershipTerms {
    pub(crate) becomes: RoleName,
    pub(crate) lasts: Duration,
}

impl OwnershipTerms {
    /// How long an offer stands by default: 7 days.
    pub const DEFAULT_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

    /// The longest that an offer may stand: 30 days.
    pub const MAX_LASTS: Duration = Duration::from_secs(30 * 24 * 3600);

    /// The owner becomes an `admin`, and the offer stands for 7 days.
    pub fn new() -> Self {
        Self {
            becomes: SystemRole::Admin.name(),
            lasts: Self::DEFAULT_LASTS,
        }
    }

    /// What the owner becomes. With `owner` the tenant has one owner more.
    pub fn becomes(mut self, role: RoleName) -> Self {
        self.becomes = role;
        self
    }

    /// For how long the offer stands: more than nothing, and 30 days at most.
    pub const fn lasts(mut self, lasts: Duration) -> Self {
        self.lasts = lasts;
        self
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.lasts.is_zero() || self.lasts > Self::MAX_LASTS {
            let message = "an offer of ownership stands for more than nothing and 30 days at most";
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        Ok(())
    }
}

impl Default for OwnershipTerms {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps the offers of ownership.
///
/// Each call is one transaction, with its record, as in a [`TenantStore`](crate::TenantStore). Part of the store of
/// memberships: what ends the owner's ownership or the other's membership ends the offer, in the same transaction.
/// `conformance::ownership` (feature `testing`) checks all of this.
#[async_trait]
pub trait OwnershipStore: Send + Sync {
    /// Adds an offer. A [`Conflict`](StoreErrorKind::Conflict) while another one is open, or if who makes it is no
    /// active owner, or whom it is for is no active member or an owner already.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_ownership_offer(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// The offer of a tenant that is open at this moment.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn find_ownership_offer(
        &self,
        tenant: TenantId,
        at: Timestamp,
    ) -> Result<Option<OwnershipOffer>, StoreError>;

    /// Makes whom an offer is for an owner, gives who made it the role that the offer says, and ends the offer.
    /// [`NotFound`](StoreErrorKind::NotFound) unless this very offer is open, and a
    /// [`Conflict`](StoreErrorKind::Conflict) unless both are still what they were.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn accept_ownership(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Ends an offer. [`NotFound`](StoreErrorKind::NotFound) unless this very offer is open.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn end_ownership_offer(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;
}
