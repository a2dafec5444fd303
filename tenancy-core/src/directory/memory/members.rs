//! Memberships in memory.

use async_trait::async_trait;

use super::{MemoryDirectory, State, list::page};
use crate::{
    ChangeRecord, KeyHandover, KeyId, MemberFilter, MemberHoldings, Membership, MembershipChange,
    MembershipRemoval, MembershipStatus, MembershipStore, ProjectId, ProjectMembership, RoleSeen,
    StoreError, TenantId, TenantMembership, TenantStatus, Timestamp, UserId,
    invitation::{SeatLimit, Seated},
    key::{ApiKey, KeyState},
};

impl State {
    pub(super) fn is_active_member(&self, tenant: TenantId, user: UserId) -> bool {
        let member = self.memberships.get(&(tenant, user));
        member.is_some_and(|member| member.status == MembershipStatus::Active)
    }

    pub(super) fn is_active_owner(&self, tenant: TenantId, user: UserId) -> bool {
        let member = self.memberships.get(&(tenant, user));
        member.is_some_and(Membership::is_active_owner)
    }

    /// Whether somebody but this user is an active owner of the tenant.
    fn others_own(&self, tenant: TenantId, user: UserId) -> bool {
        self.memberships.values().any(|member| {
            member.tenant == tenant && member.user != user && member.is_active_owner()
        })
    }

    fn seen(&self, tenant: TenantId, user: UserId, seen: &RoleSeen) -> Result<(), StoreError> {
        let found = self.memberships.get(&(tenant, user));
        seen.check(found.map(|member| &member.role))
    }

    /// Whether a membership may become this, or go, with an owner left.
    fn keeps_an_owner(
        &mut self,
        tenant: TenantId,
        user: UserId,
        after: Option<&Membership>,
    ) -> Result<(), StoreError> {
        let is_deleted = self.tenant(tenant)?.status == TenantStatus::Deleted;
        let owns = after.is_some_and(Membership::is_active_owner);
        let is_last = self.is_active_owner(tenant, user) && !self.others_own(tenant, user);
        if is_last && !owns && !is_deleted {
            return Err(StoreError::last_owner());
        }
        Ok(())
    }

    /// Writes what was checked. An offer of ownership ends with what it rests on.
    pub(super) fn set_membership(&mut self, membership: Membership) -> Result<(), StoreError> {
        let (tenant, user) = (membership.tenant, membership.user);
        self.touch(tenant)?;
        self.memberships.insert((tenant, user), membership);
        self.end_stale_offer(tenant);
        Ok(())
    }

    fn put_membership(&mut self, membership: Membership) -> Result<(), StoreError> {
        self.keeps_an_owner(membership.tenant, membership.user, Some(&membership))?;
        self.add_or_replace(membership)
    }

    /// Writes what was checked. Who was no member starts afresh.
    fn add_or_replace(&mut self, membership: Membership) -> Result<(), StoreError> {
        let (tenant, user) = (membership.tenant, membership.user);
        if !self.memberships.contains_key(&(tenant, user)) {
            self.forget_roles(tenant, user);
        }
        self.set_membership(membership)
    }

    /// Forgets a user's roles in projects: who leaves has none left, and who joins starts afresh.
    pub(super) fn forget_roles(&mut self, tenant: TenantId, user: UserId) {
        self.project_roles
            .retain(|(of, _, who), _| (*of, *who) != (tenant, user));
    }

    /// The live keys that a user has made in a tenant, by id.
    fn keys_of(
        &self,
        tenant: TenantId,
        user: UserId,
        at: Timestamp,
    ) -> impl Iterator<Item = &ApiKey> {
        let is_live =
            move |key: &&ApiKey| matches!(key.state_at(at), KeyState::Active | KeyState::Disabled);
        let own = move |key: &&ApiKey| key.tenant == tenant && key.creator == user;
        self.keys.values().filter(own).filter(is_live)
    }

    /// Whether keys can be handed over as they were seen.
    fn can_hand_over(
        &self,
        tenant: TenantId,
        user: UserId,
        handover: &KeyHandover,
    ) -> Result<(), StoreError> {
        if handover.to == user || !self.is_active_member(tenant, handover.to) {
            return Err(StoreError::no_key_holder());
        }
        let is_other = |id: KeyId, had: &[crate::Grant]| {
            let key = self.keys.get(&id);
            let key = key.filter(|key| key.tenant == tenant && key.creator == user);
            key.is_none_or(|key| key.scopes != had)
        };
        if handover.keys.iter().any(|one| is_other(one.key, &one.had)) {
            return Err(StoreError::handed_key_changed());
        }
        Ok(())
    }
}

