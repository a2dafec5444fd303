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

/// Begins, approves, ends, finds and lists impersonations, and keeps which tenants have agreed to them.
///
/// Each change is one transaction with its record, as in a [`TenantStore`](crate::TenantStore). Whatever ends one moves
/// the tenant's [generation](crate::GenerationFeed#what-moves-a-generation-on), so that streams and caches hear of it.
#[async_trait]
pub trait ImpersonationStore: Send + Sync {
    /// Adds an impersonation with the digest of its token.
    ///
    /// [`Conflict`](crate::StoreErrorKind::Conflict) if the operator has one of this user in this tenant that is not
    /// [ended](super::ImpersonationState::Ended) at [`started_at`](Impersonation::started_at), or `most` of them
    /// anywhere; both are decided in the transaction, so that two calls at once don't pass.
    /// [`NotFound`](crate::StoreErrorKind::NotFound) if there is no such tenant or operator,
    /// [`Forbidden`](crate::StoreErrorKind::Forbidden) if the operator may not
    /// [impersonate](crate::OperatorRight::Impersonate).
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn start_impersonation(
        &self,
        impersonation: &Impersonation,
        digest: &ImpersonationDigest,
        most: u32,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Notes who has approved an impersonation of this tenant that [waits](super::ImpersonationState::Waiting) at the
    /// moment `now`. [`Forbidden`](crate::StoreErrorKind::Forbidden) if it is the operator's own,
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
