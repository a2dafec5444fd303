//! Invitations in memory, and the seats that they share with members.

use async_trait::async_trait;

use super::{MemoryDirectory, State, list::page};
use crate::{
    ChangeRecord, DirectoryError, InvitationId, KeyId, Membership, OperatorRight, StoreError,
    TenantId, Timestamp, UserId,
    invitation::{
        Acceptance, Accepted, Invitation, InvitationBatch, InvitationChange, InvitationFilter,
        InvitationState, InvitationStore, Invited, Inviter, SeatDirectory, SeatLimit, Seated,
    },
    key::KeyState,
};

/// How many invitations are removed at most where others are added.
const MAX_SWEPT: usize = 100;

impl State {
    /// The open invitations that a member answers for.
    pub(super) fn open_invitations_of(
        &self,
        tenant: TenantId,
        inviter: UserId,
        at: Timestamp,
    ) -> impl Iterator<Item = &Invitation> {
        self.invitations.values().filter(move |one| {
            one.tenant == tenant
                && one.is_by(inviter)
                && one.state_at(at) == InvitationState::Pending
        })
    }

    /// Takes back the open invitations that a member answers for.
    pub(super) fn revoke_invitations_of(&mut self, tenant: TenantId, inviter: UserId) {
        for one in self.invitations.values_mut() {
            let is_open = one.state == InvitationState::Pending;
            if one.tenant == tenant && is_open && one.is_by(inviter) {
                one.state = InvitationState::Revoked;
            }
        }
    }

    /// Takes back the open invitations that a service account or an operator answers for.
    pub(super) fn revoke_invitations_by(&mut self, inviter: &Inviter) {
        for one in self.invitations.values_mut() {
            let is_open = one.state == InvitationState::Pending;
            if is_open && one.inviter == *inviter {
                one.state = InvitationState::Revoked;
            }
        }
    }

    /// Refuses an operator who may invite nobody any more. One who is kept elsewhere is for that store to know.
    fn may_still_invite(&self, inviter: &Inviter) -> Result<(), StoreError> {
        let Inviter::Operator(id) = inviter else {
            return Ok(());
        };
        let right = OperatorRight::ChangeAccess;
        let known = self.operators.get(id);
        if known.is_some_and(|operator| !operator.may(right)) {
            return Err(StoreError::operator_lacks(right));
        }
        Ok(())
    }

    /// Removes some of a tenant's invitations that have been over for long.
    fn sweep_invitations(&mut self, tenant: TenantId, at: Timestamp) {
        let is_old =
            |one: &&Invitation| one.tenant == tenant && one.expires_at + Invitation::KEPT_FOR < at;
        let old = self.invitations.values().filter(is_old);
        let old: Vec<_> = old.take(MAX_SWEPT).map(|one| one.id).collect();
        for id in old {
            self.invitations.remove(&id);
        }
    }

    /// The members of a tenant, and its open invitations.
    pub(super) fn seats(&self, tenant: TenantId, at: Timestamp) -> u64 {
        let members = self.memberships.keys().filter(|(of, _)| *of == tenant);
        let open = self
            .invitations
            .values()
            .filter(|one| one.tenant == tenant && one.state_at(at) == InvitationState::Pending);
        let seats = members.count().saturating_add(open.count());
        u64::try_from(seats).unwrap_or(u64::MAX)
    }

    /// Whether a user who is no member yet finds a seat.
    pub(super) fn seat(&self, tenant: TenantId, user: UserId, seats: SeatLimit) -> Seated {
        let taken = self.seats(tenant, seats.at);
        let is_there = self.memberships.contains_key(&(tenant, user));
        if is_there || seats.room(taken) > 0 {
            Seated::Done
        } else {
            Seated::Full { taken }
        }
    }

    fn open_of_address(&mut self, new: &Invitation) -> Option<&mut Invitation> {
        self.invitations.values_mut().find(|one| {
            one.tenant == new.tenant
                && one.email == new.email
                && one.state == InvitationState::Pending
        })
    }

    fn invite(&mut self, new: &Invitation, seats: Option<SeatLimit>, at: Timestamp) -> Invited {
        if let Some(before) = self.open_of_address(new) {
            if before.state_at(at) == InvitationState::Pending {
                return Invited::AlreadyInvited;
            }
            before.state = InvitationState::Expired;
        }
        if let Some(seats) = seats {
            let taken = self.seats(new.tenant, seats.at);
            if seats.room(taken) == 0 {
                return Invited::NoSeat { taken };
            }
        }
        self.invitations.insert(new.id, new.clone());
        Invited::Added
    }
}

