//! Departures: what hangs on a member, and what becomes of it when the member goes.

use super::{Membership, RoleSeen};
use crate::{
    Grant, KeyId, OwnershipOffer, ProjectMembership, Timestamp, UserId, invitation::Invitation,
    key::ApiKey,
};

/// Where the API keys of a member go who leaves the tenant.
///
/// ```
/// # use tenancy_core::{KeysGo, StoreError, Tenancy, TenantContext, UserId};
/// # async fn handler(tenancy: Tenancy, context: TenantContext, left: UserId, heir: UserId) -> Result<(), Box<dyn std::error::Error>> {
/// // The nightly export goes on, as a key of the member who has taken over.
/// let admin = tenancy.admin(context.authority("members:manage")?);
/// admin.remove_membership_with(context.tenant_id(), left, KeysGo::To(heir)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeysGo {
    /// They are revoked. A member who comes back does not find them alive again.
    #[default]
    Revoked,
    /// They go on as keys of this user, an active member, with the same text. Each may from then on do at most what it
    /// might before, what who leaves may do, and what this user may do, at the moment of the change: written out as
    /// permissions, so that it grows with nobody's role. One for which nothing is left is revoked.
    ///
    /// # Security
    /// Who leaves still knows the text. Rotate the keys soon, and have the new holder put the new text in its place.
    To(UserId),
}

/// What a member leaves behind, and what becomes of it; made by [`Admin::departure`](crate::Admin::departure).
///
/// ```
/// use tenancy_core::{Admin, KeyFate, KeysGo, StoreError, TenantId, UserId};
///
/// /// What a page shows before somebody presses "remove".
/// async fn warning(admin: &Admin, acme: TenantId, bob: UserId) -> Result<String, StoreError> {
///     let departure = admin.departure(acme, bob, KeysGo::Revoked).await?;
///     let keys = departure.keys.iter().filter(|(_, fate)| *fate == KeyFate::Revoked);
///     let names: Vec<_> = keys.map(|(key, _)| key.name.as_str()).collect();
///     Ok(format!("these stop working: {}", names.join(", ")))
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Departure {
    /// The membership, which ends.
    pub membership: Membership,
    /// Whether the member is the last active owner, who can't go before somebody else is one.
    pub is_last_owner: bool,
    /// The live keys that the member has made, by id, and what becomes of each: the first
    /// [`MemberHoldings::MAX_KEYS`].
    pub keys: Vec<(ApiKey, KeyFate)>,
    /// Whether there are more keys than these.
    pub has_more_keys: bool,
    /// The member's roles in projects, which end.
    pub project_roles: Vec<ProjectMembership>,
    /// The open invitations that the member answers for, by id, which are taken back: the first
    /// [`MemberHoldings::MAX_INVITATIONS`].
    pub invitations: Vec<Invitation>,
    /// Whether there are more invitations than these.
    pub has_more_invitations: bool,
    /// The open offer of ownership that the member has made or got, which ends.
    pub ownership_offer: Option<OwnershipOffer>,
}

/// What becomes of a key whose creator leaves the tenant.
///
/// ```
/// use tenancy_core::{Grant, KeyFate};
///
/// let fate = KeyFate::HandedOver(vec!["notes:read".parse::<Grant>()?]);
/// assert_ne!(fate, KeyFate::Revoked);
/// # Ok::<(), tenancy_core::InvalidGrant>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFate {
    /// It is revoked, for good.
    Revoked,
    /// It goes on with another holder, and with these scopes.
    HandedOver(Vec<Grant>),
}

