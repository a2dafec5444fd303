//! Roles of a tenant's own: stored only if they are understood.

use std::collections::BTreeSet;

use super::Admin;
use crate::{
    ChangeAction, RoleDefinition, RoleName, RoleProblem, RoleProblemKind, RoleTable, StoreError,
    StoreErrorKind, TenantContext, TenantId, change::Change, engine::Tenancy,
};

impl Admin {
    /// Adds or replaces a role of the tenant's own.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if the definition can't be compiled, together with the tenant's other roles:
    /// the role, or another that includes it, would deny everything, or its name is that of a system or
    /// application role. The message names the problem, and is [`RoleTable::problems`]'s. A text that only has
    /// no effect is stored. Two changes at the same time may still make such roles, which deny everything then.
    ///
    /// [`StoreErrorKind::Forbidden`] where the authority is a caller's, and those who have this role, or one that
    /// includes it, could do more or less afterwards that the caller does not hold.
    ///
    /// ```
    /// # use tenancy_core::{RoleDefinition, StoreError, SystemRole, Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("roles:manage")?);
    /// let editor = RoleDefinition::new("editor".parse()?)
    ///     .include(SystemRole::Viewer)
    ///     .allow("notes:write");
    /// admin.put_role(context.tenant_id(), &editor).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_role(&self, id: TenantId, role: &RoleDefinition) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::RolePut, id).to("role", &role.name);
        let stores = self.stores();
        self.make_as(change, async |caller, record| {
            let before = stores.role_store()?.list_roles(id).await?;
            let mut after = before.clone();
            after.retain(|other| other.name != role.name);
            after.push(role.clone());
            if let Some(problem) =
                new_problem(&self.author.engine, &before, &after, Some(&role.name))
            {
                return Err(StoreError::new(
                    StoreErrorKind::Invalid,
                    problem.to_string(),
                ));
            }
            self.redefines(caller, &before, &after).await?;
            stores.role_store()?.put_role(id, role, &record).await
        })
        .await
    }

    /// Removes a role of the tenant's own. Its members may do nothing from then on, until they get another role.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if another role includes it, and would deny everything without it, and a
    /// [`StoreError`] if there is no such tenant. [`StoreErrorKind::Forbidden`] where the authority is a caller's,
    /// and the role allows what the caller does not hold.
    ///
    /// ```
    /// # use tenancy_core::{MemberFilter, Membership, RoleName, StoreError, SystemRole, Tenancy, TenantId, danger};
    /// # async fn example(tenancy: Tenancy, acme: TenantId, editor: RoleName) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("roles are managed elsewhere now")?);
    /// let editors = MemberFilter::new().role(editor.clone());
    /// // Every editor becomes a member first.
    /// loop {
    ///     let page = admin.list_members(acme, &editors, None, 100).await?;
    ///     if page.is_empty() {
    ///         break;
    ///     }
    ///     for mut member in page {
    ///         member.role = SystemRole::Member.name();
    ///         admin.put_membership(&member).await?;
    ///     }
    /// }
    /// admin.remove_role(acme, &editor).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn remove_role(&self, id: TenantId, role: &RoleName) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::RoleRemove, id).to("role", role);
        let stores = self.stores();
        self.make_as(change, async |caller, record| {
            let before = stores.role_store()?.list_roles(id).await?;
            let mut after = before.clone();
            after.retain(|other| other.name != *role);
            if let Some(problem) = new_problem(&self.author.engine, &before, &after, None) {
                let message = format!("without the role `{role}`, {problem}");
                return Err(StoreError::new(StoreErrorKind::Conflict, message));
            }
            self.redefines(caller, &before, &after).await?;
            stores.role_store()?.remove_role(id, role, &record).await
        })
        .await
    }

    /// The service and operators are compared with nothing, and so mend what can't be compiled.
    async fn redefines(
        &self,
        caller: Option<TenantContext>,
        before: &[RoleDefinition],
        after: &[RoleDefinition],
    ) -> Result<(), StoreError> {
        if caller.is_none() {
            return Ok(());
        }
        let (before, after) = (self.compiled(before)?, self.compiled(after)?);
        self.may_redefine(caller, &before, &after).await
    }

    fn compiled(&self, roles: &[RoleDefinition]) -> Result<RoleTable, StoreError> {
        RoleTable::compile(self.author.engine.permissions(), roles).map_err(|error| {
            let message = format!("the tenant's roles can't be compared: {error}");
            StoreError::new(StoreErrorKind::Invalid, message)
        })
    }
}

/// Why a role would deny everything that did not before, or why the one at hand could not count.
///
/// Roles that are too many are the store's to refuse.
fn new_problem(
    engine: &Tenancy,
    before: &[RoleDefinition],
    after: &[RoleDefinition],
    at_hand: Option<&RoleName>,
) -> Option<RoleProblem> {
    let compile = |roles| RoleTable::compile(engine.permissions(), roles).ok();
    let counts_not =
        |problem: &&RoleProblem| problem.seals() || *problem.kind() == RoleProblemKind::NameTaken;
    let before = compile(before);
    let known: BTreeSet<_> = (before.iter().flat_map(|table| table.problems()))
        .filter(counts_not)
        .map(RoleProblem::role)
        .collect();
    let table = compile(after)?;
    let problems = || table.problems().iter().filter(counts_not);
    let own = problems().find(|problem| Some(problem.role()) == at_hand);
    let found = own.or_else(|| problems().find(|problem| !known.contains(problem.role())));
    found.cloned()
}
