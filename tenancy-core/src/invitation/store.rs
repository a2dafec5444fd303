//! Where invitations are kept, and what a store says of changing them.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{Invitation, InvitationState, Inviter, ProjectRole};
use crate::{
    ChangeRecord, DirectoryError, InvitationId, KeyId, Membership, RoleName, StoreError, TenantId,
    Timestamp, UserId, one_time::OneTimeDigest,
};

/// Keeps invitations.
///
/// Each call that changes something is one transaction, with its record, as in a
/// [`TenantStore`](crate::TenantStore). It moves no generation, but for the membership that an acceptance adds. Calls
/// that concern one tenant's seats wait for each other: what is counted is still so when it is written.
#[async_trait]
pub trait InvitationStore: Send + Sync {
    /// Adds the invitations of a batch, each by itself: one outcome for each, in their order. Of an address that has an
    /// open invitation, none is added; one that has expired makes room. Where there is a limit of seats, those are added
    /// for which there is a seat, the first ones first. The batch's [record](InvitationBatch::record_of) of what was added is
    /// written with it, and nothing where nothing was.
    ///
    /// With what is added, some of the tenant's invitations are removed whose time was over for
    /// [90 days](Invitation::KEPT_FOR), whatever has become of them. A store with a clock of its own goes by that.
    ///
    /// # Security
    /// An [operator](super::Inviter::Operator) who may [change access](crate::OperatorRight::ChangeAccess) no more is
    /// [`Forbidden`](crate::StoreErrorKind::Forbidden), here and in [`change_invitation`](Self::change_invitation), as far as
    /// the store's login reads operators.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn add_invitations(
        &self,
        batch: &InvitationBatch,
        seats: Option<SeatLimit>,
    ) -> Result<Vec<Invited>, StoreError>;

    /// An invitation by its id, of whatever tenant and in whatever state.
    ///
    /// # Security
    /// The id stands in a token that nobody has verified yet. Only a login that writes may find an invitation so.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer; never for what is not there.
    async fn find_invitation(&self, id: InvitationId) -> Result<Option<Invitation>, StoreError>;

    /// Changes an invitation that is open as it was read: the same state, rotation, role and projects. `None` if it is
    /// not that any more. One that has expired takes a seat again when it is sent anew.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn change_invitation(
        &self,
        as_read: &Invitation,
        change: &InvitationChange,
        seats: Option<SeatLimit>,
        record: &ChangeRecord,
    ) -> Result<Option<Seated>, StoreError>;

    /// Makes a member of whoever accepts, with the roles in projects that are still there. All of it is looked at in the
    /// transaction that does it: the tenant is served, the invitation is open as it was read and not past its end, the
    /// inviter is the member that was looked at, the [key](Acceptance::key) by which that member has invited is of this
    /// tenant and of that member and [active](crate::key::KeyState::Active) at that moment, and the user is no member. Roles in projects that the user has from before
    /// are forgotten.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn accept_invitation(
        &self,
        acceptance: &Acceptance,
        record: &ChangeRecord,
    ) -> Result<Accepted, StoreError>;

    /// A tenant's invitations in the order of their ids.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_invitations(
        &self,
        tenant: TenantId,
        filter: &InvitationFilter,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError>;
}

/// Counts the seats of a tenant that are taken: its members, of whatever status, and its open invitations.
#[async_trait]
pub trait SeatDirectory: Send + Sync {
    /// How many seats are taken at this moment.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer.
    async fn count_seats(&self, tenant: TenantId, at: Timestamp) -> Result<u64, DirectoryError>;
}

/// How many seats there are, and at which moment they are counted.
///
/// ```
/// use tenancy_core::{Timestamp, invitation::SeatLimit};
///
/// let three = SeatLimit::new(3, Timestamp::from_unix_seconds(1_800_000_000));
/// assert_eq!((three.room(2), three.room(5)), (1, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeatLimit {
    /// The most that may be taken.
    pub most: u64,
    /// An invitation that ends by then has no seat.
    pub at: Timestamp,
}

impl SeatLimit {
    /// So many, at this moment.
    #[must_use]
    pub const fn new(most: u64, at: Timestamp) -> Self {
        Self { most, at }
    }

