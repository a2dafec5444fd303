//! What a caller may hand out and take away: no more than the caller holds where it will count.

use std::sync::Arc;

use super::Admin;
use crate::{
    Actor, Membership, PermissionSet, ProjectId, RoleMask, RoleName, RoleSeen, RoleTable,
    StoreError, StoreErrorKind, SystemRole, TenantContext, TenantId, UserId,
    engine::load::{MembershipOf, RolesOf, load},
    invitation::ProjectRole,
};

/// What takes the place of a role.
pub(super) enum By<'a> {
    /// It is taken away.
    Nothing,
    /// This one.
    Role(&'a RoleName),
    /// The same, which counts again.
    Itself,
}

/// A caller as somebody who gives and takes roles.
pub(super) struct Giver {
    role: Option<RoleName>,
    /// What the caller holds where the change counts, whatever the tenant's plan leaves out: a plan can change
    /// tomorrow, and nobody may hold more then than the giver.
    held: PermissionSet,
}

impl Admin {
    /// Whether a caller may take a user's role in the tenant away, and give this one. Returns which role that was
    /// decided on.
    pub(super) async fn may_replace(
        &self,
        caller: Option<&TenantContext>,
        (tenant, user): (TenantId, UserId),
        by: By<'_>,
    ) -> Result<RoleSeen, StoreError> {
        let Some(caller) = caller else {
            return Ok(RoleSeen::Any);
        };
        let table = self.table(tenant).await?;
        let giver = self.giver(caller, &table).await?;
        let has = self.role_of(tenant, user).await?;
        if caller.user_id() == Some(user) && has.as_ref() != caller.role() {
            // Whoever has lost a role would take it back where nobody has heard of it yet.
            return Err(StoreError::caller_changed());
        }
        let by = match by {
            By::Nothing => None,
            By::Role(role) => Some(role),
            By::Itself => has.as_ref(),
        };
        giver.may_name(&table, has.as_ref(), by)?;
        let before = mask(&table, has.as_ref());
        let mut changed = before.effective();
        if let Some(by) = by {
            let after = mask(&table, Some(by));
            changed = differ(before.effective(), after.effective())
                // What the former role denies may be allowed by a role in a project from now on.
                .union(
                    before
                        .deny
                        .difference(after.deny)
                        .intersection(declared(&table)),
                );
        }
        giver.covers(changed, by.or(has.as_ref()))?;
        Ok(has.into())
    }

    /// The same of a user's role in a project. Returns which one that was decided on.
    pub(super) async fn may_replace_in(
        &self,
        project: ProjectId,
        caller: Option<TenantContext>,
        (tenant, user): (TenantId, UserId),
        by: Option<&RoleName>,
    ) -> Result<RoleSeen, StoreError> {
        let Some(caller) = caller else {
            return Ok(RoleSeen::Any);
        };
        let directory = &self.author.engine.inner().directory;
        let has = directory.find_project_role(tenant, project, user).await;
        let has = has.map_err(StoreError::unavailable)?;
        let table = self.table(tenant).await?;
        let giver = self.giver(&caller, &table).await?;
        giver.may_name(&table, has.as_ref(), by)?;
        let in_tenant = mask(&table, self.role_of(tenant, user).await?.as_ref());
        let with = |role| in_tenant.combine(mask(&table, role)).effective();
        giver.covers(differ(with(has.as_ref()), with(by)), by.or(has.as_ref()))?;
        Ok(has.into())
    }

    /// Whether a caller may make owners of others.
    pub(super) async fn may_make_owners(&self, caller: &TenantContext) -> Result<(), StoreError> {
        let table = self.table(caller.tenant_id()).await?;
        let giver = self.giver(caller, &table).await?;
        giver.may_name(&table, None, Some(&SystemRole::Owner.name()))
    }