#[async_trait]
impl MembershipStore for MemoryDirectory {
    async fn put_membership(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(membership.tenant)?;
            state.seen(membership.tenant, membership.user, seen)?;
            state.put_membership(membership.clone())
        })
    }

    async fn put_membership_within(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        seats: SeatLimit,
        record: &ChangeRecord,
    ) -> Result<Seated, StoreError> {
        let mut state = self.write();
        let (tenant, user) = (membership.tenant, membership.user);
        state.tenant(tenant)?;
        state.require_caller(record)?;
        state.seen(tenant, user, seen)?;
        state.keeps_an_owner(tenant, user, Some(membership))?;
        if let full @ Seated::Full { .. } = state.seat(tenant, user, seats) {
            return Ok(full);
        }
        let recorded = self.outbox.commit(record);
        recorded.map_err(StoreError::unavailable)?;
        state.add_or_replace(membership.clone())?;
        Ok(Seated::Done)
    }

    async fn change_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        change: &MembershipChange,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<Membership, StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?;
            state.seen(tenant, user, seen)?;
            let found = state.memberships.get(&(tenant, user)).cloned();
            let mut member = found.ok_or_else(|| StoreError::no_membership(tenant, user))?;
            change.apply(&mut member)?;
            state.put_membership(member.clone())?;
            Ok(member)
        })
    }

    async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        removal: &MembershipRemoval,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?;
            state.seen(tenant, user, &removal.seen)?;
            state.keeps_an_owner(tenant, user, None)?;
            if let Some(handover) = &removal.handover {
                state.can_hand_over(tenant, user, handover)?;
                for one in &handover.keys {
                    let key = state.keys.get_mut(&one.key);
                    if let Some(key) = key.filter(|key| key.revoked_at.is_none()) {
                        key.hand_over(handover.to, &one.gets);
                    }
                }
            }
            for key in state.keys.values_mut() {
                if key.tenant == tenant && key.creator == user {
                    key.revoked_at = key.revoked_at.or(Some(removal.at));
                }
            }
            state.forget_roles(tenant, user);
            state.revoke_invitations_of(tenant, user);
            state.end_impersonations(removal.at, |one| (one.tenant, one.user) == (tenant, user))?;
            state.memberships.remove(&(tenant, user));
            state.end_stale_offer(tenant);
            state.touch(tenant)
        })
    }

    async fn find_holdings(
        &self,
        tenant: TenantId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<MemberHoldings>, StoreError> {
        let state = self.read();
        let Some(membership) = state.memberships.get(&(tenant, user)).cloned() else {
            return Ok(None);
        };
        let most = usize::try_from(MemberHoldings::MAX_KEYS).unwrap_or(usize::MAX);
        let keys = state.keys_of(tenant, user, at).take(most + 1).cloned();
        let most = usize::try_from(MemberHoldings::MAX_INVITATIONS).unwrap_or(usize::MAX);
        let invited = state.open_invitations_of(tenant, user, at);
        let mut holdings = MemberHoldings::new(membership)
            .with_keys(keys.collect())
            .with_invitations(invited.take(most + 1).cloned().collect());
        holdings.others_own = state.others_own(tenant, user);
        let own = |(of, _, who): &(TenantId, ProjectId, UserId)| (*of, *who) == (tenant, user);
        let roles = state.project_roles.iter().filter(|(key, _)| own(key));
        let roles = roles.map(|((_, project, _), role)| {
            ProjectMembership::new(tenant, *project, user, role.clone())
        });
        holdings.project_roles = roles.collect();
        holdings.project_roles.sort_by_key(|role| role.project);
        let offer = state.open_offer(tenant, at);
        holdings.ownership_offer = offer
            .filter(|offer| [offer.from, offer.to].contains(&user))
            .cloned();
        Ok(Some(holdings))
    }

    async fn list_members(
        &self,
        tenant: TenantId,
        filter: &MemberFilter,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError> {
        let state = self.read();
        let these = (state.memberships.values())
            .filter(|member| member.tenant == tenant && filter.matches(member));
        Ok(page(these, |member| member.user, after, limit))
    }

    async fn list_tenants_of(
        &self,
        user: UserId,
        filter: &MemberFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantMembership>, StoreError> {
        let state = self.read();
        let of_user = (state.memberships.values())
            .filter(|member| member.user == user && filter.matches(member));
        let there: Vec<_> = of_user
            .filter_map(|member| {
                let tenant = state.tenants.get(&member.tenant)?;
                let told = tenant.status != TenantStatus::Deleted;
                told.then(|| TenantMembership::new(tenant.clone(), member.clone()))
            })
            .collect();
        Ok(page(&there, |it| it.record.id, after, limit))
    }
}