    /// How many are left where so many are taken.
    #[must_use]
    pub const fn room(&self, taken: u64) -> u64 {
        self.most.saturating_sub(taken)
    }
}

/// Whether there was a seat.
///
/// ```
/// use tenancy_core::invitation::Seated;
///
/// assert_ne!(Seated::Done, Seated::Full { taken: 3 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer nobody handles must not seat anybody"
)]
#[must_use]
pub enum Seated {
    /// There was, or none was needed: the change is made.
    Done,
    /// All are taken: nothing was changed.
    Full {
        /// How many.
        taken: u64,
    },
}

/// What became of one invitation of a batch.
///
/// ```
/// use tenancy_core::invitation::Invited;
///
/// fn failed(outcomes: &[Invited]) -> usize {
///     outcomes.iter().filter(|outcome| !matches!(outcome, Invited::Added)).count()
/// }
/// assert_eq!(failed(&[Invited::Added, Invited::AlreadyInvited]), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invited {
    /// It was made.
    Added,
    /// The address has an open invitation to this tenant, which stays as it is.
    AlreadyInvited,
    /// All seats are taken.
    NoSeat {
        /// How many.
        taken: u64,
    },
}

/// Invitations of one tenant that are made together.
///
/// ```
/// use tenancy_core::invitation::{InvitationBatch, InvitationStore, Invited};
/// # use tenancy_core::StoreError;
///
/// async fn add(store: &dyn InvitationStore, batch: &InvitationBatch) -> Result<usize, StoreError> {
///     let outcomes = store.add_invitations(batch, None).await?;
///     Ok(outcomes.iter().filter(|outcome| **outcome == Invited::Added).count())
/// }
/// # let _ = add;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InvitationBatch {
    /// The tenant.
    pub tenant: TenantId,
    /// The invitations.
    pub invitations: Vec<Invitation>,
    /// What is written with all of them: one entry, whose targets are the invitations, and an event for each, in their
    /// order.
    pub record: ChangeRecord,
    /// When they are made.
    pub at: Timestamp,
}

impl InvitationBatch {
    /// These invitations, with their record.
    #[must_use]
    pub const fn new(
        tenant: TenantId,
        invitations: Vec<Invitation>,
        record: ChangeRecord,
        at: Timestamp,
    ) -> Self {
        Self {
            tenant,
            invitations,
            record,
            at,
        }
    }

    /// What is written of those that were added; `None` if none was.
    #[must_use]
    pub fn record_of(&self, outcomes: &[Invited]) -> Option<ChangeRecord> {
        let added = |at: &usize| outcomes.get(*at) == Some(&Invited::Added);
        let ids: HashSet<String> = (self.invitations.iter().enumerate())
            .filter(|(at, _)| added(at))
            .map(|(_, one)| one.id.to_string())
            .collect();
        if ids.is_empty() {
            return None;
        }
        let mut record = self.record.clone();
        let mut at = 0..;
        record
            .events
            .retain(|_| at.next().is_some_and(|at| added(&at)));
        let targets = &mut record.entry.targets;
        targets.retain(|target| target.kind != "invitation" || ids.contains(&*target.id));
        let texts: Vec<_> = targets
            .iter()
            .map(|to| format!("{}:{}", to.kind, to.id))
            .collect();
        record.entry.target = Some(texts.join(" "));
        Some(record)
    }
}

/// A change of an open invitation.
///
/// ```
/// use tenancy_core::invitation::InvitationChange;
///
/// assert!(matches!(InvitationChange::Revoke, InvitationChange::Revoke));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that ignores a change it does not know would say that it is made"
)]
pub enum InvitationChange {
    /// It is sent anew: its rotation is one more, and the link before is wrong.
    Resend {
        /// What is stored of the new token.
        digest: OneTimeDigest,
        /// Who answers for it from now on.
        inviter: Inviter,
        /// The moment.
        at: Timestamp,
        /// Its new end.
        expires_at: Timestamp,
    },
    /// It gives other roles.
    SetRoles {
        /// In the tenant.
        role: RoleName,
        /// In projects.
        projects: Vec<ProjectRole>,
        /// Who answers for it from now on.
        inviter: Inviter,
    },
    /// It is taken back.
    Revoke,
}

