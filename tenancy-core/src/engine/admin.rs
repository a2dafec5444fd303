//! Managing tenants: through the directory, audited, and known to this process at once.

use super::Tenancy;
use crate::{
    AuditEntry, DomainName, Membership, Outcome, Project, ProjectMembership, RoleDefinition,
    Settings, StoreError, Tenant, TenantId, TenantStatus, UserId,
};

/// Writes the directory on behalf of an operator or of the service itself.
///
/// Each change is one transaction of the directory, ends what this process has cached about the
/// tenant, and is audited. Other processes follow within [`Tenancy::max_staleness`].
///
/// # Security
/// Nothing here asks who is calling: guard the routes that lead here.
#[derive(Debug, Clone)]
pub struct Admin {
    pub(super) engine: Tenancy,
}

impl Admin {
    pub(super) fn new(engine: Tenancy) -> Self {
        Self { engine }
    }

    /// Adds a tenant.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if its id or slug is taken.
    pub async fn create_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        let change = self.engine.inner().store.create_tenant(tenant);
        self.noted("tenant.create", tenant.id, tenant.slug.to_string(), change)
            .await
    }

    /// Moves a tenant to another status.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or no such step.
    pub async fn set_status(&self, id: TenantId, to: TenantStatus) -> Result<Tenant, StoreError> {
        let change = self.engine.inner().store.set_status(id, to);
        self.noted("tenant.set-status", id, to.to_string(), change)
            .await
    }

    /// Suspends a tenant: its requests are refused from now on.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or it can't be suspended from where it stands.
    pub async fn suspend(&self, id: TenantId) -> Result<Tenant, StoreError> {
        self.set_status(id, TenantStatus::Suspended).await
    }

    /// Makes a tenant active, also again.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or it can't be made active from where it stands.
    pub async fn activate(&self, id: TenantId) -> Result<Tenant, StoreError> {
        self.set_status(id, TenantStatus::Active).await
    }

    /// Replaces a tenant's settings.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn set_settings(&self, id: TenantId, settings: &Settings) -> Result<(), StoreError> {
        let change = self.engine.inner().store.set_settings(id, settings);
        self.noted("tenant.set-settings", id, String::new(), change)
            .await
    }

    /// Puts a tenant on another plan, or on none. What its members and keys may do follows.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn set_plan(&self, id: TenantId, plan: Option<&str>) -> Result<(), StoreError> {
        let change = self.engine.inner().store.set_plan(id, plan);
        let target = plan.map(|plan| format!("plan:{plan}")).unwrap_or_default();
        self.noted("tenant.set-plan", id, target, change).await
    }

    /// Makes a custom domain name this tenant.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or the domain is taken.
    ///
    /// # Security
    /// Make sure that the tenant owns the domain first.
    pub async fn bind_domain(&self, id: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        let change = self.engine.inner().store.bind_domain(id, domain);
        self.noted("tenant.bind-domain", id, domain.to_string(), change)
            .await
    }

    /// Makes another system's id name this tenant.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or the id is taken.
    pub async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let change = self
            .engine
            .inner()
            .store
            .bind_external(tenant, provider, id);
        self.noted(
            "tenant.bind-external",
            tenant,
            format!("{provider}:{id}"),
            change,
        )
        .await
    }

    /// Adds or replaces a membership.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        let change = self.engine.inner().store.put_membership(membership);
        let target = format!("user:{} role:{}", membership.user, membership.role);
        self.noted("membership.put", membership.tenant, target, change)
            .await
    }

    /// Removes a membership; the user's requests are refused from now on.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let change = self.engine.inner().store.remove_membership(tenant, user);
        self.noted("membership.remove", tenant, format!("user:{user}"), change)
            .await
    }

    /// Adds or replaces a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant, or the slug is taken in it.
    pub async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        let change = self.engine.inner().store.put_project(project);
        self.noted(
            "project.put",
            project.tenant,
            format!("project:{}", project.id),
            change,
        )
        .await
    }

    /// Adds or replaces a user's role in a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such project in that tenant.
    pub async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
    ) -> Result<(), StoreError> {
        let change = self.engine.inner().store.put_project_membership(membership);
        let target = format!("project:{} user:{}", membership.project, membership.user);
        self.noted("project-membership.put", membership.tenant, target, change)
            .await
    }

    /// Adds or replaces a role of the tenant's own.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn put_role(&self, id: TenantId, role: &RoleDefinition) -> Result<(), StoreError> {
        let change = self.engine.inner().store.put_role(id, role);
        self.noted("role.put", id, role.name.to_string(), change)
            .await
    }

    async fn noted<T>(
        &self,
        action: &'static str,
        tenant: TenantId,
        target: String,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let now = self.engine.inner().clock.now();
        let mut entry = AuditEntry::new(now, action, Outcome::Failed).tenant(tenant);
        entry.target = (!target.is_empty()).then_some(target);
        self.engine.noted(entry, Some(tenant), change).await
    }
}
