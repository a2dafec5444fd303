//! Contexts without requests.

use std::sync::Arc;

use crate::{
    Actor, AllowedTenants, Principal, ProjectId, RoleName, Tenancy, TenantContext, TenantRecord,
    UserId,
    engine::{ClientInfo, Parts, Whole},
};

/// Builds a [`TenantContext`] for a test.
///
/// # Security
/// Skips every check. Enable the feature `testing` only under `[dev-dependencies]`.
///
/// ```
/// # use tenancy_core::{Tenancy, TenantRecord};
/// use tenancy_core::testing::ContextBuilder;
///
/// # fn example(tenancy: &Tenancy) -> Result<(), Box<dyn std::error::Error>> {
/// let acme = TenantRecord::new("acme".parse()?, "Acme Ltd");
/// let context = ContextBuilder::new(tenancy, acme).role("member".parse()?).build();
/// assert_eq!(context.record().name, "Acme Ltd");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ContextBuilder {
    engine: Tenancy,
    tenant: TenantRecord,
    user: UserId,
    role: RoleName,
    project: Option<ProjectId>,
}

impl ContextBuilder {
    /// A context of a new user in the role `owner`.
    ///
    /// # Panics
    /// Never: `owner` is a role name.
    pub fn new(engine: &Tenancy, tenant: TenantRecord) -> Self {
        let role = crate::SystemRole::Owner.name();
        Self {
            engine: engine.clone(),
            tenant,
            user: UserId::new(),
            role,
            project: None,
        }
    }

    /// Acts as this user.
    pub fn user(mut self, user: UserId) -> Self {
        self.user = user;
        self
    }

    /// Acts in this role.
    pub fn role(mut self, role: RoleName) -> Self {
        self.role = role;
        self
    }

    /// Is for this project.
    pub fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// Builds the context. A role the engine does not know grants nothing.
    #[must_use]
    pub fn build(self) -> TenantContext {
        let mask = self
            .engine
            .base_roles()
            .mask(&self.role)
            .unwrap_or_default();
        let actor = Actor::User(self.user);
        let principal = Principal::new(actor, AllowedTenants::Bound(self.tenant.id.into()), "test");
        let read_at = self.engine.clock().now();
        let plans = self.engine.plans();
        let plan = plans.and_then(|plans| plans.of(&self.tenant));
        let parts = Parts {
            plan,
            overrides: None,
            tenant: Arc::new(self.tenant),
            role: Some(self.role),
            project: self.project,
            permissions: mask.effective(),
            read_at,
        };
        let whole = Whole {
            memo: None,
            parts: Arc::new(parts),
            has_own_limits: !principal.limits.are_none(),
            principal: Arc::new(principal),
            read_at,
        };
        TenantContext::new(self.engine, Arc::new(whole), ClientInfo::default())
    }
}