/// What a store knows to hang on a member, read in one transaction.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MemberHoldings {
    /// The membership.
    pub membership: Membership,
    /// Whether somebody else is an active owner of the tenant.
    pub others_own: bool,
    /// The keys that the member has made and that are live, in the order of their ids: the first
    /// [`MAX_KEYS`](Self::MAX_KEYS).
    pub keys: Vec<ApiKey>,
    /// Whether there are more keys than these.
    pub has_more_keys: bool,
    /// The member's roles in projects, in the order of the projects' ids.
    pub project_roles: Vec<ProjectMembership>,
    /// The open invitations that the member answers for, in the order of their ids: the first
    /// [`MAX_INVITATIONS`](Self::MAX_INVITATIONS).
    pub invitations: Vec<Invitation>,
    /// Whether there are more invitations than these.
    pub has_more_invitations: bool,
    /// The open offer of ownership that the member has made or got.
    pub ownership_offer: Option<OwnershipOffer>,
}

impl MemberHoldings {
    /// How many keys are listed at most, and handed over at once.
    pub const MAX_KEYS: u32 = 1_000;

    /// How many open invitations are listed at most. All of them are taken back with the membership.
    pub const MAX_INVITATIONS: u32 = 1_000;

    /// What hangs on a membership: nothing yet.
    #[must_use]
    pub const fn new(membership: Membership) -> Self {
        Self {
            membership,
            others_own: false,
            keys: Vec::new(),
            has_more_keys: false,
            project_roles: Vec::new(),
            invitations: Vec::new(),
            has_more_invitations: false,
            ownership_offer: None,
        }
    }

    /// The same with the keys that are live, of which a store has read one more than
    /// [`MAX_KEYS`](Self::MAX_KEYS) at most.
    #[must_use]
    pub fn with_keys(mut self, mut keys: Vec<ApiKey>) -> Self {
        let most = usize::try_from(Self::MAX_KEYS).unwrap_or(usize::MAX);
        self.has_more_keys = keys.len() > most;
        keys.truncate(most);
        self.keys = keys;
        self
    }

    /// The same with the invitations that are open, of which a store has read one more than
    /// [`MAX_INVITATIONS`](Self::MAX_INVITATIONS) at most.
    #[must_use]
    pub fn with_invitations(mut self, mut invitations: Vec<Invitation>) -> Self {
        let most = usize::try_from(Self::MAX_INVITATIONS).unwrap_or(usize::MAX);
        self.has_more_invitations = invitations.len() > most;
        invitations.truncate(most);
        self.invitations = invitations;
        self
    }
}

/// How a store removes a membership.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MembershipRemoval {
    /// The moment of now, as of which the user's keys are revoked.
    pub at: Timestamp,
    /// What was seen when the removal was decided on.
    pub seen: RoleSeen,
    /// The keys that go on with another holder, if any do.
    pub handover: Option<KeyHandover>,
}

impl MembershipRemoval {
    /// A removal that revokes the user's keys, whatever the role.
    #[must_use]
    pub const fn new(at: Timestamp) -> Self {
        Self {
            at,
            seen: RoleSeen::Any,
            handover: None,
        }
    }

    /// The same, if the user still has the role that was seen.
    #[must_use]
    pub fn seen(mut self, seen: RoleSeen) -> Self {
        self.seen = seen;
        self
    }

    /// The same, where keys go on with another holder.
    #[must_use]
    pub fn handover(mut self, handover: KeyHandover) -> Self {
        self.handover = Some(handover);
        self
    }
}

/// Keys that go on with another holder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHandover {
    /// The new holder.
    pub to: UserId,
    /// The keys. Any other one of the former holder is revoked.
    pub keys: Vec<HandedKey>,
}

impl KeyHandover {
    /// A handover of these keys.
    #[must_use]
    pub const fn new(to: UserId, keys: Vec<HandedKey>) -> Self {
        Self { to, keys }
    }
}

/// A key that goes on with another holder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandedKey {
    /// Which.
    pub key: KeyId,
    /// The scopes that it was seen to have. If it has others now, nothing is changed.
    pub had: Vec<Grant>,
    /// The scopes that it gets.
    pub gets: Vec<Grant>,
}

impl HandedKey {
    /// A key that was seen with these scopes, and gets those.
    #[must_use]
    pub const fn new(key: KeyId, had: Vec<Grant>, gets: Vec<Grant>) -> Self {
        Self { key, had, gets }
    }
}
