//! `Invitation`: what is stored of one.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    EmailAddress, InvitationId, KeyId, OperatorId, ProjectId, RoleName, ServiceId, TenantId,
    Timestamp, UserId,
    one_time::{OneTimeDigest, OneTimeId, OneTimeKind},
};

/// An invitation of an address into a tenant.
///
/// ```
/// use tenancy_core::{Timestamp, invitation::Invitation};
///
/// fn shown(invitation: &Invitation, now: Timestamp) -> String {
///     format!("{}: {}, {}", invitation.email, invitation.role, invitation.state_at(now))
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invitation {
    /// Its id, which is no secret.
    pub id: InvitationId,
    /// The tenant.
    pub tenant: TenantId,
    /// The address that was invited.
    pub email: EmailAddress,
    /// The role that it gives in the tenant.
    pub role: RoleName,
    /// The roles that it gives in projects.
    pub projects: Vec<ProjectRole>,
    /// Who has to be able to give these roles when it is accepted.
    pub inviter: Inviter,
    /// What has become of it, as it is stored. [`state_at`](Self::state_at) knows of its end.
    pub state: InvitationState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its newest link was made.
    pub sent_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it was sent anew.
    pub rotation: u32,
    /// What is stored of its token.
    pub digest: OneTimeDigest,
    /// Who has accepted it.
    pub accepted_by: Option<UserId>,
}

impl Invitation {
    /// For how long an invitation stays stored after its end, whatever has become of it: 90 days.
    pub const KEPT_FOR: Duration = Duration::from_secs(90 * 24 * 3_600);

    /// An invitation that is open.
    #[must_use]
    #[allow(
        clippy::too_many_arguments,
        reason = "for stores, which have all of it in a row"
    )]
    pub fn new(
        id: InvitationId,
        tenant: TenantId,
        email: EmailAddress,
        role: RoleName,
        inviter: Inviter,
        digest: OneTimeDigest,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant,
            email,
            role,
            projects: Vec::new(),
            inviter,
            state: InvitationState::Pending,
            created_at,
            sent_at: created_at,
            expires_at,
            rotation: 0,
            digest,
            accepted_by: None,
        }
    }

    /// Whether a member answers for it.
    #[must_use]
    pub fn is_by(&self, member: UserId) -> bool {
        self.inviter.user() == Some(member)
    }

    /// What has become of it by then: one that is open and past its end has expired.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> InvitationState {
        match self.state {
            InvitationState::Pending if self.expires_at <= now => InvitationState::Expired,
            state => state,
        }
    }

    /// Which token is its newest.
    pub(crate) const fn token(&self) -> OneTimeId {
        OneTimeId::new(OneTimeKind::Invitation, self.id.as_uuid()).at(self.rotation)
    }
}

/// A role in a project.
///
/// ```
/// use tenancy_core::{ProjectId, invitation::ProjectRole};
///
/// let role = ProjectRole { project: ProjectId::new(), role: "viewer".parse()? };
/// # drop(role);
/// # Ok::<(), tenancy_core::InvalidRoleName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a pair with names")]
pub struct ProjectRole {
    /// The project.
    pub project: ProjectId,
    /// The role there.
    pub role: RoleName,
}

/// Who answers for an invitation.
///
/// ```
/// use tenancy_core::{UserId, invitation::Inviter};
///
/// let ann = UserId::new();
/// let by_ann = Inviter::Member { user: ann, permission: "members:invite".into() };
/// assert_eq!(by_ann.user(), Some(ann));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inviter {
    /// A member: has to be one still when the invitation is accepted, hold this permission, and hold what its roles give.
    Member {
        /// The member.
        user: UserId,
        /// The permission by which it was made.
        permission: String,
    },
    /// A member by an API key: all that is asked of the member, and that the key, or one that has taken its place by
    /// rotation, can be used still and its scopes cover all of that.
    Key {
        /// The key.
        key: KeyId,
        /// The member who had made it.
        user: UserId,
        /// The permission by which the invitation was made.
        permission: String,
    },
    /// A service account. What it may do is said by its credential alone, so nothing is asked at the acceptance; the
    /// invitation is taken back when the account's tokens are: see
    /// [`TokenSubject::Service`](crate::TokenSubject::Service).
    Account(ServiceId),
    /// An operator whom the engine knows: the invitation is taken back when the operator is disabled, or may change access no
    /// more.
    Operator(OperatorId),
    /// The service itself, a job, or whom the application takes for an operator: the invitation is good until it is revoked.
    Service,
}

impl Inviter {
    /// The member who answers for it, if it is one.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::Member { user, .. } | Self::Key { user, .. } => Some(*user),
            Self::Account(_) | Self::Operator(_) | Self::Service => None,
        }
    }
}

/// What has become of an invitation.
///
/// ```
/// use tenancy_core::invitation::InvitationState;
///
/// assert_eq!(InvitationState::from_stored("pending"), Some(InvitationState::Pending));
/// assert_eq!(InvitationState::Revoked.to_string(), "revoked");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvitationState {
    /// It can be accepted.
    Pending,
    /// Somebody has become a member by it.
    Accepted,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
}

impl InvitationState {
    /// The name under which the state is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Pending, Self::Accepted, Self::Revoked, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl fmt::Display for InvitationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
