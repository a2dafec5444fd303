//! What a caller may hand out and take away: no more than the caller holds where it will count.

use std::sync::Arc;

use super::Admin;
use crate::{
    PermissionSet, ProjectId, RoleMask, RoleName, RoleTable, StoreError, StoreErrorKind,
    TenantContext, TenantId, UserId,
    engine::load::{MembershipOf, RolesOf, load},
};

impl Admin {
    /// Whether a caller may take a user's role in the tenant away, and give this one.
    pub(super) async fn may_replace(
        &self,
        caller: Option<TenantContext>,
        (tenant, user): (TenantId, UserId),
        by: Option<&RoleName>,
    ) -> Result<(), StoreError> {
        let Some(caller) = caller else { return Ok(()) };
        let member = load::<MembershipOf>(&self.author.engine, &(tenant, user)).await;
        let member = member.map_err(StoreError::unavailable)?;
        let has = member.as_ref().map(|member| &member.role);
        let caller = self.caller_in(caller, None).await?;
        let table = self.table(tenant).await?;
        let mut roles = has.into_iter().chain(by);
        roles.try_for_each(|role| may_grant(&table, &caller, role))
    }

    /// The same of a user's role in a project.
    pub(super) async fn may_replace_in(
        &self,
        project: ProjectId,
        caller: Option<TenantContext>,
        (tenant, user): (TenantId, UserId),
        by: Option<&RoleName>,
    ) -> Result<(), StoreError> {
        let Some(caller) = caller else { return Ok(()) };
        let directory = &self.author.engine.inner().directory;
        let has = directory.find_project_role(tenant, project, user).await;
        let has = has.map_err(StoreError::unavailable)?;
        let caller = self.caller_in(caller, Some(project)).await?;
        let table = self.table(tenant).await?;
        let mut roles = has.iter().chain(by);
        roles.try_for_each(|role| may_grant(&table, &caller, role))
    }

    /// Whether a caller may have the tenant's roles come to something else.
    pub(super) async fn may_redefine(
        &self,
        caller: Option<TenantContext>,
        before: Option<&RoleTable>,
        after: Option<&RoleTable>,
    ) -> Result<(), StoreError> {
        let Some(caller) = caller else { return Ok(()) };
        let held = self.caller_in(caller, None).await?.permissions();
        let names = |table: Option<&RoleTable>| {
            let roles = table.into_iter().flat_map(RoleTable::roles);
            roles.cloned().collect::<Vec<_>>()
        };
        let mask = |table: Option<&RoleTable>, role: &RoleName| {
            // Of a role that denies everything because of a problem nobody has anything.
            let mask = table.and_then(|table| table.mask(role));
            mask.filter(|mask| *mask != RoleMask::SEALED)
        };
        for role in names(before).into_iter().chain(names(after)) {
            let changes = changes(mask(before, &role), mask(after, &role));
            if !changes.is_subset(held) {
                return Err(more_than_held(&role));
            }
        }
        Ok(())
    }

    async fn table(&self, tenant: TenantId) -> Result<Arc<RoleTable>, StoreError> {
        let engine = &self.author.engine;
        let table = load::<RolesOf>(engine, &tenant).await;
        let table = table.map_err(StoreError::unavailable)?;
        Ok(table.unwrap_or_else(|| Arc::clone(&engine.inner().base_roles)))
    }

    /// The caller in this project, or in the tenant as a whole: what another project adds counts there alone.
    async fn caller_in(
        &self,
        caller: TenantContext,
        project: Option<ProjectId>,
    ) -> Result<TenantContext, StoreError> {
        if caller.project_id() == project {
            return Ok(caller);
        }
        if caller.principal().project.is_some() {
            let message = "the caller's credential is confined to a project, and this change is not in it; \
                           somebody whose credential is not has to make it";
            return Err(StoreError::new(StoreErrorKind::Forbidden, message));
        }
        let engine = &self.author.engine;
        match engine.readmit_in(&caller, project).await {
            Ok(caller) => Ok(caller),
            Err(refusal) if refusal.kind().status() >= 500 => {
                Err(StoreError::unavailable(refusal.to_string()))
            }
            // There is no such project for the caller, and whether there is for others is the store's to say.
            Err(_) if project.is_some() => engine
                .readmit_in(&caller, None)
                .await
                .map_err(|refusal| StoreError::unavailable(refusal.to_string())),
            Err(refusal) => Err(StoreError::new(
                StoreErrorKind::Forbidden,
                format!("the caller is admitted no more: {}", refusal.reason()),
            )),
        }
    }
}

fn may_grant(table: &RoleTable, caller: &TenantContext, role: &RoleName) -> Result<(), StoreError> {
    // Who has a role that nobody defined has nothing.
    let is_defined = table.mask(role).is_some();
    if is_defined && !table.may_grant(caller.role(), caller.permissions(), role) {
        return Err(more_than_held(role));
    }
    Ok(())
}

/// What those who have a role may do more or less than before.
fn changes(before: Option<RoleMask>, after: Option<RoleMask>) -> PermissionSet {
    let differ = |one: PermissionSet, other: PermissionSet| {
        one.difference(other).union(other.difference(one))
    };
    match (before, after) {
        (Some(before), Some(after)) => differ(before.effective(), after.effective())
            // What one role denies counts for whoever has another one besides.
            .union(differ(before.deny, after.deny)),
        (Some(only), None) | (None, Some(only)) => only.effective(),
        (None, None) => PermissionSet::EMPTY,
    }
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
