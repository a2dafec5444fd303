//! What hangs on a member who goes: told before, and which keys go on with another holder.

use std::sync::Arc;

use crate::{
    Admin, Departure, Grant, HandedKey, KeyFate, KeyHandover, KeysGo, MemberHoldings, Membership,
    MembershipStatus, PermissionSet, Project, ProjectId, RoleSeen, RoleTable, StoreError,
    StoreErrorKind, TenantContext, TenantId, UserId, engine::admin::grants::mask, key::ApiKey,
};

impl Admin {
    /// What hangs on a member, and what becomes of it when the member is
    /// [removed](Self::remove_membership_with) and the keys go there: for a page that warns before. Whoever removes a
    /// member later finds what there is then.
    ///
    /// Also on a user's [own authority](crate::TenantContext::own_authority), about that user.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the user is no member, and where keys go to another holder what
    /// [`remove_membership_with`](Self::remove_membership_with) names.
    pub async fn departure(
        &self,
        tenant: TenantId,
        user: UserId,
        keys: KeysGo,
    ) -> Result<Departure, StoreError> {
        let caller = self.author.permits_about(tenant, user).await?;
        let holdings = self.holdings(tenant, user).await?;
        let heir = match keys {
            KeysGo::Revoked => None,
            KeysGo::To(holder) => Some(self.heir(tenant, &holdings, holder).await?),
        };
        let mut fates = Vec::new();
        for key in holdings.keys {
            let scopes = match &heir {
                Some(heir) => self.handed_scopes(caller.as_ref(), heir, &key).await?,
                None => Vec::new(),
            };
            let fate = if scopes.is_empty() {
                KeyFate::Revoked
            } else {
                KeyFate::HandedOver(scopes)
            };
            fates.push((key, fate));
        }
        Ok(Departure {
            is_last_owner: holdings.membership.is_active_owner() && !holdings.others_own,
            membership: holdings.membership,
            keys: fates,
            has_more_keys: holdings.has_more_keys,
            project_roles: holdings.project_roles,
            invitations: holdings.invitations,
            has_more_invitations: holdings.has_more_invitations,
            ownership_offer: holdings.ownership_offer,
        })
    }

    /// Which keys of a user go on with another holder, and with which scopes; and the user's role on which that rests.
    pub(super) async fn handover(
        &self,
        caller: Option<&TenantContext>,
        (tenant, user): (TenantId, UserId),
        holder: UserId,
    ) -> Result<(RoleSeen, KeyHandover), StoreError> {
        let holdings = self.holdings(tenant, user).await?;
        let heir = self.heir(tenant, &holdings, holder).await?;
        let mut keys = Vec::new();
        for key in holdings.keys {
            let gets = self.handed_scopes(caller, &heir, &key).await?;
            if !gets.is_empty() {
                keys.push(HandedKey::new(key.id, key.scopes, gets));
            }
        }
        let seen = RoleSeen::Role(heir.from.role);
        Ok((seen, KeyHandover::new(holder, keys)))
    }

    async fn holdings(&self, tenant: TenantId, user: UserId) -> Result<MemberHoldings, StoreError> {
        let store = self.stores().membership_store()?;
        let found = store.find_holdings(tenant, user, self.now()).await?;
        found.ok_or_else(|| StoreError::no_membership(tenant, user))
    }

    async fn heir(
        &self,
        tenant: TenantId,
        holdings: &MemberHoldings,
        holder: UserId,
    ) -> Result<Heir, StoreError> {
        if holdings.has_more_keys {
            let message = format!(
                "the user has more than {} live keys, too many to be handed over; revoke some first",
                MemberHoldings::MAX_KEYS
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let member = self
            .author
            .engine
            .inner()
            .directory
            .find_membership(tenant, holder);
        let member = member.await.map_err(StoreError::unavailable)?;
        let active = member.filter(|member| member.status == MembershipStatus::Active);
        let to = active.filter(|member| member.user != holdings.membership.user);
        let table = self.table(tenant).await?;
        let denied = holdings
            .project_roles
            .iter()
            .map(|one| mask(&table, Some(&one.role)).deny);
        Ok(Heir {
            from: holdings.membership.clone(),
            denied_somewhere: denied.fold(PermissionSet::EMPTY, PermissionSet::union),
            to: to.ok_or_else(StoreError::no_key_holder)?,
            table,
        })
    }

    /// The scopes with which a key goes on, written out; none if it can't.
    async fn handed_scopes(
        &self,
        caller: Option<&TenantContext>,
        heir: &Heir,
        key: &ApiKey,
    ) -> Result<Vec<Grant>, StoreError> {
        let permissions = &self.author.engine.inner().permissions;
        let covered = key.scopes.iter().map(|scope| permissions.covered_by(scope));
        let mut both = covered.fold(PermissionSet::EMPTY, PermissionSet::union);
        for member in [&heir.from, &heir.to] {
            both = both.intersection(self.rights_in(key.project, heir, member).await?);
        }
        if key.project.is_none() {
            // In a project that denies it to the one, the other might do it.
            both = both.difference(heir.denied_somewhere);
        }
        if let Some(caller) = caller
            && !self.giver(caller, &heir.table).await?.holds(both)
        {
            let message = format!(
                "the key `{}` may do more than the caller, and is not the caller's to hand over; somebody who holds \
                 as much has to do it",
                key.id
            );
            return Err(StoreError::new(StoreErrorKind::Forbidden, message));
        }
        let names = permissions.names(both).map(str::parse);
        let grants: Result<Vec<Grant>, _> = names.collect();
        grants.map_err(StoreError::unavailable)
    }

    /// What a member's roles come to, in a project or in the tenant as a whole.
    async fn rights_in(
        &self,
        project: Option<ProjectId>,
        heir: &Heir,
        member: &Membership,
    ) -> Result<PermissionSet, StoreError> {
        let mut held = mask(&heir.table, Some(&member.role));
        if let Some(project) = project {
            let directory = &self.author.engine.inner().directory;
            let role = directory.find_project_role(member.tenant, project, member.user);
            let role = role.await.map_err(StoreError::unavailable)?;
            let place = directory.find_project(member.tenant, project).await;
            let place = place.map_err(StoreError::unavailable)?;
            let admits = |place: Project| place.admits(Some(&member.role), role.as_ref());
            if !place.is_some_and(admits) {
                return Ok(PermissionSet::EMPTY);
            }
            held = held.combine(mask(&heir.table, role.as_ref()));
        }
        Ok(held.effective())
    }
}

/// Whose keys go to whom.
struct Heir {
    from: Membership,
    /// What the roles of the one deny in whichever project.
    denied_somewhere: PermissionSet,
    to: Membership,
    table: Arc<RoleTable>,
}