    /// Whether a caller may have somebody vouch for every user of the tenant: an owner, whose credential may be used for
    /// all that there is.
    pub(super) async fn may_speak_for_everybody(
        &self,
        caller: &TenantContext,
    ) -> Result<(), StoreError> {
        let table = self.table(caller.tenant_id()).await?;
        let giver = self.giver(caller, &table).await?;
        let is_an_owner = giver.role.as_ref().is_some_and(is_owner);
        if is_an_owner && giver.holds(declared(&table)) {
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::Forbidden,
            "an issuer vouches for every member of the tenant; an owner has to put it, with a credential that may be \
             used for everything and is no API key",
        ))
    }

    /// Whether a caller may have the tenant's roles come to something else.
    pub(super) async fn may_redefine(
        &self,
        caller: Option<TenantContext>,
        before: &RoleTable,
        after: &RoleTable,
    ) -> Result<(), StoreError> {
        let Some(caller) = caller else { return Ok(()) };
        let giver = self.giver(&caller, before).await?;
        for role in before.roles().chain(after.roles()) {
            let changed = match (before.mask(role), after.mask(role)) {
                (Some(before), Some(after)) => differ(before.effective(), after.effective())
                    // What one role denies counts for whoever has another one besides.
                    .union(differ(before.deny, after.deny)),
                // Nobody can have counted on it.
                (None, Some(after)) => after.effective(),
                // Whoever has it may do nothing from now on, also by a role in a project.
                (Some(gone), None) => gone.effective().union(gone.deny),
                (None, None) => PermissionSet::EMPTY,
            };
            // One that is mended denied everything: then what it denies is every permission.
            giver.covers(changed.intersection(declared(before)), Some(role))?;
        }
        Ok(())
    }

    /// Whether a caller may offer these roles to somebody who is no member yet.
    pub(in crate::engine) async fn may_offer(
        &self,
        caller: &TenantContext,
        role: &RoleName,
        projects: &[ProjectRole],
    ) -> Result<(), StoreError> {
        let table = self.table(caller.tenant_id()).await?;
        let giver = self.giver(caller, &table).await?;
        giver.may_offer(&table, role, projects)
    }

    /// Whether a member may, who is not calling: by the role that the member has, by a credential of this scope, and with
    /// this permission.
    pub(in crate::engine) async fn member_may_offer(
        &self,
        (member, scope): (&Membership, PermissionSet),
        permission: &str,
        role: &RoleName,
        projects: &[ProjectRole],
    ) -> Result<(), StoreError> {
        let table = self.table(member.tenant).await?;
        let mut held = mask(&table, Some(&member.role));
        if is_owner(&member.role) {
            // As for an owner who is calling.
            held.allow = declared(&table);
        }
        let held = held.effective().intersection(scope);
        let permission = self.author.engine.permissions().id(permission);
        if permission.is_none_or(|permission| !held.contains(permission)) {
            return Err(more_than_held(role));
        }
        let giver = Giver {
            role: Some(member.role.clone()),
            held,
        };
        giver.may_offer(&table, role, projects)
    }

    /// Whether a role gives no more than a member's: what somebody may get whom nobody has chosen.
    pub(in crate::engine) async fn is_member_like(
        &self,
        tenant: TenantId,
        role: &RoleName,
    ) -> Result<bool, StoreError> {
        let table = self.table(tenant).await?;
        let member = mask(&table, Some(&SystemRole::Member.name())).effective();
        let is_above = matches!(
            SystemRole::from_name(role),
            Some(SystemRole::Owner | SystemRole::Admin)
        );
        let given = table.mask(role).filter(|mask| *mask != RoleMask::SEALED);
        Ok(!is_above && given.is_some_and(|mask| mask.effective().is_subset(member)))
    }

    pub(super) async fn table(&self, tenant: TenantId) -> Result<Arc<RoleTable>, StoreError> {
        let engine = &self.author.engine;
        let table = load::<RolesOf>(engine, &tenant).await;
        let table = table.map_err(StoreError::unavailable)?;
        Ok(table.unwrap_or_else(|| Arc::clone(&engine.inner().base_roles)))
    }

    async fn role_of(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<RoleName>, StoreError> {
        let member = load::<MembershipOf>(&self.author.engine, &(tenant, user)).await;
        let member = member.map_err(StoreError::unavailable)?;
        Ok(member.map(|member| member.role.clone()))
    }

    pub(super) async fn giver(
        &self,
        caller: &TenantContext,
        table: &RoleTable,
    ) -> Result<Giver, StoreError> {
        let principal = caller.principal();
        let subject = match (&principal.actor, principal.on_behalf_of) {
            (Actor::User(user), _) => *user,
            (Actor::Key(_) | Actor::Operator(_), Some(user)) => user,
            // The service itself may do everything, and a service account what its credential says.
            (actor, _) => {
                let everything = actor.is_service_itself();
                return Ok(Giver {
                    role: everything.then(|| SystemRole::Owner.name()),
                    held: principal.scope,
                });
            }
        };
        let tenant = caller.tenant_id();
        let role = self.role_of(tenant, subject).await?;
        let mut held = mask(table, role.as_ref());
        if role.as_ref().is_some_and(is_owner) {
            // Owners decide about every role, also about what no role holds by its rank.
            held.allow = declared(table);
        }
        if let Some(project) = caller.project_id() {
            let directory = &self.author.engine.inner().directory;
            let role = directory.find_project_role(tenant, project, subject).await;
            let role = role.map_err(StoreError::unavailable)?;
            held = held.combine(mask(table, role.as_ref()));
        }
        Ok(Giver {
            role: caller.role().cloned(),
            held: held.effective().intersection(principal.scope),
        })
    }
}

