//! Where impersonations and tenants' consent to them are kept.

use async_trait::async_trait;

use super::{Impersonation, ImpersonationDigest};
use crate::{
    ChangeRecord, DirectoryError, ImpersonationId, OperatorId, StoreError, TenantId, Timestamp,
};

/// By what an impersonation is found.
///
/// ```
/// use tenancy_core::{ImpersonationId, ImpersonationLookup};
///
/// let again = ImpersonationLookup::Id(ImpersonationId::new());
/// # let _ = again;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that does not answer one of them lets nobody in"
)]
pub enum ImpersonationLookup {
    /// The digest of the token that a request presents.
    Token(ImpersonationDigest),
    /// The id of one that was admitted before.
    Id(ImpersonationId),
}

/// What an impersonation begins on, besides what holds for all of them.
///
/// ```
/// use tenancy_core::StartTerms;
///
/// let terms = StartTerms::new(3).on_consent();
/// assert!(terms.needs_consent);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct StartTerms {
    /// How many the operator may have at once.
    pub at_once: u32,
    /// Whether it rests on the tenant's consent, which has to reach as far as the impersonation.
    pub needs_consent: bool,
}

impl StartTerms {
    /// So many at once, whatever the tenant has said.
    pub const fn new(at_once: u32) -> Self {
        Self {
            at_once,
            needs_consent: false,
        }
    }

    /// The same, resting on the tenant's consent.
    pub const fn on_consent(mut self) -> Self {
        self.needs_consent = true;
        self
    }
}

/// Begins, approves, ends, finds and lists impersonations, and keeps which tenants have agreed to them.
///
/// Each change is one transaction with its record, as in a [`TenantStore`](crate::TenantStore). Whatever ends one moves
/// the tenant's [generation](crate::GenerationFeed#what-moves-a-generation-on), so that streams and caches hear of it.
#[async_trait]
pub trait ImpersonationStore: Send + Sync {
    /// Adds an impersonation with the digest of its token. All that follows is decided in the transaction, so that
    /// nothing of it ends between a look and the start.
    ///
    /// [`Conflict`](crate::StoreErrorKind::Conflict) if the operator has one of this user in this tenant that is not
    /// [ended](super::ImpersonationState::Ended) at [`started_at`](Impersonation::started_at), or as many as the terms
    /// allow anywhere. [`NotFound`](crate::StoreErrorKind::NotFound) if there is no such tenant or operator.
    /// [`Forbidden`](crate::StoreErrorKind::Forbidden) if the operator may not
    /// [impersonate](crate::OperatorRight::Impersonate), the user is no active member of the tenant, or the terms need
    /// consent and the tenant does not agree until [`until`](Impersonation::until). A store with a clock of its own also
    /// refuses consent whose time is over by that clock, and ends the impersonation with it.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn start_impersonation(
        &self,
        impersonation: &Impersonation,
        digest: &ImpersonationDigest,
        terms: StartTerms,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Notes who has approved an impersonation of this tenant that [waits](super::ImpersonationState::Waiting) at the
    /// moment `now`. [`Forbidden`](crate::StoreErrorKind::Forbidden) if it is that operator's own, or was asked for under
    /// another record of the [same person](crate::Operator::is_same_person), or that operator may not
    /// [approve](crate::OperatorRight::ApproveImpersonations) in this transaction,
    /// [`Conflict`](crate::StoreErrorKind::Conflict) if it does not wait, and
    /// [`NotFound`](crate::StoreErrorKind::NotFound) if the tenant has none of this id.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn approve_impersonation(
        &self,
        (tenant, id): (TenantId, ImpersonationId),
        by: OperatorId,
        now: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Impersonation, StoreError>;

    /// Ends an impersonation of this tenant. One that has ended stays as it is, and that is no error.
    ///
    /// # Errors
    /// [`NotFound`](crate::StoreErrorKind::NotFound) if the tenant has none of this id, or a [`StoreError`] whose
    /// kind says why nothing was changed.
    async fn end_impersonation(
        &self,
        tenant: TenantId,
        id: ImpersonationId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// The impersonation, whatever its state; `None` if there is none.
    ///
    /// # Security
    /// Asked about each request that presents a token, and never answered from a cache. A store with a clock of its
    /// own also ends one by that clock, so that a process whose clock is slow keeps none going.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_impersonation(
        &self,
        by: &ImpersonationLookup,
    ) -> Result<Option<Impersonation>, DirectoryError>;

    /// The impersonations in a tenant, or without one in all of them, in the order of their ids.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_impersonations(
        &self,
        tenant: Option<TenantId>,
        after: Option<ImpersonationId>,
        limit: u32,
    ) -> Result<Vec<Impersonation>, StoreError>;

    /// Notes that a tenant agrees to impersonations until this moment, in the place of what it said before.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn grant_support_access(
        &self,
        tenant: TenantId,
        until: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Notes that a tenant agrees no more, and ends all its impersonations that have not ended, at this moment.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn revoke_support_access(
        &self,
        tenant: TenantId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Until when a tenant agrees to impersonations; `None` if it does not. The moment may be past.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_support_access(
        &self,
        tenant: TenantId,
    ) -> Result<Option<Timestamp>, DirectoryError>;
}