#[async_trait]
impl InvitationStore for MemoryDirectory {
    async fn add_invitations(
        &self,
        batch: &InvitationBatch,
        seats: Option<SeatLimit>,
    ) -> Result<Vec<Invited>, StoreError> {
        let mut state = self.write();
        state.tenant(batch.tenant)?;
        state.require_caller(&batch.record)?;
        for one in &batch.invitations {
            state.may_still_invite(&one.inviter)?;
        }
        let each = batch.invitations.iter();
        let outcomes: Vec<_> = each.map(|one| state.invite(one, seats, batch.at)).collect();
        if let Some(record) = batch.record_of(&outcomes) {
            let recorded = self.outbox.commit(&record);
            recorded.map_err(StoreError::unavailable)?;
            state.sweep_invitations(batch.tenant, batch.at);
        }
        Ok(outcomes)
    }

    async fn find_invitation(&self, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
        Ok(self.read().invitations.get(&id).cloned())
    }

    async fn change_invitation(
        &self,
        as_read: &Invitation,
        change: &InvitationChange,
        seats: Option<SeatLimit>,
        record: &ChangeRecord,
    ) -> Result<Option<Seated>, StoreError> {
        let mut state = self.write();
        if !is_open_as_read(&state, as_read) {
            return Ok(None);
        }
        state.require_caller(record)?;
        if let (InvitationChange::Resend { at, .. }, Some(seats)) = (change, seats)
            && as_read.state_at(*at) == InvitationState::Expired
        {
            let taken = state.seats(as_read.tenant, seats.at);
            if seats.room(taken) == 0 {
                return Ok(Some(Seated::Full { taken }));
            }
        }
        let changed = change.of(as_read.clone());
        if changed.inviter != as_read.inviter {
            state.may_still_invite(&changed.inviter)?;
        }
        let recorded = self.outbox.commit(record);
        recorded.map_err(StoreError::unavailable)?;
        state.invitations.insert(as_read.id, changed);
        Ok(Some(Seated::Done))
    }

    async fn accept_invitation(
        &self,
        acceptance: &Acceptance,
        record: &ChangeRecord,
    ) -> Result<Accepted, StoreError> {
        let Acceptance {
            invitation,
            user,
            inviter,
            key,
            at,
        } = acceptance;
        let tenant = invitation.tenant;
        let mut state = self.write();
        if !state.tenant(tenant)?.status.is_served() {
            return Ok(Accepted::NotServed);
        }
        if !is_open_as_read(&state, invitation) || invitation.expires_at <= *at {
            return Ok(Accepted::Gone);
        }
        if state.memberships.contains_key(&(tenant, *user)) {
            return Ok(Accepted::AlreadyMember);
        }
        if let Some(inviter) = inviter
            && state.memberships.get(&(tenant, inviter.user)) != Some(inviter)
        {
            return Ok(Accepted::InviterChanged);
        }
        let is_usable = |id: &KeyId| {
            let key = state.keys.get(id).filter(|key| key.tenant == tenant);
            let of = inviter.as_ref().map(|inviter| inviter.user);
            key.is_some_and(|key| key.state_at(*at) == KeyState::Active && Some(key.creator) == of)
        };
        if key.as_ref().is_some_and(|key| !is_usable(key)) {
            return Ok(Accepted::InviterChanged);
        }
        let recorded = self.outbox.commit(record);
        recorded.map_err(StoreError::unavailable)?;
        let mut accepted = invitation.clone();
        accepted.state = InvitationState::Accepted;
        accepted.accepted_by = Some(*user);
        state.invitations.insert(invitation.id, accepted);
        let member = Membership::new(tenant, *user, invitation.role.clone());
        state.forget_roles(tenant, *user);
        state.memberships.insert((tenant, *user), member);
        for one in &invitation.projects {
            if state.projects.contains_key(&(tenant, one.project)) {
                let place = (tenant, one.project, *user);
                state.project_roles.insert(place, one.role.clone());
            }
        }
        state.touch(tenant)?;
        Ok(Accepted::Done)
    }

    async fn list_invitations(
        &self,
        tenant: TenantId,
        filter: &InvitationFilter,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError> {
        let state = self.read();
        let these =
            (state.invitations.values()).filter(|one| one.tenant == tenant && filter.matches(one));
        Ok(page(these, |one| one.id, after, limit))
    }
}

#[async_trait]
impl SeatDirectory for MemoryDirectory {
    async fn count_seats(&self, tenant: TenantId, at: Timestamp) -> Result<u64, DirectoryError> {
        Ok(self.read().seats(tenant, at))
    }
}

fn is_open_as_read(state: &State, as_read: &Invitation) -> bool {
    let found = state.invitations.get(&as_read.id);
    found.is_some_and(|found| found == as_read && found.state == InvitationState::Pending)
}
