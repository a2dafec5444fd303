//! Where rules for domains are kept.

use async_trait::async_trait;

use super::DomainJoin;
use crate::{ChangeRecord, DomainName, StoreError, TenantId, UserId, invitation::SeatLimit};

/// Keeps the rules by which people join by their address's domain.
///
/// Each call that changes something is one transaction, with its record, as in a
/// [`TenantStore`](crate::TenantStore). It moves no generation, but for the membership that is added.
#[async_trait]
pub trait DomainJoinStore: Send + Sync {
    /// Adds or replaces a tenant's rule for a domain, whatever other tenants have for it.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_domain_join(
        &self,
        rule: &DomainJoin,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Removes a tenant's rule for a domain. One of another tenant stays as it is.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn remove_domain_join(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// A tenant's rules in the order of their domains; there are too few for pages, 1,000 at most are told.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_domain_joins(&self, tenant: TenantId) -> Result<Vec<DomainJoin>, StoreError>;

    /// The rules of all tenants for exactly this domain: first the [automatic](super::JoinMode::Automatic) ones, in the
    /// order in which they became automatic, then the others by tenant; 100 at most.
    ///
    /// # Security
    /// Only a login that writes may ask.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn find_domain_joins(&self, domain: &str) -> Result<Vec<DomainJoin>, StoreError>;

    /// A tenant's rule for exactly this domain, if it has one, however many tenants have one.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn find_domain_join(
        &self,
        tenant: TenantId,
        domain: &str,
    ) -> Result<Option<DomainJoin>, StoreError>;

    /// Makes a member of a user, by a rule that was read. All of it is looked at in the transaction that does it: the
    /// tenant is served, the rule is still so, the user is no member, and there is a seat. Roles in projects that the user
    /// has from before are forgotten.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn join_by_domain(
        &self,
        rule: &DomainJoin,
        user: UserId,
        seats: Option<SeatLimit>,
        record: &ChangeRecord,
    ) -> Result<DomainJoined, StoreError>;
}

/// What became of somebody who joins. Nothing is changed but by [`Done`](Self::Done).
///
/// ```
/// use tenancy_core::domain_join::DomainJoined;
///
/// assert_ne!(DomainJoined::Done, DomainJoined::Gone);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer nobody handles must not admit anybody"
)]
#[must_use]
pub enum DomainJoined {
    /// The user is a member.
    Done,
    /// The rule is not there any more, or another one.
    Gone,
    /// The user is a member already, of whatever status.
    AlreadyMember,
    /// All seats are taken.
    Full {
        /// How many.
        taken: u64,
    },
    /// The tenant is not served.
    NotServed,
}