impl InvitationChange {
    /// The invitation after the change.
    #[must_use]
    pub fn of(&self, mut invitation: Invitation) -> Invitation {
        match self {
            Self::Resend {
                digest,
                inviter,
                at,
                expires_at,
            } => {
                invitation.digest = digest.clone();
                invitation.inviter = inviter.clone();
                invitation.sent_at = *at;
                invitation.expires_at = *expires_at;
                invitation.rotation = invitation.rotation.wrapping_add(1);
            }
            Self::SetRoles {
                role,
                projects,
                inviter,
            } => {
                invitation.role = role.clone();
                invitation.projects.clone_from(projects);
                invitation.inviter = inviter.clone();
            }
            Self::Revoke => invitation.state = InvitationState::Revoked,
        }
        invitation
    }
}

/// Somebody who accepts an invitation that was looked at.
///
/// ```
/// use tenancy_core::{Membership, Timestamp, UserId, invitation::{Acceptance, Invitation}};
///
/// fn of(invitation: Invitation, ann: UserId, inviter: Membership, now: Timestamp) -> Acceptance {
///     Acceptance::new(invitation, ann, Some(inviter), now)
/// }
/// # let _ = of;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Acceptance {
    /// The invitation, as it was read.
    pub invitation: Invitation,
    /// Who accepts.
    pub user: UserId,
    /// The inviter's membership, as it was looked at; `None` where no member answers for the invitation.
    pub inviter: Option<Membership>,
    /// The key by which that member has invited, or the one that has taken its place; `None` where it was none.
    pub key: Option<KeyId>,
    /// The moment.
    pub at: Timestamp,
}

impl Acceptance {
    /// This user accepts this invitation.
    #[must_use]
    pub const fn new(
        invitation: Invitation,
        user: UserId,
        inviter: Option<Membership>,
        at: Timestamp,
    ) -> Self {
        Self {
            invitation,
            user,
            inviter,
            key: None,
            at,
        }
    }

    /// The same, of an invitation that was made by this key.
    #[must_use]
    pub const fn by_key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }
}

/// What became of an acceptance. Nothing is changed but by [`Done`](Self::Done).
///
/// ```
/// use tenancy_core::invitation::Accepted;
///
/// assert_ne!(Accepted::Done, Accepted::Gone);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer nobody handles must not admit anybody"
)]
#[must_use]
pub enum Accepted {
    /// The user is a member.
    Done,
    /// The invitation is not open any more, or not as it was read.
    Gone,
    /// The user is a member already.
    AlreadyMember,
    /// The inviter's membership, or the key by which it has invited, is another one now.
    InviterChanged,
    /// The tenant is not [served](crate::TenantStatus::is_served).
    NotServed,
}

/// Which invitations are listed.
///
/// ```
/// use tenancy_core::{Timestamp, invitation::{InvitationFilter, InvitationState}};
///
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let open = InvitationFilter::new().state(InvitationState::Pending, now);
/// # drop(open);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct InvitationFilter {
    /// Only those in this state at this moment.
    pub state: Option<(InvitationState, Timestamp)>,
    /// Only those that this member answers for.
    pub inviter: Option<UserId>,
}

impl InvitationFilter {
    /// All.
    pub const fn new() -> Self {
        Self {
            state: None,
            inviter: None,
        }
    }

    /// Only those in this state at this moment.
    pub const fn state(mut self, state: InvitationState, at: Timestamp) -> Self {
        self.state = Some((state, at));
        self
    }

    /// Only those that this member answers for.
    pub const fn of_inviter(mut self, user: UserId) -> Self {
        self.inviter = Some(user);
        self
    }

    /// Whether an invitation is one of them.
    #[must_use]
    pub fn matches(&self, invitation: &Invitation) -> bool {
        self.state
            .is_none_or(|(state, at)| invitation.state_at(at) == state)
            && self
                .inviter
                .is_none_or(|user| invitation.inviter.user() == Some(user))
    }
}
