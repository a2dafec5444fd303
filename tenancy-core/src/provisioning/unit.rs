//! What a store writes for a new tenant, as one unit.

use std::fmt;

use crate::{
    Account, KeyId, Membership, Project, ProjectId, ProjectMembership, TenantId, TenantKey,
    TenantRecord, UserId, key::ApiKey,
};

/// All that a new tenant begins with, as a store writes it: every part belongs to the tenant.
///
/// ```
/// use tenancy_core::{Membership, NewTenant, SystemRole, TenantRecord, UserId};
///
/// let acme = TenantRecord::new("acme".parse()?, "Acme Ltd");
/// let owner = Membership::new(acme.id, UserId::new(), SystemRole::Owner.name());
/// let unit = NewTenant::new(acme, owner);
/// assert!(unit.names.is_empty() && unit.key.is_none());
/// # Ok::<(), tenancy_core::InvalidSlug>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewTenant {
    /// The tenant.
    pub tenant: TenantRecord,
    /// Its owner.
    pub owner: Membership,
    /// The owner's account, where there was none and the library keeps it.
    pub account: Option<Account>,
    /// Its domains and ids in other systems.
    pub names: Vec<TenantKey>,
    /// Its first project.
    pub project: Option<Project>,
    /// The owner's role in that.
    pub project_membership: Option<ProjectMembership>,
    /// Its first API key.
    pub key: Option<ApiKey>,
    /// What a repetition is known by.
    pub idempotency: Option<Idempotency>,
}

impl NewTenant {
    /// A tenant with its owner and nothing else.
    #[must_use]
    pub const fn new(tenant: TenantRecord, owner: Membership) -> Self {
        Self {
            tenant,
            owner,
            account: None,
            names: Vec::new(),
            project: None,
            project_membership: None,
            key: None,
            idempotency: None,
        }
    }

    /// What a store keeps for repetitions.
    #[must_use]
    pub fn as_before(&self) -> Option<ProvisionedBefore> {
        Some(ProvisionedBefore {
            request: self.idempotency.as_ref()?.request,
            tenant: self.tenant.id,
            owner: self.owner.user,
            project: self.project.as_ref().map(|project| project.id),
            key: self.key.as_ref().map(|key| key.id),
        })
    }
}

/// What a repeated request is known by: digests, which say nothing to whoever reads them. `Debug` shows neither.
///
/// ```
/// use tenancy_core::Idempotency;
///
/// let of = Idempotency::new([1; 32], [2; 32]);
/// assert_eq!(format!("{of:?}"), "Idempotency(..)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Idempotency {
    /// Of the caller's key, with whose it is.
    pub key: [u8; 32],
    /// Of what is asked for.
    pub request: [u8; 32],
}

impl Idempotency {
    /// For how long a store remembers a request at least, in hours.
    pub const HOURS: u8 = 24;

    /// Two digests.
    #[must_use]
    pub const fn new(key: [u8; 32], request: [u8; 32]) -> Self {
        Self { key, request }
    }
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idempotency(..)")
    }
}

/// A tenant that was made with a caller's key before.
///
/// ```
/// use tenancy_core::{ProvisionedBefore, TenantId, UserId};
///
/// let before = ProvisionedBefore::new([2; 32], TenantId::new(), UserId::new());
/// assert_eq!(before.project, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvisionedBefore {
    /// The digest of what was asked for.
    pub request: [u8; 32],
    /// The tenant.
    pub tenant: TenantId,
    /// Its owner.
    pub owner: UserId,
    /// Its first project.
    pub project: Option<ProjectId>,
    /// Its first key.
    pub key: Option<KeyId>,
}

impl ProvisionedBefore {
    /// A tenant with its owner and nothing else.
    #[must_use]
    pub const fn new(request: [u8; 32], tenant: TenantId, owner: UserId) -> Self {
        Self {
            request,
            tenant,
            owner,
            project: None,
            key: None,
        }
    }
}
