//! Managing a directory: one trait for each capability, which changes and lists.

use async_trait::async_trait;

use super::{MemberFilter, StoreError, TenantFilter};
use crate::{
    ChangeRecord, DomainName, MemberHoldings, Membership, MembershipChange, MembershipRemoval,
    Project, ProjectFilter, ProjectId, ProjectMembership, RevokedBefore, RoleDefinition, RoleName,
    RoleSeen, Settings, Slug, TenantId, TenantKey, TenantMembership, TenantRecord, TenantStatus,
    Timestamp, TokenSubject, UserId,
    invitation::{SeatLimit, Seated},
};

/// Adds tenants, changes their records, and lists them.
///
/// Each call of this and the other stores is one transaction. It makes the change, advances the tenant's
/// [generation](super::GenerationFeed#what-moves-a-generation-on) where the change concerns identity or
/// rights, and writes the entry and the events of the [`ChangeRecord`]: all of it or nothing.
///
/// Where the record names a [caller](ChangeRecord::caller), it looks at that membership in the transaction, by
/// [`CallerSeen::check`](crate::CallerSeen::check), and changes nothing for who is it no more.
///
/// Removing what is not there is no error, as long as there is such a tenant. What is another tenant's is not
/// there.
///
/// Listings come in pages, in the order of what they are continued by. A page holds at most `limit` and begins
/// behind `after`; the one that is empty is the last. A listing reads what is stored, and no replica.
#[async_trait]
pub trait TenantStore: Send + Sync {
    /// Adds a tenant; a taken id or slug, or a slug that rests, is a
    /// [`StoreErrorKind::Conflict`](super::StoreErrorKind::Conflict).
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn create_tenant(
        &self,
        tenant: &TenantRecord,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Moves a tenant to another status, if that step is legal from where it stands now.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn set_status(
        &self,
        tenant: TenantId,
        to: TenantStatus,
        record: &ChangeRecord,
    ) -> Result<TenantRecord, StoreError>;

    /// Replaces a tenant's settings.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn set_settings(
        &self,
        tenant: TenantId,
        settings: &Settings,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Puts a tenant on another plan, or on none.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn set_plan(
        &self,
        tenant: TenantId,
        plan: Option<&str>,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// The same, if the tenant is on this plan now: `from` as its record has it, such as `pro@2`.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed;
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if it is on another one.
    async fn replace_plan(
        &self,
        tenant: TenantId,
        from: Option<&str>,
        plan: Option<&str>,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Gives a tenant another name for people to read.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn rename(
        &self,
        tenant: TenantId,
        name: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Gives a tenant another slug; a taken one is a conflict. The old one names nobody then, and rests for
    /// [`Slug::REST`]: to take it before that is a conflict for every other tenant, and the tenant itself may take it
    /// back. A tenant with [`Slug::MAX_RESTING`] resting slugs can't let go of another one: a conflict too.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn set_slug(
        &self,
        tenant: TenantId,
        slug: &Slug,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Tenants in the order of their ids.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_tenants(
        &self,
        filter: &TenantFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRecord>, StoreError>;
}

/// Gives tenants further names, takes them away and lists them: custom domains, and ids in other systems.
#[async_trait]
pub trait NameStore: Send + Sync {
    /// Makes a custom domain name this tenant; a taken domain is a conflict.
    ///
    /// # Security
    /// The caller has made sure that the tenant owns the domain.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn bind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Makes another system's id name this tenant; a taken id is a conflict.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Makes a custom domain of this tenant name nobody.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn unbind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Makes another system's id of this tenant name nobody.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn unbind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// A tenant's domains, and then its ids in other systems by system and id, in the order of their bytes. Its
    /// slug is in its record and not among them.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_names(
        &self,
        tenant: TenantId,
        after: Option<&TenantKey>,
        limit: u32,
    ) -> Result<Vec<TenantKey>, StoreError>;
}

/// Writes and lists memberships.
///
/// # Security
/// A tenant that has an active owner keeps one. Whatever would take the last one away is a
/// [`Conflict`](super::StoreErrorKind::Conflict), [`StoreError::last_owner`]: another role or status, a removal, and
/// two of them at once on two connections. A suspended owner does not count, and neither does another tenant's. A
/// tenant that has none yet may get members. A tenant that is deleted may lose them all.
///
/// A change that takes away what an [offer of ownership](crate::OwnershipStore) rests on ends the offer.
#[async_trait]
pub trait MembershipStore: Send + Sync {
    /// Adds or replaces a membership, if what was seen of it is still so. Who was no member has no role in the tenant's
    /// projects afterwards.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_membership(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// The same where seats are limited: who is no member yet needs one. They are counted in the transaction that adds
    /// the member, and calls that concern the tenant's seats wait for each other.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_membership_within(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        seats: SeatLimit,
        record: &ChangeRecord,
    ) -> Result<Seated, StoreError>;

    /// Changes a membership that is there, as [`MembershipChange::apply`] does, if what was seen of it is still so,
    /// and returns it. One that is not there is [`NotFound`](super::StoreErrorKind::NotFound).
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn change_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        change: &MembershipChange,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<Membership, StoreError>;

    /// Removes a membership, and with it what would wait for a user who comes back: the user's roles in the tenant's
    /// projects, the API keys that the user has made in the tenant and the open invitations that the user answers for,
    /// which are revoked, and what operators do as the user, which ends. Removing none is no error.
    ///
    /// Keys of a [handover](MembershipRemoval::handover) that are not revoked get the new holder as their creator, and
    /// their new scopes, in place of that. It is a [`Conflict`](super::StoreErrorKind::Conflict) if the new holder is
    /// no active member, or if a key does not have the scopes that were seen any more.
    ///
    /// # Security
    /// A key that is issued for the user meanwhile is revoked too, or not issued.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        removal: &MembershipRemoval,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// What hangs on a member at this moment; `None` if the user is no member.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn find_holdings(
        &self,
        tenant: TenantId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<MemberHoldings>, StoreError>;

    /// A tenant's members in the order of their ids, whatever the status of their membership.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_members(
        &self,
        tenant: TenantId,
        filter: &MemberFilter,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError>;

    /// The tenants that a user is a member of, in the order of their ids, each with the membership. Tenants that
    /// are deleted are not told.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_tenants_of(
        &self,
        user: UserId,
        filter: &MemberFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantMembership>, StoreError>;
}

/// Writes and lists projects, and their members' roles.
#[async_trait]
pub trait ProjectStore: Send + Sync {
    /// Adds or replaces a project; its tenant never changes.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_project(&self, project: &Project, record: &ChangeRecord)
    -> Result<(), StoreError>;

    /// Adds or replaces a member's role in a project, if what was seen of it is still so. Who has no membership of the
    /// tenant is [`NotFound`](super::StoreErrorKind::NotFound), [`StoreError::no_membership`].
    ///
    /// # Security
    /// A role that is given while the membership ends is refused, or ends with it: none waits for whoever comes back.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Removes a project, and with it every user's role in it. API keys that are confined to it are revoked,
    /// as of this moment where they were not before; their records stay, and name no project any more. While
    /// the application has rows that refer to the project, it is a conflict.
    ///
    /// # Security
    /// A key must not outlive its project: confined to nothing, it could do more than before. A key that is
    /// issued meanwhile is revoked too, or not issued.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn remove_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Takes a user's role in a project away, if what was seen of it is still so.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn remove_project_membership(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// A tenant's projects in the order of their ids.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_projects(
        &self,
        tenant: TenantId,
        filter: &ProjectFilter,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError>;

    /// The members of a project of this tenant with their roles, in the order of the users' ids.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_project_members(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ProjectMembership>, StoreError>;
}

/// Writes and lists the roles that tenants define for themselves.
#[async_trait]
pub trait RoleStore: Send + Sync {
    /// Adds or replaces a role of the tenant's own, of which there are
    /// [`RoleTable::MAX_ROLES`](crate::RoleTable::MAX_ROLES) at most: one more is
    /// [`StoreErrorKind::Invalid`](super::StoreErrorKind::Invalid).
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_role(
        &self,
        tenant: TenantId,
        role: &RoleDefinition,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Removes a role of the tenant's own. Its members then have a role that does not exist, which allows
    /// nothing.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn remove_role(
        &self,
        tenant: TenantId,
        role: &RoleName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// All of the tenant's own roles, by name; there are too few for pages. A definition that can't be read
    /// is a role all the same: [`RoleDefinition::unreadable`].
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, StoreError>;
}

/// Takes tokens back.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Raises a token revocation; one that is as new already stays, and none ever moves back. That of a service account
    /// takes back the open [invitations](crate::invitation::Inviter::Account) that it has made, in the same transaction: a
    /// token revocation is forgotten before some of them end.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn revoke_before(
        &self,
        of: &TokenSubject,
        to: RevokedBefore,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Forgets every token revocation that is older than this one, and returns how many were. What is recorded is
    /// written if there were any.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn forget_token_revocations(
        &self,
        before: RevokedBefore,
        record: &ChangeRecord,
    ) -> Result<u64, StoreError>;
}

/// A store with every capability.
pub trait DirectoryStore:
    TenantStore + NameStore + MembershipStore + ProjectStore + RoleStore + RevocationStore + 'static
{
}

impl<S> DirectoryStore for S where
    S: TenantStore
        + NameStore
        + MembershipStore
        + ProjectStore
        + RoleStore
        + RevocationStore
        + 'static
{
}