impl Giver {
    /// Whether these roles may change hands at all.
    fn may_name(
        &self,
        table: &RoleTable,
        has: Option<&RoleName>,
        gets: Option<&RoleName>,
    ) -> Result<(), StoreError> {
        let is_an_owner = self.role.as_ref().is_some_and(is_owner);
        let owners = has.into_iter().chain(gets).find(|role| is_owner(role));
        if let Some(owners) = owners.filter(|_| !is_an_owner) {
            return Err(more_than_held(owners));
        }
        match gets {
            Some(role) if table.mask(role).is_none_or(|mask| mask == RoleMask::SEALED) => {
                let message = format!(
                    "the role `{role}` is not defined, or has a fault and denies everything; define it first, or \
                     give another one"
                );
                Err(StoreError::new(StoreErrorKind::Forbidden, message))
            }
            Some(role) => self.covers(mask(table, Some(role)).effective(), Some(role)),
            None => Ok(()),
        }
    }

    /// Whether a caller holds all of this.
    pub(super) fn holds(&self, these: PermissionSet) -> bool {
        these.is_subset(self.held)
    }

    /// Whether somebody who has nothing yet may be given these.
    fn may_offer(
        &self,
        table: &RoleTable,
        role: &RoleName,
        projects: &[ProjectRole],
    ) -> Result<(), StoreError> {
        self.may_name(table, None, Some(role))?;
        let in_tenant = mask(table, Some(role));
        for one in projects {
            self.may_name(table, None, Some(&one.role))?;
            let there = in_tenant.combine(mask(table, Some(&one.role)));
            self.covers(there.effective(), Some(&one.role))?;
        }
        Ok(())
    }

    fn covers(&self, changed: PermissionSet, role: Option<&RoleName>) -> Result<(), StoreError> {
        match role {
            Some(role) if !self.holds(changed) => Err(more_than_held(role)),
            _ => Ok(()),
        }
    }
}

/// What a role comes to: nothing without one, and a denial of everything if nobody defined it.
pub(super) fn mask(table: &RoleTable, role: Option<&RoleName>) -> RoleMask {
    role.map_or(RoleMask::NONE, |role| {
        table.mask(role).unwrap_or(RoleMask::SEALED)
    })
}

fn is_owner(role: &RoleName) -> bool {
    SystemRole::from_name(role) == Some(SystemRole::Owner)
}

/// Every permission that there is, also those that no system role holds.
fn declared(table: &RoleTable) -> PermissionSet {
    table.registry().iter().map(|(id, _)| id).collect()
}

const fn differ(one: PermissionSet, other: PermissionSet) -> PermissionSet {
    one.difference(other).union(other.difference(one))
}

fn more_than_held(role: &RoleName) -> StoreError {
    StoreError::new(
        StoreErrorKind::Forbidden,
        format!(
            "the role `{role}` is more than the caller may give or take away; somebody who holds as much has \
             to do it"
        ),
    )
}
