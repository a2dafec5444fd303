//! Where operators are kept.

use async_trait::async_trait;

use super::Operator;
use crate::{ChangeRecord, DirectoryError, OperatorId, StoreError, UserId};

/// Finds, writes and lists operators.
///
/// Each change is one transaction with its record, as in a [`TenantStore`](crate::TenantStore).
///
/// # Security
/// What reads or writes this is no login that serves tenants: in PostgreSQL it is the system login alone.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// The operator whom this issuer calls so, disabled or not.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_operator(
        &self,
        issuer: &str,
        subject: UserId,
    ) -> Result<Option<Operator>, DirectoryError>;

    /// Whether the user's id is an operator's, as its subject or as its account, disabled or not.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn is_operator(&self, user: UserId) -> Result<bool, DirectoryError>;

    /// Adds an operator, or replaces the record of the same id. A subject that is another operator's at this issuer
    /// is a [`Conflict`](crate::StoreErrorKind::Conflict).
    ///
    /// One that may [impersonate](crate::OperatorRight::Impersonate) no more has its impersonations ended, in the
    /// same transaction: those of [`ended_at`](crate::Impersonation::ended_at) `None`, at the moment of the record's
    /// entry. It moves the generation of each tenant in which one ends.
    ///
    /// One that may [change access](crate::OperatorRight::ChangeAccess) no more has its open
    /// [invitations](crate::invitation::Inviter::Operator) taken back, in the same transaction and for good.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_operator(
        &self,
        operator: &Operator,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Operators in the order of their ids, at most `limit`, beginning behind `after`; disabled ones are among them.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_operators(
        &self,
        after: Option<OperatorId>,
        limit: u32,
    ) -> Result<Vec<Operator>, StoreError>;
}
